"""What stands in expressions of PromQL, and what Grafana puts into them. Nothing is asked of anybody here."""

import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
MATCHERS = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{([^}]*)\}")
RANGE = re.compile(r"\[[^\]]*\]")
WORDS = set("and or unless bool offset by without on ignoring group_left group_right inf nan".split())
# In place of Grafana's own variables: the life that is asked about lasts some seconds.
BUILT_IN = {"__rate_interval": "5m", "__interval": "15s", "__range": "10m"}


def names(expression):
    """The names of series that it reads."""
    rest = MATCHERS.sub(lambda found: f" {found[1] or ''} ", STRING.sub('""', expression))
    rest = RANGE.sub(" ", LABELS.sub(" ", rest))
    is_number = re.compile(r"(?<![a-zA-Z_:])[0-9][0-9a-zA-Z.]*")
    found = NAME.finditer(is_number.sub(" ", rest))
    called = re.compile(r"\s*\(")
    return {name[0] for name in found if name[0].lower() not in WORDS and not called.match(name.string, name.end())}


def labels(expression):
    """The names of labels that it looks at."""
    plain = STRING.sub('""', expression)
    grouped = {word.strip() for found in LABELS.findall(plain) for word in found.split(",")}
    matcher = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
    matched = {name for _, inner in MATCHERS.findall(plain) for name in matcher.findall(inner)}
    return (grouped | matched) - {""}


def variables(text):
    """The names of Grafana's variables in a text."""
    return set(re.findall(r"\$\{?([a-zA-Z_]\w*)\}?", text))


def filled(text, values):
    """The text with the variables' values in their places."""
    known = {**BUILT_IN, **values}
    return re.sub(r"\$\{?([a-zA-Z_]\w*)\}?", lambda found: known[found[1]], text)


def queries(dashboard):
    """Each panel's title with each of its expressions."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def choices(dashboard):
    """The dashboard's variables that are asked of Prometheus: name, series and label."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            yield variable["name"], series, label
