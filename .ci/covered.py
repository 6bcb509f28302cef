"""Fails where the lines of some files are reached less than asked: covered.py SUMMARY.json PERCENT PATH...

SUMMARY.json is what `llvm-cov export -summary-only` writes. A path may be a folder.
"""

import json
import pathlib
import sys


def main():
    summary, percent, paths = sys.argv[1], float(sys.argv[2]), [pathlib.Path(p).resolve() for p in sys.argv[3:]]
    files = json.loads(pathlib.Path(summary).read_text())["data"][0]["files"]
    missed = 0
    for path in paths:
        counts = [
            file["summary"]["lines"]
            for file in files
            if pathlib.Path(file["filename"]) == path or path in pathlib.Path(file["filename"]).parents
        ]
        lines, covered = sum(c["count"] for c in counts), sum(c["covered"] for c in counts)
        reached = 100 * covered / lines if lines else 0.0
        fits = reached >= percent
        missed += not fits
        print(f"{'ok    ' if fits else 'FAILED'} {path.name}: {covered} of {lines} lines, {reached:.1f} %")
    print(f"{len(paths) - missed} passed, {missed} failed")
    sys.exit(1 if missed or not paths else 0)


if __name__ == "__main__":
    main()
