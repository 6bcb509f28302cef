"""Checks what the chart makes of the server: goldens, what is refused, what the server says of its configuration, and what
a reader relies on. No cluster runs; what Kubernetes says is in kubernetes.py.

`check.py --bless` writes the goldens and the table of values anew.
"""

import difflib
import sys
import tempfile

import accepted
import promises
import values_table
import yaml
from renderings import CHART, KUBERNETES, ROOT, cases, configuration, helm, options, shown, template, text_of
from servers import Checks, equal, holds

GOLDEN = CHART / "tests/golden"
SERVED = [name for name in cases() if configuration(name)]


def main():
    if sys.argv[1:] == ["--bless"]:
        return bless()
    checks = Checks()
    for name, check in {
        "without values it says what is to be chosen": nothing_is_chosen,
        "what is refused is refused by its name": refused,
        "the table of values is that of the file": table,
        **promises.ALL,
    }.items():
        with checks.case(f"chart: {name}"):
            check()
    for name in cases():
        with checks.case(f"chart: {name} is as it was"):
            golden(name)
        with checks.case(f"chart: helm finds nothing wrong with {name}"):
            told = helm("lint", "--strict", CHART, KUBERNETES, "--namespace=ai", *options(name))
            equal((told.returncode, told.stderr), (0, ""), told.stdout)
    for name in SERVED:
        with checks.case(f"chart: the server takes the configuration of {name}"):
            equal(accepted.complaints(name), [], "what is wrong")
    with checks.case("chart: a configuration that is wrong would be seen"):
        wrong_configuration()
    checks.close()


def bless():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name in cases():
        (GOLDEN / f"{name}.yaml").write_text(shown(name))
    values_table.README.write_text(values_table.in_place(values_table.README.read_text()))


def golden(name):
    path = GOLDEN / f"{name}.yaml"
    known = path.read_text() if path.exists() else ""
    lines = difflib.unified_diff(known.splitlines(), shown(name).splitlines(), "golden", "now", lineterm="")
    equal("\n".join(lines), "", f"{path.name} (tests/chart/check.py --bless writes it)")
    equal(sorted(one.stem for one in GOLDEN.iterdir()), cases(), "goldens by their cases")


def nothing_is_chosen():
    told = template()
    holds(told.returncode != 0, "it is installed although nothing was chosen")
    for key in ("image.repository", "config.providers", "config.callers"):
        holds(f"- {key}: " in told.stderr, f"{key}: {told.stderr}")
    equal(told.stderr.count("\n- "), 3, told.stderr)


def refused():
    """Each row alone, and none of them without its own reason; all that is wrong is told at once."""
    rows = yaml.safe_load((ROOT / "tests/chart/refused.yaml").read_text())
    missed = []
    for row in rows:
        told = text_of(refusal(row["set"]))
        if " ".join(row["told"].split()) not in told or "Error: " not in told:
            missed.append(f"{row['set']}: {told}")
    equal(missed, [], f"of {len(rows)} rows, those with another message")
    three = {"image": {"repository": ""}, "admin": {"expose": True}, "replicaCount": 2, "persistence": {"enabled": True}}
    several = refusal(three)
    equal(several.stderr.count("\n- "), 3, several.stderr)


def refusal(values):
    """What helm says of these values, laid over the least that runs."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        return template(*options("minimal"), f"--values={file.name}")


def table():
    known = values_table.README.read_text()
    holds(values_table.in_place(known) == known, "helm/completiond/README.md is not as tests/chart/check.py --bless writes it")
    equal(values_table.unexplained(), [], "values without a comment")


def wrong_configuration():
    """The check above is one that can fail."""
    files = dict(configuration("minimal"))
    files["completiond.yaml"] += "drian_delay: 5s\n"
    files["completiond.yaml"] = files["completiond.yaml"].replace("preset: simulator", "preset: simulation")
    wrong = {one["key"] for one in accepted.complaints("minimal", files)}
    equal(wrong, {"drian_delay", "providers[0].preset"}, "what is found of a key and a preset with a slip in them")


if __name__ == "__main__":
    main()
