"""What helm makes of the chart under each of its files of values. It knows nothing of what is right."""

import functools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/clients"), str(ROOT / "tests/dashboards")]

import yaml  # noqa: E402
from chart import CHART, KUBERNETES, helm  # noqa: E402
from servers import holds  # noqa: E402

# What is laid under the values of a case.
UNDER = {"ha": [CHART / "values-ha.yaml"]}
# Files of the chart that are checked by themselves (tests/dashboards) and are large.
APART = {"templates/dashboards.yaml", "templates/prometheusrule.yaml"}


def cases():
    """The names of all cases: helm/completiond/ci/<name>-values.yaml."""
    return sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())


def options(name):
    """The options by which helm gets the values of a case."""
    files = [*UNDER.get(name, []), CHART / f"ci/{name}-values.yaml"]
    return [f"--values={file}" for file in files]


def template(*words, chart=CHART):
    return helm("template", "completiond", chart, "--namespace=ai", KUBERNETES, *words)


@functools.cache
def rendering(name):
    """All that the chart makes for a case, as text."""
    told = template(*options(name))
    holds(told.returncode == 0, f"{name}: {told.stderr}")
    return told.stdout


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def objects(name):
    """What a case installs, by kind and name."""
    return {(document["kind"], document["metadata"]["name"]): document for document in documents(rendering(name))}


def pod(name):
    """The spec of the pod, its one container of the server, and what is written about the pod."""
    [template] = [made["spec"]["template"] for (kind, _), made in objects(name).items() if kind == "Deployment"]
    [container] = [one for one in template["spec"]["containers"] if one["name"] == "completiond"]
    return template["spec"], container, template["metadata"]


def configuration(name):
    """The files of the ConfigMap with the configuration, by their names; none where no server is installed."""
    maps = [made["data"] for (kind, _), made in objects(name).items() if kind == "ConfigMap"]
    return next((data for data in maps if "completiond.yaml" in data), None)


def shown(name):
    """The rendering as it is compared: without the large files that have checks of their own, and without the versions,
    which change with each release."""
    parts = re.split(r"^---\n", rendering(name), flags=re.MULTILINE)
    sources = [(re.match(r"# Source: completiond/(\S+)", part), part) for part in parts]
    kept = [part for source, part in sources if source and source[1] not in APART]
    return re.sub(r"(helm\.sh/chart: completiond-|app\.kubernetes\.io/version: )\S+", r"\g<1>VERSION", "---\n".join(kept))


def text_of(told):
    """What a command said, on one line, for messages and comparisons."""
    return " ".join((told.stdout + told.stderr).split())


def run(*words, **options):
    return subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=300, **options)
