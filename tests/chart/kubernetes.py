"""Checks that Kubernetes would take everything that the chart makes: kubectl-validate, with the schemas of the last three
minors and those of the Gateway API and of the Prometheus operator. No cluster runs.

`KUBERNETES_VERSIONS` and `KUBERNETES_CRDS` say which, as .ci/tools.sh sets them.
"""

import copy
import os
import tempfile

import yaml
from renderings import cases, documents, rendering, run
from servers import TOOLS, Checks, equal, holds

VERSIONS = os.environ["KUBERNETES_VERSIONS"].split()
CRDS = os.environ["KUBERNETES_CRDS"]
# Every kind that the chart can make is in some case.
KINDS = {
    *("ConfigMap", "Deployment", "GRPCRoute", "HorizontalPodAutoscaler", "NetworkPolicy", "PersistentVolumeClaim"),
    *("PodDisruptionBudget", "PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor"),
}


def main():
    checks = Checks()
    with checks.case("kubernetes: every kind is looked at"):
        equal({one["kind"] for name in cases() for one in documents(rendering(name))}, KINDS, "kinds")
    for version in VERSIONS:
        for name in cases():
            with checks.case(f"kubernetes {version}: {name}"):
                made = documents(rendering(name))
                equal(validate(version, made), "", f"what is wrong with {len(made)} objects")
    for version in VERSIONS:
        for what, (name, kind, spoil) in FAULTS.items():
            with checks.case(f"kubernetes {version}: it would be seen: {what}"):
                holds(validate(version, [spoiled(name, kind, spoil)]), "nothing was found")
    for field, known in LATER.items():
        with checks.case(f"kubernetes: {field} in a pod is known to {', '.join(known) or 'none'}"):
            newer = [spoiled("minimal", "Deployment", put("spec", "template", "spec", field, {}))]
            told = {version: validate(version, newer) for version in VERSIONS}
            unknown = f"spec.template.spec.{field}: Invalid value: value provided for unknown field"
            equal([version for version, wrong in told.items() if unknown not in wrong], known, "versions")
    checks.close()


def validate(version, made):
    """What kubectl-validate finds wrong; nothing: an empty text."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all(made, file)
        file.flush()
        schemas = TOOLS / "kubernetes-schemas" / version
        told = run("kubectl-validate", file.name, "--local-schemas", schemas, "--local-crds", CRDS)
    return "" if told.returncode == 0 else told.stdout + told.stderr


def spoiled(name, kind, spoil):
    """An object of this kind, with a fault."""
    one = copy.deepcopy(next(one for one in documents(rendering(name)) if one["kind"] == kind))
    spoil(one)
    return one


def in_container(change):
    """A fault of the server's container."""
    return lambda one: change(one["spec"]["template"]["spec"]["containers"][0])


def in_first(*path, **values):
    """A fault in the first of the list that `path` leads to."""

    def spoil(one):
        for step in path:
            one = one[step]
        one[0].update(values)

    return spoil


def put(*path):
    """A fault: the last of `path` is put where the others lead."""
    *way, key, value = path

    def spoil(one):
        for step in way:
            one = one[step]
        one[key] = value

    return spoil


# Fields of a pod that not all of the versions know: each version is validated with its own schemas.
LATER = {"workloadRef": ["1.35.0"], "schedulingGroup": ["1.36.0"], "resources": VERSIONS, "nothing": []}
FAULTS = {
    "a field that is misspelled": ("minimal", "Deployment", put("spec", "replica", 1)),
    "a pause that is text": ("minimal", "Deployment", in_container(lambda one: one["lifecycle"]["preStop"].update(sleep="5s"))),
    "a probe whose port is a name": ("minimal", "Deployment", in_container(lambda one: one["startupProbe"]["grpc"].update(port="ops"))),
    "replicas as text": ("minimal", "Deployment", put("spec", "replicas", "one")),
    "a memory limit that is none": ("minimal", "Deployment", in_container(lambda one: one["resources"]["limits"].update(memory=[]))),
    "a port that is text": ("minimal", "Service", in_first("spec", "ports", port="fifty")),
    "a policy of ports without a list": ("gateway", "NetworkPolicy", put("spec", "egress", {})),
    "a bound of the HPA that is text": ("ha", "HorizontalPodAutoscaler", put("spec", "maxReplicas", "many")),
    "a budget with an unknown field": ("ha", "PodDisruptionBudget", put("spec", "minimum", 1)),
    "a claim without a list of modes": ("persistence", "PersistentVolumeClaim", put("spec", "accessModes", "ReadWriteOnce")),
    "a route with a bad port": ("gateway", "GRPCRoute", in_first("spec", "rules", backendRefs=[{"name": "a", "port": 0}])),
    "a route with an unknown field": ("gateway", "GRPCRoute", put("spec", "timeouts", {})),
    "a monitor with a bad interval": ("monitoring", "ServiceMonitor", in_first("spec", "endpoints", interval="soon")),
    "a rule whose `for` is none": ("monitoring", "PrometheusRule", in_first("spec", "groups", 0, "rules", **{"for": "long"})),
}


if __name__ == "__main__":
    main()
