"""What is wrong with a dashboard or with what belongs to an alert, as far as it can be seen without a Grafana and a
Prometheus.
"""

import re

from expressions import BUILT_IN, choices, queries, variables

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA = 42
COLUMNS = 24


def of_dashboard(name, dashboard):
    """Complaints about one dashboard."""
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    known = {variable["name"] for variable in dashboard["templating"]["list"]} | set(BUILT_IN)
    if dashboard["schemaVersion"] != SCHEMA:
        yield f"{name}: its schema is not {SCHEMA}"
    if len({panel["id"] for panel in dashboard["panels"]}) != len(dashboard["panels"]):
        yield f"{name}: two panels have one id"
    for panel in panels:
        yield from (f"{name}, {panel['title']}: {what}" for what in of_panel(panel))
    for title, expression in [*queries(dashboard), *((f"${name}", series) for name, series, _ in choices(dashboard))]:
        for variable in sorted(variables(expression) - known):
            yield f"{name}, {title}: there is no variable {variable}"
        if "job=~" not in expression and not title.startswith("$"):
            yield f"{name}, {title}: it looks at all jobs"
    yield from (f"{name}: {one} lies on {other}" for one, other in overlaps(dashboard["panels"]))


def of_panel(panel):
    if not panel.get("description", "").endswith("."):
        yield "it has no description"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "it has no unit"
    if not panel.get("targets"):
        yield "it asks nothing"
    if any(part.get("datasource") != SOURCE for part in [panel, *panel.get("targets", [])]):
        yield "its source is not the one that is chosen"
    if len({target["refId"] for target in panel["targets"]}) != len(panel["targets"]):
        yield "two queries have one name"


def overlaps(panels):
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > COLUMNS:
            yield panel["title"], "the edge"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    yield panel["title"], taken[x, y]
                    break
                taken[x, y] = panel["title"]


def of_alerts(alerts, tests, handbook):
    """Complaints about alerts (rules by name), their tests (parsed files), and the handbook's text."""
    fired, quiet = cases(tests)
    sections = re.findall(r"^### (Completiond\w+)$", handbook, re.MULTILINE)
    for name, rule in alerts.items():
        if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
            yield f"{name}: its severity is neither critical nor warning"
        texts = rule.get("annotations", {})
        if not all(texts.get(key) for key in ("summary", "description")):
            yield f"{name}: it does not say what it is about"
        if not texts.get("runbook_url", "").endswith(f"#{name.lower()}"):
            yield f"{name}: it does not lead to its section"
        if name not in sections:
            yield f"{name}: docs/operations.md has no section"
        if name not in fired:
            yield f"{name}: no test lets it fire"
        if name not in quiet:
            yield f"{name}: no test keeps it quiet"
        for label in re.findall(r"\$labels\.(\w+)", " ".join(texts.values())):
            if name in fired and label not in fired[name]:
                yield f"{name}: it has no label {label} when it fires"
    yield from (f"{name}: there is no such alert" for name in sorted({*sections, *fired, *quiet} - set(alerts)))


def cases(tests):
    """Of each alert that fires in a test the labels; and the alerts that do not fire in one."""
    fired, quiet = {}, set()
    for test in (test for file in tests for test in file["tests"]):
        for case in test.get("alert_rule_test", []):
            if case["exp_alerts"]:
                fired.setdefault(case["alertname"], set()).update(*(alert["exp_labels"] for alert in case["exp_alerts"]))
            else:
                quiet.add(case["alertname"])
    return fired, quiet
