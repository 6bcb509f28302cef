"""What whoever installs the chart relies on, read from what it makes of its cases."""

import json
import pathlib
import re
import shutil
import tarfile
import tempfile

import accepted
import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from renderings import CHART, configuration, cases, documents, helm, objects, options, pod, rendering, template
from servers import equal, holds

OPERATOR = "--api-versions=monitoring.coreos.com/v1"
SERVED = [name for name in cases() if configuration(name)]


def schema():
    """A value that the file has and the schema does not know would be refused; one that it has not, would not be seen."""
    known = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    equal(sorted(known["properties"]), sorted([*values, "global"]), "values at the top")
    equal([path for path in open_objects(known) if path not in OPEN], [], "objects in which any name would be taken")


# What is Kubernetes' own, or free by its nature. A word in them that is wrong is told by Kubernetes, or by the server.
OPEN = {
    *("affinity", "config", "dnsConfig", "global", "podSecurityContext", "securityContext", "autoscaling.behavior"),
    *("resources.requests", "resources.limits", "service.spec", "updateStrategy.rollingUpdate"),
}


def open_objects(known):
    """Objects of the schema whose names are not listed, by their paths. Lists of Kubernetes' objects are left out."""

    def walk(node, path):
        node = known["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
        if node.get("type") == "object":
            if "additionalProperties" not in node:
                yield path
            for name, inner in node.get("properties", {}).items():
                yield from walk(inner, f"{path}.{name}" if path else name)

    yield from walk(known, "")


def time_to_stop():
    """The sum of what its steps take, whatever the configuration says."""
    cases = {
        "minimal": 5 + 5 + 600 + 10,
        "persistence": 5 + 5 + 60 + 10,
        "extras": 120,
    }
    for name, seconds in cases.items():
        spec, container, _ = pod(name)
        equal(spec["terminationGracePeriodSeconds"], seconds, name)
    equal(pod("minimal")[1]["lifecycle"], {"preStop": {"sleep": {"seconds": 5}}}, "the pause before SIGTERM")
    holds("lifecycle" not in pod("extras")[1], "a pause of 0 s is none")
    for text, seconds in {"500ms": 1, "1.5s": 2, "1h30m": 5400, "1m 30s": 90, "0": 0, "0s": 0}.items():
        told = template(*options("minimal"), f"--set-string=config.shutdown_grace={text}")
        found = re.search(r"terminationGracePeriodSeconds: (\d+)", told.stdout)
        equal(int(found[1]) if found else told.stderr, 20 + seconds, text)
    told = template(*options("minimal"), "--set-string=config.timeouts.total=2m")
    holds("terminationGracePeriodSeconds: 140" in told.stdout, "without a grace of its own it is the longest call")


def secrets():
    """Every secret is a reference: no object of the kind is made, and no variable with a key has a value."""
    for name in cases():
        holds(all(kind != "Secret" for kind, _ in objects(name)), f"{name} makes a Secret")
    for name in SERVED:
        for variable in pod(name)[1]["env"]:
            if re.search(r"KEY|URL|HEADERS", variable["name"]):
                equal(set(variable), {"name", "valueFrom"}, f"{name}: {variable['name']}")
                holds("secretKeyRef" in variable["valueFrom"], f"{name}: {variable['name']} is no reference")
        text = yaml.safe_dump(configuration(name))
        equal(re.findall(r"redis_url: [^$].*", text), [], f"{name}: addresses with passwords")


def restricted():
    for name in SERVED:
        spec, container, _ = pod(name)
        equal(spec["automountServiceAccountToken"], False, f"{name}: the token")
        equal(spec["enableServiceLinks"], False, f"{name}: variables of Services")
        equal(spec["securityContext"]["runAsNonRoot"], True, f"{name}: root")
        equal(spec["securityContext"]["runAsUser"], 65532, f"{name}: the user, which is the image's")
        equal(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, f"{name}: system calls")
        limits = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        equal(container["securityContext"], limits, f"{name}: the container")
    image = (CHART.parents[1] / "Dockerfile").read_text()
    holds(re.search(r"^USER 65532:65532$", image, re.MULTILINE), "the image's user is another")


def belong():
    """Services select the pods, and lead to ports that the server listens on; all else that selects does, too."""
    for name in SERVED:
        made, (_, container, written) = objects(name), pod(name)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        listens = yaml.safe_load(configuration(name)["completiond.yaml"])
        for port, number in ports.items():
            key = "listen" if port == "grpc" else f"{port}_listen"
            equal(listens[key].rpartition(":")[2], str(number), f"{name}: {key}")
        exposed = not listens["admin_listen"].startswith("127.0.0.1:")
        equal("admin" in ports, exposed, f"{name}: whether operators come in from outside")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            equal(container[probe]["grpc"]["port"], ports["ops"], f"{name}: {probe}")
        for (kind, its), one in made.items():
            selector = selects(kind, one)
            if selector is not None:
                holds(selector.items() <= written["labels"].items(), f"{name}: {kind} {its} selects other pods")
            if kind == "Service":
                equal({port["targetPort"] for port in one["spec"]["ports"]} - set(ports), set(), f"{name}: ports")


def probed():
    """A server with the configuration of a case answers what the probes of its pod ask."""
    _, container, _ = pod("minimal")
    with accepted.served("minimal") as server, grpc.insecure_channel(server.ops) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            service = container[probe]["grpc"].get("service", "")
            told = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
            equal(told.status, health_pb2.HealthCheckResponse.SERVING, f"{probe}: {service}")
        try:
            health.Check(health_pb2.HealthCheckRequest(service="completiond.v1.Completions"), timeout=20)
        except grpc.RpcError as error:
            equal(error.code(), grpc.StatusCode.NOT_FOUND, "a name that is none")
        else:
            raise AssertionError("any name would do")


def kept():
    """A claim is made where none is named, and stays unless it shall not."""

    def claim(*words):
        made = documents(template(*options("persistence"), *words).stdout)
        [deployment] = [one for one in made if one["kind"] == "Deployment"]
        volumes = {one["name"]: one for one in deployment["spec"]["template"]["spec"]["volumes"]}
        claims = [one["metadata"] for one in made if one["kind"] == "PersistentVolumeClaim"]
        return volumes["usage"]["persistentVolumeClaim"]["claimName"], claims

    name, [made] = claim()
    equal((name, made["name"]), ("completiond", "completiond"), "the claim as it comes")
    equal(made["annotations"]["helm.sh/resource-policy"], "keep", "what becomes of it")
    equal(claim("--set=persistence.existingClaim=mine"), ("mine", []), "a claim that is there already")
    _, [made] = claim("--set=persistence.retain=false")
    equal(made["annotations"], {"example.com/backup": "daily"}, "one that goes with the release")


def packaged():
    """A package has what it takes to install it, and what is read before that; no cases and no goldens."""
    with tempfile.TemporaryDirectory() as folder:
        told = helm("package", CHART, f"--destination={folder}")
        holds(told.returncode == 0, told.stderr)
        [package] = pathlib.Path(folder).iterdir()
        with tarfile.open(package) as archive:
            names = {name.removeprefix("completiond/") for name in archive.getnames()}
    tops = {name.split("/")[0] for name in names}
    wanted = {".helmignore", "Chart.yaml", "README.md", "alerts", "dashboards", "templates"}
    wanted |= {"values-ha.yaml", "values.schema.json", "values.yaml"}
    equal(tops, wanted, "what is in the package")


def selects(kind, one):
    spec = one.get("spec", {})
    match kind:
        case "Service":
            return spec["selector"]
        case "Deployment" | "PodDisruptionBudget":
            return spec["selector"]["matchLabels"]
        case "NetworkPolicy":
            return spec["podSelector"]["matchLabels"]
    return None


def monitored():
    """Where the cluster knows the kind, unless it is told otherwise; it finds the one Service that has the port."""
    told = template(*options("minimal"), OPERATOR)
    [monitor] = [one for one in documents(told.stdout) if one["kind"] == "ServiceMonitor"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services = [one for one in documents(told.stdout) if one["kind"] == "Service"]
    found = [one for one in services if wanted <= one["metadata"]["labels"].items()]
    equal([one["metadata"]["name"] for one in found], ["completiond-headless"], "the Services that it finds")
    ports = {port["name"] for port in found[0]["spec"]["ports"]}
    equal({end["port"] for end in monitor["spec"]["endpoints"]} - ports, set(), "its ports")
    equal(monitor["spec"]["endpoints"][0]["relabelings"][0], {"targetLabel": "job", "replacement": "completiond"}, "job")
    off = template(*options("minimal"), OPERATOR, "--set=serviceMonitor.enabled=false").stdout
    holds("ServiceMonitor" not in off and "ServiceMonitor" not in rendering("minimal"), "there is one although it is off")


def checksums():
    def checksum(*words):
        [found] = re.findall(r"checksum/config: (\w+)", template(*options("minimal"), *words).stdout)
        return found

    same, others = checksum("--set=podLabels.a=b"), {
        checksum("--set=config.workers=3"),
        checksum("--set=configFiles.a=b"),
        checksum("--set=ports.grpc=1234"),
    }
    equal(same, checksum(), "what is not in the configuration")
    equal(len(others | {same}), 4, "what is")
    labels = pod("minimal")[2]["labels"]
    holds("helm.sh/chart" not in labels, f"a newer chart alone would start pods anew: {labels}")


def notes():
    """What `helm install` prints. `helm template` makes objects only, so here the notes are one."""
    commands = {
        "minimal": ("rollout status", "port-forward", "-plaintext -d", "completiond pool", "completiond top", "WARNING"),
        "default": ("-plaintext -H", "completiond.ai:50051", "dns:///completiond-headless.ai:50051", "end with the pod"),
        "tls": ("-insecure -H", "is a port of the Service", "completiond.ai:443  (TLS)"),
        "extras": ("deployment/completiond-gateway 50052:8444", "may take 120 s"),
        "watched": ("no server",),
    }
    with tempfile.TemporaryDirectory() as folder:
        chart = pathlib.Path(shutil.copytree(CHART, pathlib.Path(folder) / "completiond"))
        written = (chart / "templates/NOTES.txt").read_text()
        wrapped = "kind: Notes\ntext: |\n  {{- include \"notes\" . | nindent 2 }}\n"
        (chart / "templates/notes.yaml").write_text('{{ define "notes" }}' + written + "{{ end }}" + wrapped)
        for name, texts in commands.items():
            told = template("--show-only=templates/notes.yaml", *options(name), chart=chart)
            [text] = [one["text"] for one in documents(told.stdout)] or [""]
            for wanted in texts:
                holds(wanted in text, f"{name}: {wanted} is not in the notes: {told.stderr}{text}")
            equal(re.findall(r"<no value>|<nil>|%!", text), [], f"{name}: holes in the notes")


ALL = {
    "each value and its type are in the schema": schema,
    "a pod has time for all its calls": time_to_stop,
    "no secret's value is anywhere": secrets,
    "pods are as restricted as they can be": restricted,
    "selectors find pods, ports and the monitor their Services": belong,
    "a server with its configuration answers the probes": probed,
    "a claim is made once, and stays": kept,
    "a package has what it takes": packaged,
    "with an operator there is a monitor": monitored,
    "another configuration means other pods, another chart does not": checksums,
    "the notes say what to type": notes,
}
