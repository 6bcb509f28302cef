"""Checks the chart's dashboards and rules: what helm makes of them, what promtool says of the rules, and that no alert is
without a test and a section of the handbook. No server runs; what the chart makes of the server is in tests/chart.
"""

import copy
import json
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import yaml  # noqa: E402
from chart import ALL_ON, CHART, WATCHED, dashboards, groups, helm, of_kind, rendered, rules  # noqa: E402
from chart import alert_tests, promtool, write_rules  # noqa: E402
from grafana_types import unknown  # noqa: E402
from servers import ROOT, Checks, equal, holds  # noqa: E402
from shapes import of_alerts, of_dashboard  # noqa: E402

OPERATOR = "--api-versions=monitoring.coreos.com/v1"


def main():
    checks = Checks()
    all_on = rendered(*ALL_ON)
    for name, check in {
        "helm finds nothing wrong": lint,
        "what is off as it comes, and what is not": defaults,
        "dashboards arrive as they are": lambda: whole(all_on),
        "rules arrive with their words in place": lambda: rules_are_whole(groups(all_on)),
        "values change rules, and a wrong name is refused": changes,
        "its server is the one of this source": version,
        "promtool finds nothing wrong with the rules": lambda: promtool_is_content(groups(all_on)),
        "alerts fire when they shall": lambda: fire(groups(all_on)),
        "each alert has tests, texts and a section": lambda: belong(rules(groups(all_on), "alert")),
        "Grafana's own types know all of the dashboards": lambda: typed(dashboards(all_on)),
        "dashboards have what panels need": lambda: shaped(dashboards(all_on)),
    }.items():
        with checks.case(f"chart: {name}"):
            check()
    checks.close()


def lint():
    for options in ([], ALL_ON):
        told = helm("lint", "--strict", CHART, *WATCHED, *options)
        equal((told.returncode, told.stderr), (0, ""), told.stdout)


def defaults():
    files = sorted(path.name for path in (CHART / "dashboards").iterdir())
    made = rendered()
    equal(sorted(f"{document['kind']}" for document in made), ["ConfigMap"] * len(files), "without an operator")
    for document in made:
        equal(document["metadata"]["labels"]["grafana_dashboard"], "1", "the label that the sidecar looks for")
    named = {group["name"] for group in groups(rendered(OPERATOR))}
    equal(len(named), len(list((CHART / "alerts").iterdir())) - 1, "groups with an operator, that of the cost being off")
    equal(groups(rendered(OPERATOR, "--set=prometheusRule.enabled=false")), [], "groups where rules are off")
    equal(rendered("--set=dashboards.enabled=false"), [], "what is made where all is off")


def whole(documents):
    made = dashboards(documents)
    for path in (CHART / "dashboards").iterdir():
        equal(made.pop(f"completiond-{path.name}"), json.loads(path.read_text()), path.name)
    equal(made, {}, "dashboards without a file")
    holds("{{" in json.dumps(dashboards(documents)), "a legend has braces")
    for document in of_kind(documents, "ConfigMap"):
        equal(document["metadata"]["annotations"], {"grafana_folder": "completiond"}, "annotations")


def rules_are_whole(made):
    """Each rule of the files is there, with Prometheus' own braces as they were."""
    words = {"selector": 'job="completiond"', "runbook": "docs/operations.md"}
    words |= yaml.safe_load((CHART / "values.yaml").read_text())["prometheusRule"]["thresholds"]
    words |= {"costPerHour": "20", "memoryBytes": "1000000000"}
    written = [yaml.safe_load(path.read_text()) for path in (CHART / "alerts").iterdir()]
    for kind in ("alert", "record"):
        known, came = rules([group for file in written for group in file["groups"]], kind), rules(made, kind)
        equal(sorted(came), sorted(known), kind)
        for name, rule in known.items():
            equal(came[name]["expr"], in_place(words, rule["expr"]), f"{name}'s expression")
            texts = {key: in_place(words, text) for key, text in rule.get("annotations", {}).items()}
            equal(came[name].get("annotations", {}), texts, f"{name}'s annotations")


def in_place(words, text):
    return re.sub(r"@\{(\w+)\}", lambda found: as_helm_writes(words[found[1]]), text)


def as_helm_writes(value):
    """Large numbers of a file of values have an exponent."""
    is_large = not isinstance(value, str) and value >= 2**21
    return re.sub(r"\.?0*e", "e", f"{value:.15e}") if is_large else str(value)


