"""Checks that what dashboards and alerts ask is there: a real server lives through everything that its metrics tell of, a
real Prometheus scrapes it and evaluates the rules, and each query of each panel is asked.
"""

import copy
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from chart import ALL_ON, alert_tests, dashboards, groups, rendered, rules, write_rules  # noqa: E402
from expressions import choices, filled, labels, names, queries  # noqa: E402
from life import MOST_IN_FLIGHT, SERVER, Life, put_files  # noqa: E402
from long_answers import long_answers  # noqa: E402
from prometheus_server import Prometheus, eventually  # noqa: E402
from servers import ROOT, Checks, Completiond, equal, free_port, holds  # noqa: E402

# What an operator who has chosen nothing asks.
CHOSEN = {"job": "completiond", "instance": ".*", "model": ".*", "endpoint": ".*", "caller": ".*"}
PAPERS = ["docs/metrics.md", "docs/caching.md", "docs/accounting.md"]
# Metrics that stay at 0 here.
NEVER = {"completiond_telemetry_lost_total": "thousands of calls must end within a quarter of a second"}
# What has happened to the server, as alerts see it before they wait whether it lasts; and what has not. How long things took
# is a matter of the machine, so the others are not looked at.
HAPPENED = {
    "CompletiondErrorRatioHigh",
    "CompletiondCallsRefused",
    "CompletiondProviderFailing",
    "CompletiondKeyRefused",
    "CompletiondBreakerOpen",
    "CompletiondSharedStoreAway",
    "CompletiondIssuerAway",
}
HAPPENED_NOT = {
    "CompletiondTargetDown",
    "CompletiondAbsent",
    "CompletiondRestarting",
    "CompletiondMostCallsFail",
    "CompletiondNoEndpointHealthy",
    "CompletiondMemoryHigh",
    "CompletiondTelemetryLost",
    "CompletiondCostHigh",
    "CompletiondRateLimitNearlyUsed",
    "CompletiondCertificateEnds",
    "CompletiondReloadFailing",
}
# Variables without a value to choose here: all that there is is all.
NOTHING_TO_CHOOSE = {"caller": "the server of the script tells no callers apart"}


def main():
    checks = Checks()
    documents = rendered(*ALL_ON)
    made, boards = groups(documents), dashboards(documents)
    with tempfile.TemporaryDirectory() as folder, long_answers() as upstream:
        config = pathlib.Path(folder) / "completiond.yaml"
        config.write_text(SERVER)
        put_files(pathlib.Path(folder))
        environment = {"FOLDER": folder, "REDIS_URL": f"redis://127.0.0.1:{free_port()}", "LONG_ANSWERS": upstream}
        with Completiond(config, environment) as server:
            with Prometheus(folder, server.ops, write_rules(folder, made)) as prometheus:
                with checks.case("queries: a server lives through everything"):
                    live(server, prometheus)
                for name, check in {
                    "every metric of the papers has told something": lambda: everything_was_told(prometheus),
                    "every query of a dashboard has an answer": lambda: answered(prometheus, boards),
                    "a query for what is not there is found": lambda: unanswered_is_found(prometheus, boards),
                    "every query of the papers has an answer": lambda: papers_are_answered(prometheus),
                    "the dashboards' variables have values": lambda: chosen(prometheus, boards),
                    "every rule is evaluated, and asks for what is there": lambda: evaluated(prometheus, made),
                    "alerts see what has happened, and nothing else": lambda: seen(prometheus, rules(made, "alert")),
                    "the rules' tests are about series that are there": lambda: tested(prometheus),
                }.items():
                    with checks.case(f"queries: {name}"):
                        check()
    checks.close()


def live(server, prometheus):
    """Twice, so that counters have moved while they were looked at."""
    in_flight = "completiond_calls_in_flight"
    with Life(server) as first:
        first.live()
        eventually(lambda: prometheus.values(in_flight) == [0], "all calls have given back their places")
        with first.crowd():
            for gauge in (in_flight, "completiond_calls_request_bytes_in_flight_bytes"):
                eventually(lambda: any(prometheus.values(gauge)), f"{gauge} is above 0")
            eventually(lambda: any(prometheus.values("completiond_endpoint_in_flight")), "attempts are in flight")
            eventually(lambda: prometheus.values("completiond_calls_refused_total") == [1], "one was refused")
    hits = 'completiond_cache_calls_total{completiond_cache_status="hit"}'
    eventually(lambda: prometheus.values(hits) == [1], "the first life was scraped")
    with Life(server) as second:
        second.live()
        eventually(lambda: prometheus.values(in_flight) == [0], "all calls have given back their places")
        with second.crowd():
            eventually(lambda: prometheus.values("completiond_calls_refused_total") == [2], "another one was refused")
    left = 'sum(completiond_usage_calls_total{completiond_call_outcome="cancelled"})'
    eventually(lambda: prometheus.values(left) == [2 * MOST_IN_FLIGHT], "both crowds have gone")
    eventually(lambda: prometheus.values("completiond:calls_failed:ratio_rate5m"), "the rules were evaluated")


