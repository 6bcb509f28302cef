"""Searches what servers have logged in tests for words of prompts and for keys: none may be there.

    words.py FOLDER     the folder that COMPLETIOND_TEST_LOGS has named

Prompts for the simulator begin with `sim: `, keys of tests with `sk-test-` or `sk-secret-`, and words that are marked have
`canary` in them.
"""

import pathlib
import sys
import tempfile

WORDS = ("sim: ", "sk-test-", "sk-secret-", "canary")
# A folder with less than this has not been written by the tests.
FEWEST_FILES, FEWEST_CALLS = 10, 1000
CALL = '"call ended"'


def finds(folder):
    """Where a word is, and how many files and lines of calls there are to find one in."""
    found, files, calls = [], 0, 0
    for file in sorted(pathlib.Path(folder).glob("*.log")):
        files += 1
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                calls += CALL in line
                found += [(file.name, number, word, line) for word in WORDS if word in line]
    return found, files, calls


def planted_words_are_found():
    for word in WORDS:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "a.log"
            file.write_text(f'{{"message":"call ended"}}\n{{"message":"asked for {word}hello"}}\n')
            found, files, calls = finds(folder)
            places = [(name, number, known) for name, number, known, _ in found]
            assert (places, files, calls) == ([("a.log", 2, word)], 1, 1), (places, files, calls)


def main():
    planted_words_are_found()
    found, files, calls = finds(sys.argv[1])
    for name, number, word, line in found[:20]:
        print(f"{name}:{number}: {word!r} in {line[:300].rstrip()}", file=sys.stderr)
    if found:
        sys.exit(f"{len(found)} words of prompts or keys are in the servers' logs")
    if files < FEWEST_FILES or calls < FEWEST_CALLS:
        sys.exit(f"{files} files with {calls} calls: these are not the logs of all tests")
    print(f"{files} logs with {calls} calls: no word of a prompt and no key")


if __name__ == "__main__":
    main()
