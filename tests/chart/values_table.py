"""The table of values in the chart's README, made of the comments in values.yaml: a comment stands above its key.

`values_table.py --write` writes it anew.
"""

import re
import sys

import yaml
from renderings import CHART

README, VALUES = CHART / "README.md", CHART / "values.yaml"
BEGIN, END = "<!-- values: made by tests/chart/values_table.py -->\n", "<!-- end of values -->\n"
KEY = re.compile(r"^( *)([A-Za-z]\w*):(.*)$")
# What is passed on as it is; its parts are Kubernetes' own.
WHOLE = {"resources", "podSecurityContext", "securityContext", "autoscaling.behavior", "grpcRoute.matches"}


def commented():
    """The comment above each key, by the key's path, in the file's order; empty where there is none."""
    found, path, comment = {}, [], []
    for line in VALUES.read_text().splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.removeprefix("#").removeprefix(" "))
        elif key := KEY.match(line):
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            found[".".join(path)] = prose(comment)
            comment = []
        else:
            comment = []
    return found


def prose(lines):
    """A comment without its examples, which are indented."""
    return " ".join(line.strip() for line in lines if not line.startswith("  ")).strip().removesuffix(":")


def leaves(values, path=""):
    """Each value that can be set, by its path."""
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        if is_group(here, value):
            yield from leaves(value, here)
        else:
            yield here, value


def is_group(path, value):
    return isinstance(value, dict) and bool(value) and path not in WHOLE


def above(path):
    """The groups that a value is in, the nearest first."""
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]


def shown(value):
    if isinstance(value, dict | list):
        text = yaml.safe_dump(value, default_flow_style=True, width=10000).strip()
        return f"`{text}`" if len(text) <= 60 else "see the file"
    return "none" if value in (None, "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table():
    """A row for each value, and one before them for each group that has a comment."""
    comments, told = commented(), set()
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for path, value in leaves(yaml.safe_load(VALUES.read_text())):
        for group in reversed(above(path)):
            if group not in told and comments.get(group):
                rows.append(f"| **`{group}`** | | {cell(comments[group])} |")
            told.add(group)
        rows.append(f"| `{path}` | {shown(value)} | {cell(comments.get(path, ''))} |")
    return "\n".join(rows) + "\n"


def cell(text):
    return text.replace("|", "\\|")


def unexplained():
    """Values of which nothing is said, neither for themselves nor for a group that they are in."""
    comments = commented()
    paths = [path for path, _ in leaves(yaml.safe_load(VALUES.read_text()))]
    return [path for path in paths if not any(comments.get(one) for one in [path, *above(path)])]


def in_place(text):
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        README.write_text(in_place(README.read_text()))
    else:
        print(table(), end="")