def told():
    """The metrics of the papers' tables, by Prometheus' names."""
    rows = [line for paper in PAPERS for line in (ROOT / paper).read_text().splitlines() if line.startswith("|")]
    cells = [cell.strip() for line in rows for cell in line.split("|")[1:3]]
    return {cell[1:-1] for cell in cells if re.fullmatch(r"`(completiond|gen_ai|rpc)_[a-z_]+`", cell)}


def everything_was_told(prometheus):
    names = told()
    holds(len(names) > 35, f"the tables were not found: {names}")
    silent = {name for name in names if not has_told(prometheus, name)}
    equal(silent, set(NEVER), "metrics that were 0 all the time")
    # And it would be seen.
    holds(not has_told(prometheus, "completiond_nothing"), "what is not there has told something")


def has_told(prometheus, name):
    most = [prometheus.values(f"max_over_time({one}[1h]) > 0") for one in (name, f"{name}_count")]
    return any(most)


def unanswered(prometheus, boards):
    """Queries without an answer. A number it must be: the quantile of nothing is none."""
    for name, board in boards.items():
        for title, expression in queries(board):
            if not prometheus.values(filled(expression, CHOSEN)):
                yield f"{name}, {title}: {expression}"


def answered(prometheus, boards):
    print(f"{sum(len(list(queries(board))) for board in boards.values())} queries of {len(boards)} dashboards")
    equal(list(unanswered(prometheus, boards)), [], "queries without an answer")


def unanswered_is_found(prometheus, boards):
    name, board = next(iter(copy.deepcopy(boards).items()))
    panel = next(panel for panel in board["panels"] if panel.get("targets"))
    for wrong in ('completiond_attempt_total{job=~"$job"}', 'completiond_attempts_total{job=~"$job", outcome="failed"}'):
        panel["targets"][0]["expr"] = f"sum(rate({wrong}[$__rate_interval]))"
        equal(len(list(unanswered(prometheus, {name: board}))), 1, wrong)


def papers_are_answered(prometheus):
    texts = {paper: (ROOT / paper).read_text() for paper in ["docs/operations.md", *PAPERS]}
    block = re.compile(r"```promql\n(.*?)```", re.DOTALL)
    asked = [(paper, query) for paper, text in texts.items() for query in block.findall(text)]
    holds(len(asked) > 20, "the queries were not found")
    equal([one for one in asked if not prometheus.values(one[1])], [], "queries without an answer")


def chosen(prometheus, boards):
    variables = [one for board in boards.values() for one in choices(board)]
    have_values = {name: values(prometheus, filled(series, CHOSEN), label) for name, series, label in variables}
    equal({name for name, found in have_values.items() if not found}, set(NOTHING_TO_CHOOSE), "variables without values")


def values(prometheus, series, label):
    """The values of a label that can be chosen: of the series that are there, and not empty."""
    return [value for value in prometheus.ask(f"label/{label}/values", **{"match[]": series}) if value]


def evaluated(prometheus, made):
    recorded = set(rules(made, "record"))
    in_force = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    equal({rule["name"] for rule in in_force}, recorded | set(rules(made, "alert")), "rules that are in force")
    equal([(rule["name"], rule.get("lastError")) for rule in in_force if rule["health"] != "ok"], [], "rules that fail")
    equal([name for name in recorded if not prometheus.values(name)], [], "recording rules without an answer")
    expressions = [rule["expr"] for group in made for rule in group["rules"]]
    equal([what for expression in expressions for what in strange(prometheus, expression)], [], "what is not there")
    # And it would be seen.
    wrong = 'sum by (completiond_end) (rate(completiond_attempt_total{job="x"}[5m])) > 1 and up == 1'
    equal(sorted(strange(prometheus, wrong)), ["completiond_attempt_total", "completiond_end"], "what is not there")


def strange(prometheus, expression):
    """Names of series and labels in an expression that Prometheus has never seen."""
    read = names(expression)
    holds(read, f"no name was found in {expression}")
    known = {name: prometheus.labels_of(name) for name in read}
    yield from (name for name, seen in known.items() if not seen)
    yield from labels(expression) - set().union(*known.values())


def seen(prometheus, alerts):
    holding = {name for name in HAPPENED | HAPPENED_NOT if prometheus.values(alerts[name]["expr"])}
    equal(holding, HAPPENED, "alerts whose condition holds")


def tested(prometheus):
    tests = [test for file in alert_tests().values() for test in file["tests"]]
    series = [one["series"] for test in tests for one in test["input_series"]]
    holds(series, "there are series in the tests")
    for one in series:
        name = one.split("{")[0]
        known = prometheus.labels_of(name)
        equal(labels(one) - known, set(), f"labels of {name} that it does not have")


if __name__ == "__main__":
    main()
