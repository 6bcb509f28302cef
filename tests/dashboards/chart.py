"""The chart as helm renders it: its rules and dashboards. It knows no server and no Prometheus."""

import json
import pathlib
import subprocess

import yaml

from servers import ROOT, holds

CHART = ROOT / "helm/completiond"
# A helm that was built from its module takes itself to be at a cluster of long ago.
KUBERNETES = "--kube-version=1.36.0"
# Only what watches; the server has checks of its own in tests/chart.
WATCHED = [KUBERNETES, "--set=server.enabled=false"]
# Everything that can be switched on.
ALL_ON = [
    "--set=prometheusRule.enabled=true",
    "--set=prometheusRule.thresholds.costPerHour=20",
    "--set=prometheusRule.thresholds.memoryBytes=1000000000",
    "--set=prometheusRule.labels.release=prometheus",
    "--set=dashboards.annotations.grafana_folder=completiond",
]


def helm(*words):
    return subprocess.run(["helm", *map(str, words)], text=True, capture_output=True, timeout=60)


def rendered(*options):
    """All that the chart makes for a server that runs elsewhere, under these options."""
    told = helm("template", "completiond", CHART, *WATCHED, *options)
    holds(told.returncode == 0, told.stderr)
    return [document for document in yaml.safe_load_all(told.stdout) if document]


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def groups(documents):
    """The rule groups; none where there is no PrometheusRule."""
    return [group for rule in of_kind(documents, "PrometheusRule") for group in rule["spec"]["groups"]]


def rules(groups, kind):
    """Of the rules those that have a name of this kind, `alert` or `record`, by it."""
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


def dashboards(documents):
    """The dashboards by the names of their files."""
    maps = [document["data"] for document in of_kind(documents, "ConfigMap")]
    return {name: json.loads(text) for data in maps for name, text in data.items()}


def write_rules(folder, groups):
    """A file for Prometheus with these groups."""
    file = pathlib.Path(folder) / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    return file


def promtool(*words):
    """What promtool says; it must find nothing wrong."""
    told = subprocess.run(["promtool", *map(str, words)], text=True, capture_output=True, timeout=60)
    holds(told.returncode == 0, told.stdout + told.stderr)
    return told.stdout


def alert_tests():
    """The files of rule tests, by their paths."""
    return {path: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "tests/alerts").glob("*.yaml"))}
