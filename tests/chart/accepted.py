"""What the server itself says of the configuration in each rendering. Secrets and their files are made up here."""

import contextlib
import json
import os
import pathlib
import re
import tempfile

from renderings import ROOT, configuration, pod, run
from servers import Completiond

# Where the chart mounts what the configuration names.
MOUNTED = "/etc/completiond"
# The warnings that cases may have: their provider makes its answers up, and a mesh or nobody encrypts.
EXPECTED = re.compile("^is the built-in simulator|(keys|tokens)( of admins)? go there in plain text$")
HASH = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a%02d"
VALKEY = "redis://valkey:6379"


def complaints(name, files=None):
    """What the server finds wrong with a case's configuration."""
    with mounted(name, files or configuration(name)) as config:
        told = check(config, name)
        return told["errors"] + [one for one in told["warnings"] if not EXPECTED.search(one["rule"])]


@contextlib.contextmanager
def mounted(name, files):
    """The configuration of a case, where a pod would have it with all that it names."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        mount(folder, name, files)
        yield folder / "config/completiond.yaml"


@contextlib.contextmanager
def served(name):
    """A server that runs with the configuration of a case."""
    with mounted(name, configuration(name)) as config:
        with Completiond(config) as server:
            yield server


def check(config, name):
    program = os.environ.get("COMPLETIOND", ROOT / "target/debug/completiond")
    _, container, _ = pod(name)
    clean = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    secrets = {one["name"]: content(one["name"]) for one in container["env"] if "valueFrom" in one}
    told = run(program, "check", "--json", "--config", config, env={**clean, **secrets})
    return json.loads(told.stdout)


def content(variable):
    return VALKEY if variable.endswith("_URL") else "a-key"


def mount(folder, name, files):
    """The files that a pod of this case has, under another root."""
    (folder / "config").mkdir()
    for file, text in files.items():
        (folder / "config" / file).write_text(text.replace(MOUNTED, str(folder)))
    spec, container, _ = pod(name)
    secrets = {volume["name"]: volume["secret"] for volume in spec["volumes"] if "secret" in volume}
    if any(volume["name"] == "callers" for volume in spec["volumes"]):
        (folder / "callers").mkdir()
        (folder / "callers/search.yaml").write_text(f"name: search\nkeys: ['{HASH % 1}']\n")
    for place in container["volumeMounts"]:
        if place["name"] in secrets and place["name"] != "callers":
            within = folder / pathlib.Path(place["mountPath"]).relative_to(MOUNTED)
            within.mkdir(parents=True)
            fill(within, place["mountPath"], files["completiond.yaml"])


def fill(within, mounted, text):
    """The files of one Secret that the configuration names."""
    for at, file in enumerate(sorted(set(re.findall(rf"{mounted}/([-\w.]+)", text)))):
        if file.endswith((".crt", ".key")):
            continue
        (within / file).write_text(HASH % at if mounted.endswith("callers") else "a-key")
    if "tls" in within.name:
        certificate(within)


def certificate(within):
    """A certificate and its key, as cert-manager would put them there."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=completiond"
    names = ["-addext", "subjectAltName=DNS:completiond"]
    run(*command.split(), *names, "-keyout", within / "tls.key", "-out", within / "tls.crt")
    (within / "ca.crt").write_bytes((within / "tls.crt").read_bytes())
