"""Checks the recipe of the image as far as that goes without a container runtime: that the context has what is copied and
nothing else, that nothing is left to chance, and that image and chart agree. No image is built.

`check.py --build` also runs the recipe's own build command in a folder that has the context alone, twice, in two places:
the binaries must be the same to the byte. That takes many minutes.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import yaml  # noqa: E402
from recipe import ROOT, arguments, context, copies, filled, instructions, is_left_out  # noqa: E402
from recipe import patterns, stages, words_of  # noqa: E402
from servers import Checks, equal, holds  # noqa: E402

FOUND = instructions((ROOT / "Dockerfile").read_text())
BEFORE, BUILD, IMAGE = stages(FOUND)
CARGO_HOME = os.environ.get("CARGO_HOME", str(pathlib.Path.home() / ".cargo"))


def main():
    checks = Checks()
    for name, check in {
        "what is copied is in the context, and all of the context is copied": copied,
        "keys, built files and tests stay outside": kept_out,
        "the source needs no file that is not copied": needed,
        "images are pinned by tag, and have a place for a digest": pinned,
        "the compiler is one that the source takes": compiler,
        "nothing tells when or where it was built": reproducible,
        "it is guided by the profile, as the benchmark is": guided,
        "it runs as nobody, and says what it is": runs,
        "the chart starts it as it is": chart,
    }.items():
        with checks.case(f"image: {name}"):
            check()
    if sys.argv[1:] == ["--build"]:
        with checks.case("image: built twice in two places it is the same binary, and it runs"):
            built()
    checks.close()


def copied():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sent = context(folder)
        sources = [source for stage in (BUILD, IMAGE) for froms, _ in copies(stage) for source in froms]
        for source in sources:
            holds((folder / source).exists(), f"COPY {source}: it is not in the context")
        unused = [path for path in sent if not any(path == one or path.startswith(f"{one}/") for one in sources)]
        equal(unused, [], "sent and not copied")
    made = next(rest for word, rest in BUILD if word == "RUN")
    for word, rest in IMAGE:
        if word == "COPY" and rest.startswith("--from=build "):
            holds(rest.split()[1] in made, f"{rest}: the build makes no such file")


def kept_out():
    ignored = patterns((ROOT / ".dockerignore").read_text())
    for path in (".env", "keys/anthropic", "target/release/completiond", ".git/config", "tests/support/mod.rs", "src.bak"):
        holds(is_left_out(path, ignored), f"{path} would be sent")
    for path in ("src/main.rs", ".cargo/config.toml", "proto/completiond/v1/completion.proto"):
        holds(not is_left_out(path, ignored), f"{path} would not be sent")


def needed():
    """Files that the code includes, and what the manifest names for the binary."""
    sources = [source for froms, _ in copies(BUILD) for source in froms]
    for file in (ROOT / "src").rglob("*.rs"):
        if file.name == "tests.rs":
            continue
        for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', file.read_text()):
            path = (file.parent / name).resolve().relative_to(ROOT)
            holds(path.parts[0] in sources and (ROOT / path).exists(), f"{file} includes {path}")
    for name in re.findall(r'Path::new\("([^"]+)"\)', (ROOT / "build.rs").read_text()):
        holds(name in sources, f"build.rs reads {name}")


def pinned():
    defaults = arguments(BEFORE)
    bases = [rest for stage in (BUILD, IMAGE) for word, rest in stage if word == "FROM"]
    for base in bases:
        image = base.split()[0]
        holds(re.search(r":\$\{\w+_TAG\}\$\{\w+_DIGEST\}$", image), f"{image} has no places for tag and digest")
        name = filled(image, defaults)
        holds(re.fullmatch(r"[a-z.]+/[\w/-]+:[\w.-]+", name) and not name.endswith(":latest"), f"{name} is not pinned")
        holds("." in name.split("/")[0], f"{name} says no registry")
    equal({defaults[key] for key in defaults if key.endswith("_DIGEST")}, {""}, "digests, which a release gives")


def compiler():
    found = re.match(r"(\d+)\.(\d+)", arguments(BEFORE)["RUST_TAG"])
    least = re.search(r'^rust-version = "(\d+)\.(\d+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    holds(tuple(map(int, found.groups())) >= tuple(map(int, least.groups())), f"{found[0]} is older than {least[0]}")


def reproducible():
    text = " ".join(rest for _, rest in BUILD)
    for part in ("--locked", "--remap-path-prefix=/src=", "--remap-path-prefix=/usr/local/cargo=", "CARGO_INCREMENTAL=0"):
        holds(part in text, f"the build lacks {part}")
    holds("SOURCE_DATE_EPOCH" in arguments(BUILD), "the date is no argument")
    equal(re.findall(r"apt-get|curl|wget|ADD |\bdate\b", text), [], "what gives another result tomorrow")
    holds("org.opencontainers.image.created" not in str(IMAGE), "a label has a date")


def guided():
    recipe = " ".join(rest for word, rest in BUILD if word == "RUN")
    benchmark = (ROOT / "benches/guided.sh").read_text()
    for name, text in {"the recipe": recipe, "the benchmark": benchmark}.items():
        holds("$(data/guided/flags " in text, f"{name} does not ask for the flags")
        holds('--target "$machine"' in text, f"{name} names no target, on which the names of functions depend")
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run([ROOT / "data/guided/flags", folder], capture_output=True, text=True, check=True).stdout
        holds(f"-Cprofile-use={folder}/guided.counts" in told and f"-file={folder}/guided.order" in told, told)
        # As LLVM's indexed profiles begin.
        equal((pathlib.Path(folder) / "guided.counts").read_bytes()[:8], b"\xfflprofi\x81", "what the counts begin with")
        names = (pathlib.Path(folder) / "guided.order").read_text().split()
        holds(sum("completiond" in name for name in names) > 100, "the order has hardly a function of ours")


def runs():
    equal([rest for word, rest in IMAGE if word == "USER"], ["65532:65532"], "the user, as a number")
    holds(all(word != "RUN" for word, _ in IMAGE), "there is no shell to run anything")
    labels = next(rest for word, rest in IMAGE if word == "LABEL")
    for name in ("title", "description", "licenses", "version", "revision"):
        holds(f"org.opencontainers.image.{name}=" in labels, f"there is no label {name}")
    manifest = (ROOT / "Cargo.toml").read_text()
    equal(re.search(r'image.licenses="([^"]+)"', labels)[1], re.search(r'^license = "(.*)"$', manifest, re.M)[1], "licence")


def chart():
    values = yaml.safe_load((ROOT / "helm/completiond/values.yaml").read_text())
    pod = values["podSecurityContext"]
    equal(next(rest for word, rest in IMAGE if word == "USER"), f"{pod['runAsUser']}:{pod['runAsGroup']}", "user")
    ports = next(rest for word, rest in IMAGE if word == "EXPOSE")
    equal([int(port) for port in ports.split()], list(values["ports"].values()), "ports")
    container = (ROOT / "helm/completiond/templates/_container.tpl").read_text()
    holds("args:\n  - serve" in container and "command:" not in container, "the chart starts something else")
    equal(words_of(IMAGE, "ENTRYPOINT"), ["/usr/local/bin/completiond"], "the program")
    equal(words_of(IMAGE, "CMD"), ["serve"], "what it does")


def built():
    """The command of the recipe, with the places of this machine in place of the image's."""
    digests = set()
    for place in ("one", "another-place"):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder) / place
            folder.mkdir()
            context(folder)
            content = build(folder)
            for trace in (str(folder), CARGO_HOME):
                holds(trace.encode() not in content, f"{trace} is in the binary")
            digests.add(hashlib.sha256(content).hexdigest())
            print(f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}", flush=True)
    equal(len(digests), 1, f"different binaries: {digests}")


def build(folder):
    """What the recipe's first stage makes of the context in `folder`."""

    def here(text):
        return text.strip('"').replace("=/src=", f"={folder}=").replace("/usr/local/cargo=", f"{CARGO_HOME}=")

    command = re.sub(r"--mount=\S+ ", "", next(rest for word, rest in BUILD if word == "RUN"))
    settings = [pair for word, rest in BUILD if word == "ENV" for pair in re.findall(r'(\w+)=("[^"]*"|\S+)', rest)]
    environment = {**os.environ, **{name: here(value) for name, value in settings}, "SOURCE_DATE_EPOCH": "0"}
    told = subprocess.run(
        ["sh", "-c", command.replace("/out/", f"{folder}/out/")], cwd=folder, capture_output=True, text=True, env=environment
    )
    holds(told.returncode == 0 and told.stdout.startswith("completiond "), told.stderr[-2000:] + told.stdout)
    return (folder / "out/completiond").read_bytes()


if __name__ == "__main__":
    main()
