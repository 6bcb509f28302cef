"""Checks what no compiler reads: links between Markdown files, JSON, Python's syntax, and that versions agree."""

import json
import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCE = re.compile(r"```.*?```", re.DOTALL)


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(path, text):
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, place = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            yield f"{path}: {target} is not there"
        elif place and place not in map(anchor, HEADING.findall(FENCE.sub("", file.read_text()))):
            yield f"{path}: {target} names no heading"


def versions():
    """The versions that a user installs by the README are those that the checks install."""
    tools = pathlib.Path(".ci/tools.sh").read_text()
    pinned = dict(re.findall(r"^([A-Z_]+)_VERSION=(\S+)$", tools, re.MULTILINE))
    requirements = dict(re.findall(r"^(\S+)==(\S+)$", pathlib.Path("examples/python/requirements.txt").read_text(), re.M))
    for name, version in requirements.items():
        if version != pinned["GRPC_PYTHON"]:
            yield f"examples/python/requirements.txt: {name} {version} is not {pinned['GRPC_PYTHON']}"
    if f"grpcurl@v{pinned['GRPCURL']}" not in pathlib.Path("README.md").read_text():
        yield f"README.md: grpcurl is not {pinned['GRPCURL']}"
    if f"buf@{pinned['BUF']}" not in pathlib.Path("examples/go/generate.sh").read_text():
        yield f"examples/go/generate.sh: buf is not {pinned['BUF']}"


def main():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
    found, read = [], 0
    for path in (pathlib.Path(name) for name in tracked if name):
        if path.suffix not in (".md", ".json", ".py") or not path.exists():
            continue
        read += 1
        text = path.read_text(errors="replace")
        try:
            if path.suffix == ".md":
                found += broken_links(path, text)
            elif path.suffix == ".py":
                compile(text, str(path), "exec")
            elif "tests/transcripts" not in str(path) and "fuzz" not in str(path):
                json.loads(text)
        except (SyntaxError, ValueError) as error:
            found.append(f"{path}: {error}")
    found += versions()
    print("\n".join(found) if found else f"{read} files read")
    sys.exit(1 if found or not read else 0)


if __name__ == "__main__":
    main()
