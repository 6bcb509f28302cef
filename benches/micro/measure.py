"""Counts the instructions of each micro benchmark under callgrind, and holds them to budget.toml: `just micro`.

    measure.py            all of them
    measure.py NAME...    some of them

UPDATE_BUDGET=1 writes what was counted as the new budget. MICRO names a program that is built already.
"""

import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import tomllib

import callgrind

FOLDER = pathlib.Path(__file__).resolve().parent
BUDGET = FOLDER / "budget.toml"
# Cargo's profile: the release with the names of functions, by which callgrind finds where it shall count.
PROFILE = "profiling"
COUNTED = "micro::measured*"
# By how many percent a benchmark may grow, from how many on it is told that it has, and from how many on that it shrank.
GROWTH, TOLD, LESS = 5, 1, 10
# How many functions of each benchmark are kept, the largest; how many are named that have grown; and which part of the growth
# one must have to be named beside the first: what is less is chance.
KEPT, NAMED, WORTH_NAMING = 15, 3, 0.1
# jemalloc gives memory back, and looks through what its threads keep at hand, by the clock, which has no place in a count.
ENVIRONMENT = {
    "_RJEM_MALLOC_CONF": "background_thread:false,dirty_decay_ms:-1,muzzy_decay_ms:-1,tcache_gc_incr_bytes:1073741824"
}
HEADER = """\
# How many instructions each micro benchmark takes for one event, request, answer or call, and the functions of ours that have
# the most of them, each with what it has others do for it. `just micro` holds the counts to this; UPDATE_BUDGET=1 writes it anew.
# See docs/benchmarks.md.
"""


def build():
    command = ["cargo", "bench", "--locked", "--profile", PROFILE, "--bench", "micro", "--no-run"]
    command += ["--message-format", "json-render-diagnostics"]
    lines = subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines]
    [binary] = [it["executable"] for it in built if it["reason"] == "compiler-artifact" and it["target"]["name"] == "micro"]
    return binary


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def made_with():
    """What counts depend on beside the code."""
    return {"machine": platform.machine(), "rustc": output("rustc", "--version"), "valgrind": output("valgrind", "--version")}


def count(binary, name):
    """The instructions of one event, request, answer or call, and those of its largest functions."""
    with tempfile.TemporaryDirectory() as folder:
        file, log = pathlib.Path(folder, "counted"), pathlib.Path(folder, "log")
        command = ["valgrind", "--tool=callgrind", f"--toggle-collect={COUNTED}", "--compress-strings=no"]
        command += ["--compress-pos=no", f"--callgrind-out-file={file}", f"--log-file={log}", binary, name]
        # Only what the program needs: variables that change logs or metrics would change the counts.
        environment = {name: os.environ[name] for name in ["PATH", "HOME", "TMPDIR"] if name in os.environ} | ENVIRONMENT
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{name}: ended with {done.returncode}\n{done.stderr[-2000:]}\n{log.read_text()[-2000:]}")
        times, counted = int(done.stdout), callgrind.read(file.read_text())
    if counted.total == 0:
        sys.exit(f"{name}: nothing was counted; is there a function {COUNTED} in {binary}?")
    largest = sorted(counted.functions.items(), key=lambda it: (-it[1], it[0]))[:KEPT]
    functions = {function: round(cost / times) for function, cost in largest}
    return {"instructions": round(counted.total / times), "functions": functions}


def grown(before, now, most):
    """The functions that have grown by a good part of `most`, the one that has grown most first, as sentences."""
    # One that was not kept was no larger than the smallest that was.
    least = min(before.values()) if len(before) >= KEPT else 0
    growth = {function: cost - before.get(function, least) for function, cost in now.items()}
    first = sorted((it for it in growth.items() if it[1] > 0), key=lambda it: (-it[1], it[0]))[:NAMED]
    for place, (function, more) in enumerate(first):
        if place > 0 and more < WORTH_NAMING * most:
            break
        was = before.get(function, f"at most {least}" if least else "none")
        yield f"{function} has grown by {more}, from {was} to {now[function]}"
    gone = [function for function in before if function not in now and before[function] > least + WORTH_NAMING * most]
    if gone:
        yield "no longer among the largest, or a part of another one now: " + ", ".join(gone)


def judge(name, before, now):
    """Whether a benchmark is within its budget, and what there is to say about it."""
    if before is None:
        return False, [f"{name} has no budget; UPDATE_BUDGET=1 gives it one"]
    was, of = before["instructions"], now["instructions"]
    change = 100 * (of - was) / was
    if change > TOLD:
        sentences = [f"{name} takes {of} instructions and has {was}: {change:+.1f} %, and {GROWTH} % are allowed"]
        named = grown(before["functions"], now["functions"], of - was)
        return change <= GROWTH, sentences + [f"    {sentence}" for sentence in named]
    if change < -LESS:
        return True, [f"{name} takes {of} instructions and has {was}: {change:+.1f} %; UPDATE_BUDGET=1 keeps what was won"]
    return True, []


def written(budget):
    lines = [HEADER, "[made_with]"] + [f"{key} = {json.dumps(value)}" for key, value in budget["made_with"].items()]
    for name, counted in budget["benchmarks"].items():
        lines += ["", f"[benchmarks.{name}]", f"instructions = {counted['instructions']}", ""]
        lines += [f"[benchmarks.{name}.functions]"]
        lines += [f"{json.dumps(function)} = {cost}" for function, cost in counted["functions"].items()]
    return "\n".join(lines) + "\n"


def table(counted, budget):
    width = max(map(len, counted))
    print(f"{'':{width}}  instructions   budget   change")
    for name, now in counted.items():
        was = budget.get(name, {}).get("instructions")
        change = f"{100 * (now['instructions'] - was) / was:+7.2f} %" if was else ""
        print(f"{name:{width}}  {now['instructions']:12}  {was or 'none':>7}  {change}")


def main():
    wanted = sys.argv[1:]
    binary = os.environ.get("MICRO") or build()
    names = output(binary, "--list").split()
    if unknown := [name for name in wanted if name not in names]:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {' '.join(names)}")
    budget = tomllib.loads(BUDGET.read_text()) if BUDGET.exists() else {"made_with": {}, "benchmarks": {}}
    here, kept = made_with(), budget["benchmarks"]
    counted = {name: count(binary, name) for name in wanted or names}
    table(counted, kept)
    if os.environ.get("UPDATE_BUDGET") == "1":
        both = kept | counted
        BUDGET.write_text(written({"made_with": here, "benchmarks": {name: both[name] for name in names if name in both}}))
        return
    judged = [judge(name, kept.get(name), now) for name, now in counted.items()]
    for name in kept.keys() - set(names):
        judged.append((False, [f"{name} has a budget and is no benchmark; UPDATE_BUDGET=1 takes it out"]))
    for _, sentences in judged:
        print(*sentences, sep="\n", end="\n" if sentences else "")
    if all(fits for fits, _ in judged):
        return
    for key, value in here.items():
        if budget["made_with"].get(key) != value:
            print(f"the budget was made with {key} {budget['made_with'].get(key)}, and this is {value}: that alone may be why")
    sys.exit(1)


if __name__ == "__main__":
    main()
