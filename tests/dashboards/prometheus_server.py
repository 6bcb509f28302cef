"""A real Prometheus over one server: it scrapes, evaluates the chart's rules, and is asked."""

import contextlib
import json
import math
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

from servers import Process, free_port, holds


class Prometheus(Process):
    """Scrapes `target` as a ServiceMonitor of the chart's would, with `rules` in force."""

    def __init__(self, folder, target, rules):
        folder, self.http = pathlib.Path(folder), free_port()
        config = folder / "prometheus.yml"
        scrape = {"job_name": "completiond", "static_configs": [{"targets": [target], "labels": {"namespace": "ai"}}]}
        intervals = {"scrape_interval": "250ms", "evaluation_interval": "1s"}
        config.write_text(yaml.safe_dump({"global": intervals, "rule_files": [str(rules)], "scrape_configs": [scrape]}))
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        super().__init__("prometheus", [*command, f"--web.listen-address=127.0.0.1:{self.http}"])

    def __enter__(self):
        eventually(self.is_ready, "prometheus is ready")
        return super().__enter__()

    def is_ready(self):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/-/ready", timeout=10) as answer:
                return answer.status == 200
        return False

    def ask(self, path, **parameters):
        """What its API tells; an error that it tells is one here."""
        url = f"http://127.0.0.1:{self.http}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def values(self, expression):
        """The values of all series that `expression` is now; those that are no number are left out."""
        result = self.ask("query", query=expression)["result"]
        values = [float(series["value"][1]) for series in result]
        return [value for value in values if math.isfinite(value)]

    def labels_of(self, name):
        """The names of labels that series of this name have; none: there is no such series."""
        series = self.ask("series", **{"match[]": name})
        return {label for one in series for label in one if label != "__name__"}


def eventually(wanted, what, timeout=60.0):
    end = time.monotonic() + timeout
    while not wanted():
        holds(time.monotonic() < end, f"not in time: {what}")
        time.sleep(0.2)
