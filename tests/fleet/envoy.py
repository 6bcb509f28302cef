"""Envoy with examples/envoy.yaml, before the ports of a fleet on this machine."""

import json
import os
import time
import urllib.request

import yaml

from servers import ROOT, Process, free_port

PROGRAM = os.environ.get("ENVOY", "envoy")
EXAMPLE = ROOT / "examples/envoy.yaml"
CLUSTER = "completiond"


def endpoint(port):
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}


def configuration(listen, ports, changes):
    """The example with other addresses, and `changes` to its cluster."""
    example = yaml.safe_load(EXAMPLE.read_text())
    example["static_resources"]["listeners"][0]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": listen}
    (cluster,) = example["static_resources"]["clusters"]
    cluster["type"] = "STATIC"
    del cluster["dns_refresh_rate"]
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint(port) for port in ports]}]
    cluster.update(changes)
    example["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    return {key: value for key, value in example.items() if value is not None}


class Envoy(Process):
    """Envoy, once it is ready to proxy."""

    def __init__(self, folder, ports, changes=()):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        config, self.told = folder / "envoy.yaml", folder / "envoy-admin"
        config.write_text(yaml.safe_dump(configuration(self.port, ports, dict(changes))))
        command = [PROGRAM, "-c", config, "--admin-address-path", self.told, "--concurrency", "2", "-l", "warning"]
        # Without this it ends when the shell does that started the check.
        super().__init__("envoy", [*command, "--disable-hot-restart"])

    def admin(self, path):
        with urllib.request.urlopen(f"http://{self.told.read_text()}/{path}", timeout=10) as response:
            return response.read().decode()

    def healthy(self):
        """The ports that Envoy sends calls to."""
        found = set()
        for cluster in json.loads(self.admin("clusters?format=json"))["cluster_statuses"]:
            for host in cluster.get("host_statuses", ()):
                if not host["health_status"].get("failed_active_health_check"):
                    found.add(host["address"]["socket_address"]["port_value"])
        return found

    def counted(self, *names):
        """Counters of the cluster, by their names."""
        told = json.loads(self.admin(f"stats?format=json&filter=^cluster.{CLUSTER}."))["stats"]
        values = {stat["name"]: stat["value"] for stat in told if "value" in stat}
        return {name: values[f"cluster.{CLUSTER}.{name}"] for name in names}

    def wait(self, wanted, timeout=60.0):
        """Asks which ports are healthy until it is so."""
        end = time.monotonic() + timeout
        while True:
            try:
                found = self.healthy()
            except OSError:
                found = None
            if found is not None and wanted(found):
                return
            if time.monotonic() > end or self.child.poll() is not None:
                raise AssertionError(f"envoy: healthy are {found}\n{''.join(self.lines[-40:])}")
            time.sleep(0.05)
