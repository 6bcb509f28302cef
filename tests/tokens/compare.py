"""Holds this server's counts against the tokenizers' original (PyPI `tiktoken`) and another one (npm `gpt-tokenizer`).

The original reads its vocabularies from the network; here it reads the files of the crate `tiktoken-rs`, and checks that
they are its own by their hashes. Run by `.ci/run tokens`.
"""

import json
import os
import pathlib
import subprocess
import sys

# Nothing is kept from one run to the next.
os.environ["TIKTOKEN_CACHE_DIR"] = ""

import tiktoken
import tiktoken.load
import tiktoken_ext.openai_public as public

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = sorted((ROOT / "tests/tokens/corpus").glob("*.txt"))
MODELS = {"o200k_base": "nobody/gpt-4o", "cl100k_base": "nobody/gpt-4"}


def vocabularies():
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    packages = json.loads(metadata.stdout)["packages"]
    manifest = next(package["manifest_path"] for package in packages if package["name"] == "tiktoken-rs")
    return pathlib.Path(manifest).parent / "assets"


def originals():
    files = vocabularies()

    def local(url, expected_hash):
        return tiktoken.load.load_tiktoken_bpe(str(files / url.rsplit("/", 1)[1]), expected_hash)

    public.load_tiktoken_bpe = local
    return {name: tiktoken.Encoding(**getattr(public, name)()) for name in MODELS}


def of_npm():
    """All counts of the npm package, by encoding and file."""
    script = """
        const fs = require("fs");
        const [folder, ...files] = process.argv.slice(1);
        const counts = {};
        for (const name of ["o200k_base", "cl100k_base"]) {
            const { encode } = require(`${folder}/gpt-tokenizer/cjs/encoding/${name}`);
            // What looks like a mark is text, as it is for this server.
            const count = (file) => encode(fs.readFileSync(file, "utf8"), { disallowedSpecial: new Set() }).length;
            counts[name] = Object.fromEntries(files.map((file) => [file, count(file)]));
        }
        console.log(JSON.stringify(counts));
    """
    done = subprocess.run(
        ["node", "-e", script, os.environ["NODE_MODULES"], *map(str, CORPUS)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def ours(model, file):
    command = [os.environ["COMPLETIOND"], "--config", str(ROOT / "tests/tokens/config.yaml"), "tokens", str(file)]
    done = subprocess.run([*command, "--model", model, "--json"], check=True, stdout=subprocess.PIPE)
    counted = json.loads(done.stdout)
    assert counted["source"] == "COUNT_SOURCE_TOKENIZER", counted
    return counted["parts"]["messages"]


def row(file, true):
    """How far estimates are from the truth of o200k_base, as a row of docs/tokens.md."""
    size = file.stat().st_size
    other, thumb = true["cl100k_base"], -(-size // 4)
    error = lambda estimate: f"{(estimate - true['o200k_base']) * 100 / true['o200k_base']:+.0f} %"
    return f"| {file.name} | {size} | {true['o200k_base']} | {true['cl100k_base']} | {error(other)} | {error(thumb)} |"


def main():
    assert len(CORPUS) >= 6, "the corpus is not there"
    encodings, npm = originals(), of_npm()
    papers = (ROOT / "docs/tokens.md").read_text()
    wrong = []
    for file in CORPUS:
        text = file.read_bytes().decode()
        true = {name: len(encoding.encode_ordinary(text)) for name, encoding in encodings.items()}
        for name, model in MODELS.items():
            counts = {"this server": ours(model, file), "tiktoken": true[name], "gpt-tokenizer": npm[name][str(file)]}
            if len(set(counts.values())) > 1:
                wrong.append(f"{file.name} in {name}: {counts}")
        print(row(file, true))
        if row(file, true) not in papers:
            wrong.append(f"docs/tokens.md does not have this row of {file.name}")
    print("\n".join(wrong) or "all counts are the same")
    sys.exit(bool(wrong))


main()