def changes():
    changed = rendered(
        "--set=prometheusRule.enabled=true",
        "--set=prometheusRule.thresholds.errorRatio=0.2",
        "--set=prometheusRule.thresholds.workerBusy=null",
        "--set=prometheusRule.overrides.CompletiondBreakerOpen.for=30m",
        "--set=prometheusRule.overrides.CompletiondTargetDown.enabled=false",
        "--set=prometheusRule.alertLabels.team=platform",
        "--set=prometheusRule.runbook=https://handbook/ops",
        '--set=prometheusRule.selector=cluster=\\"a\\"',
    )
    alerts = rules(groups(changed), "alert")
    absent = alerts["CompletiondAbsent"]
    holds("> 0.2 and" in alerts["CompletiondErrorRatioHigh"]["expr"], "a threshold")
    equal({"CompletiondWorkerSaturated", "CompletiondTargetDown"} & set(alerts), set(), "alerts that are off")
    equal(alerts["CompletiondBreakerOpen"]["for"], "30m", "an override")
    equal(absent["labels"], {"severity": "critical", "team": "platform"}, "labels")
    equal(absent["annotations"]["runbook_url"], "https://handbook/ops#completiondabsent", "the handbook")
    equal(absent["expr"], 'absent(up{cluster="a"})', "the selector")
    for wrong in ("thresholds.errorRation=1", "overrides.CompletiondBreakerOpened.for=1m", "enabled=perhaps"):
        told = helm("template", "completiond", CHART, *WATCHED, f"--set=prometheusRule.{wrong}")
        holds(told.returncode != 0 and "prometheusRule" in told.stderr, f"{wrong}: {told.stderr}")


def version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    told = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    equal(chart["appVersion"], told, "appVersion")


def promtool_is_content(made):
    with tempfile.TemporaryDirectory() as folder:
        promtool("check", "rules", write_rules(folder, made))


def fire(made):
    """The tests compare the summary: of the other texts it is enough that promtool can read them."""
    shown = copy.deepcopy(made)
    for alert in rules(shown, "alert").values():
        alert["annotations"] = {"summary": alert["annotations"]["summary"]}
    with tempfile.TemporaryDirectory() as folder:
        write_rules(folder, shown)
        copies = [shutil.copy(path, folder) for path in alert_tests()]
        promtool("test", "rules", *copies)
        # And it would be seen.
        alert = rules(shown, "alert")["CompletiondTargetDown"]
        alert["expr"] = alert["expr"].replace("== 0", "== 1")
        write_rules(folder, shown)
        told = fails(lambda: promtool("test", "rules", *copies))
        holds("CompletiondTargetDown" in told, told)


def fails(check):
    """What is told by a check that must fail."""
    try:
        check()
    except AssertionError as error:
        return str(error)
    raise AssertionError("nothing was found")


def belong(alerts):
    tests, handbook = list(alert_tests().values()), (ROOT / "docs/operations.md").read_text()
    equal(list(of_alerts(alerts, tests, handbook)), [], "what alerts lack")
    # And it would be seen.
    name, rule = next(iter(alerts.items()))
    strange = {"labels": {"severity": "loud"}, "annotations": {**rule["annotations"], "summary": "{{ $labels.nothing }}"}}
    found = list(of_alerts({**alerts, name: strange, "CompletiondNew": rule}, tests, handbook))
    of_name = {one.split(": ")[0]: [what for what in found if what.startswith(one.split(": ")[0])] for one in found}
    equal({one: len(whats) for one, whats in of_name.items()}, {name: 2, "CompletiondNew": 4}, f"complaints: {found}")


def typed(made):
    equal([what for name, dashboard in made.items() for what in unknown(dashboard, name)], [], "what Grafana does not know")
    # And it would be seen.
    name, broken = next(iter(copy.deepcopy(made).items()))
    panel = next(panel for panel in broken["panels"] if panel["type"] == "stat")
    panel["options"]["colourMode"] = panel["fieldConfig"]["defaults"]["units"] = "red"
    told = [what.rpartition(".")[2] for what in unknown(broken, name)]
    equal(told, ["units", "colourMode"], "what Grafana does not know")


def shaped(made):
    holds(made, "there are dashboards")
    equal([what for name, dashboard in made.items() for what in of_dashboard(name, dashboard)], [], "what dashboards lack")
    equal(len({dashboard["uid"] for dashboard in made.values()}), len(made), "dashboards by their uid")
    # And it would be seen.
    name, broken = next(iter(copy.deepcopy(made).items()))
    panel = next(panel for panel in broken["panels"] if panel["type"] != "row")
    del panel["description"], panel["fieldConfig"]["defaults"]["unit"]
    panel["targets"][0]["expr"] = "rate(completiond_attempts_total[$nothing])"
    broken["panels"].append(panel)
    title = panel["title"]
    found = {what.removeprefix(f"{name}, ").removeprefix(f"{name}: ") for what in of_dashboard(name, broken)}
    lacks = ["it has no description", "it has no unit", "there is no variable nothing", "it looks at all jobs"]
    expected = {f"{title}: {what}" for what in lacks} | {"two panels have one id", f"{title} lies on {title}"}
    equal(found, expected, "complaints about a broken one")


if __name__ == "__main__":
    main()
