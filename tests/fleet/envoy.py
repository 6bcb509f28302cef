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


def configuration(listen, changes):
    """The example with another address, and `changes` to its cluster."""
    example = yaml.safe_load(EXAMPLE.read_text())
    example["static_resources"]["listeners"][0]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": listen}
    (cluster,) = example["static_resources"]["clusters"]
    for name in ("dns_refresh_rate", "load_assignment"):
        del cluster[name]
    cluster.update(changes)
    example["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    example["node"] = {"id": "check", "cluster": "check"}
    return example


def assignment(ports):
    """Whom the cluster has, as Envoy calls it."""
    return {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint(port) for port in ports]}]}


class Envoy(Process):
    """Envoy before these ports, which it reads from a file: what is listed there can change, as a Service's addresses do."""

    def __init__(self, folder, ports, changes=()):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        config, self.told, self.listed = folder / "envoy.yaml", folder / "envoy-admin", folder / "listed.json"
        self.list(ports)
        source = {"resource_api_version": "V3", "path_config_source": {"path": str(self.listed)}}
        changes = {"type": "EDS", "eds_cluster_config": {"eds_config": source}, **dict(changes)}
        config.write_text(yaml.safe_dump(configuration(self.port, changes)))
        command = [PROGRAM, "-c", config, "--admin-address-path", self.told, "--concurrency", "2", "-l", "warning"]
        # Without this it ends when the shell does that started the check.
        super().__init__("envoy", [*command, "--disable-hot-restart"])

    def admin(self, path):
        with urllib.request.urlopen(f"http://{self.told.read_text()}/{path}", timeout=10) as response:
            return response.read().decode()

    def list(self, ports):
        """From now on these are the ports that there are."""
        kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
        listed = {"version_info": str(time.monotonic()), "resources": [{"@type": kind, **assignment(ports)}]}
        # Only a file that is moved to its place is read again.
        new = self.listed.with_suffix(".new")
        new.write_text(json.dumps(listed))
        new.rename(self.listed)

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
