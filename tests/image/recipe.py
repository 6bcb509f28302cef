"""The Dockerfile as data, and the context that .dockerignore leaves of the source. It runs nothing."""

import fnmatch
import json
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def instructions(text):
    """The instructions in their order, each as its word and the rest, with lines joined and without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word.upper(), re.sub(r"\s+", " ", rest).strip()) for word, _, rest in found]


def stages(found):
    """The instructions by stages: what stands before the first one, then each with its FROM."""
    parts = [[]]
    for word, rest in found:
        if word == "FROM":
            parts.append([])
        parts[-1].append((word, rest))
    return parts


def arguments(found):
    """The defaults of the arguments."""
    return dict(rest.split("=", 1) for word, rest in found if word == "ARG" and "=" in rest)


def filled(text, values):
    return re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], text)


def copies(stage):
    """What is copied into a stage from the context: sources and destination."""
    for word, rest in stage:
        words = rest.split()
        if word == "COPY" and not words[0].startswith("--from="):
            yield words[:-1], words[-1]


def words_of(found, word):
    """The list of ENTRYPOINT or CMD."""
    return next(json.loads(rest) for name, rest in found if name == word)


def is_left_out(path, patterns):
    """Whether .dockerignore keeps a path from the context: the last pattern that matches it or a folder above it decides."""
    left_out = False
    above = [path, *[str(parent) for parent in pathlib.PurePath(path).parents if str(parent) != "."]]
    for pattern in patterns:
        name = pattern.removeprefix("!").strip("/")
        if any(fnmatch.fnmatchcase(one, name) for one in above):
            left_out = not pattern.startswith("!")
    return left_out


def patterns(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def context(folder):
    """Puts what a build of the committed files would be sent into `folder`, and says which files these are."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    ignored = patterns((ROOT / ".dockerignore").read_text())
    sent = [path for path in tracked if not is_left_out(path, ignored)]
    for path in sent:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    return sent
