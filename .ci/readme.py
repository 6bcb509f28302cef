"""Runs the sh blocks of a Markdown file, in order, in one shell, and fails where one of them does.

A comment on the line before a block changes what is expected of it:

    <!-- ci: server -->          it goes on running behind the others; the next block waits until port 50051 is open
    <!-- ci: fails WORDS -->     it must fail, and its output must match the regular expression WORDS

SEEN in the environment is a block that was run before, word for word, and is not run a second time.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

BLOCK = re.compile(r"(?:<!-- ci: (?P<mark>\w+) ?(?P<words>[^\n]*?) -->\n)?```sh\n(?P<script>.*?)```", re.DOTALL)
PORT = 50051
START_SECONDS = 1500
BLOCK_SECONDS = 1200


def listening():
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def environment():
    """As a newcomer has it: no keys, and what Go installs on the path."""
    left_out = ("_API_KEY", "COMPLETIOND")
    kept = {k: v for k, v in os.environ.items() if not k.endswith(left_out[0]) and not k.startswith(left_out[1])}
    go = subprocess.run(["go", "env", "GOPATH"], capture_output=True, text=True, check=True).stdout.strip()
    return {**kept, "PATH": f"{kept['PATH']}:{go}/bin"}


def start(script, output):
    server = subprocess.Popen(
        ["bash", "-euc", script], env=environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    end = time.monotonic() + START_SECONDS
    while not listening():
        if server.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"nothing listens on port {PORT}")
        time.sleep(0.2)
    return server


def check(block):
    script = block["script"]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env=environment(), text=True, capture_output=True, timeout=BLOCK_SECONDS
    )
    said = done.stdout + done.stderr
    if block["mark"] == "fails":
        fits = done.returncode != 0 and re.search(block["words"], said)
    else:
        fits = done.returncode == 0
    print(f"{'ok    ' if fits else 'FAILED'} {script.splitlines()[0]}")
    if not fits:
        print(f"exit code {done.returncode}\n{said}")
    return bool(fits)


def main():
    text = pathlib.Path(sys.argv[1]).read_text()
    seen = os.environ.get("SEEN", "").strip()
    if os.environ.get("PROFILE") == "debug":
        text = text.replace("cargo run --release", "cargo run")
    blocks = list(BLOCK.finditer(text))
    if len(blocks) != text.count("```sh\n") or not blocks:
        sys.exit("not every sh block could be read")
    if listening():
        sys.exit(f"port {PORT} is taken: the blocks would talk to another server")
    passed = failed = 0
    server = None
    with tempfile.TemporaryFile("w+") as output:
        try:
            for block in blocks:
                if block["mark"] == "server":
                    server = start(block["script"], output)
                    print(f"ok     {block['script'].splitlines()[0]}, in the background")
                    passed += 1
                elif seen and block["script"].strip() == seen:
                    print(f"seen   {seen}, before this section")
                elif check(block):
                    passed += 1
                else:
                    failed += 1
        except AssertionError as error:
            print(f"FAILED {error}")
            failed += 1
        finally:
            if server:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait(30)
            if failed:
                output.seek(0)
                print(f"the server said:\n{output.read()}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
