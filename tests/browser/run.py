"""A page in a real browser: gRPC-Web with generated code, `POST /stream` by fetch, and which pages may call.

Needs node with esbuild, playwright-core, connect-web and protoc-gen-es on NODE_PATH, CHROMIUM, and buf: `.ci/slow browser`.
"""

import functools
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/clients"))

from servers import Checks, Completiond, equal, holds  # noqa: E402

KEY = "the-key-of-the-page-0123456789"
MODULES = pathlib.Path(os.environ["NODE_PATH"])


def bundle(folder):
    """The page and its script, generated code and all, in `folder`."""
    path = f"{MODULES / '.bin'}:{os.environ['PATH']}"
    run = functools.partial(subprocess.run, check=True, env={**os.environ, "PATH": path}, timeout=120)
    run(["buf", "generate", "--template", HERE / "buf.gen.yaml", "--output", folder, "--path", "proto/completiond", "--include-imports"], cwd=ROOT)
    (folder / "page.js").write_text((HERE / "page.js").read_text())
    run([MODULES / ".bin/esbuild", "page.js", "--bundle", "--format=iife", "--outfile=script.js", "--log-level=warning"], cwd=folder)
    (folder / "index.html").write_text("<!doctype html><title>page</title><script src='script.js'></script>")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Browser:
    """A headless browser; each check has a page of its own."""

    def __init__(self):
        self.child = subprocess.Popen(
            ["node", HERE / "drive.cjs"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
        )
        print("chromium", self.said()["version"], flush=True)

    def said(self):
        line = self.child.stdout.readline()
        holds(line, "the browser has ended")
        return json.loads(line)

    def ask(self, page, check, at):
        self.child.stdin.write(json.dumps({"page": page, "check": check, "at": at}) + "\n")
        self.child.stdin.flush()

    def found(self):
        said = self.said()
        holds("found" in said, said)
        return said["found"]

    def check(self, page, check, at):
        self.ask(page, check, at)
        return self.found()

    def close(self):
        self.child.stdin.close()
        self.child.wait(30)


def asked(server):
    """How many completions were begun, as the server counts them."""
    with urllib.request.urlopen(f"http://{server.ops}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("completiond_attempts_total{"))


def run(checks, browser, listed, other, server):
    at = {"server": f"http://{server.address}", "key": KEY}
    ask = functools.partial(browser.check, listed)
    with checks.case("gRPC-Web: an answer, and the same as a stream"):
        whole, streamed = ask("complete", at), ask("stream", at)
        holds(whole["simulated"] and whole["text"], whole)
        equal((streamed["text"], streamed["error"]), (whole["text"], None), "the stream")
        equal((streamed["kinds"][0], streamed["kinds"][-1]), ("started", "completed"), "the first and the last event")
    with checks.case("gRPC-Web: a typed error before the answer"):
        found = ask("refused", at)
        equal((found["code"], found["attempts"], found["pushback"]), ("ResourceExhausted", 1, "7000"), "the error")
        for name in ("google.rpc.ErrorInfo", "google.rpc.RetryInfo", "completiond.v1.FailureDetail"):
            holds(name in found["details"], found)
    with checks.case("gRPC-Web: who is not known"):
        equal(ask("stranger", at)["code"], "Unauthenticated", "code")
    with checks.case("gRPC-Web: a stream that is cut is an error, with its details"):
        found = ask("cut", at)
        holds(found["text"] and "completed" not in found["kinds"], found)
        equal((found["error"]["code"], found["error"]["attempts"]), ("Unavailable", 1), "the error")
    with checks.case("gRPC-Web: a page that gives up is an error there, and a cancellation here"):
        equal(ask("cancelled", at)["error"]["code"], "Canceled", "code")
    with checks.case("fetch: text and events"):
        text, events = ask("text", at), ask("events", at)
        equal((text["status"], text["type"], text["error"]), (200, "text/plain; charset=utf-8", None), "text")
        holds(text["text"] and text["id"], text)
        equal((events["type"], events["error"]), ("text/event-stream", None), "events")
        holds("event: completed\n" in events["text"], events)
    with checks.case("fetch: a cut text is an error"):
        found = ask("cutText", at)
        equal((found["status"], found["error"]), (200, "TypeError"), "the end")
        holds(found["text"], "what came before")
    with checks.case("fetch: a refusal with its wait"):
        found = ask("tooMany", at)
        equal((found["status"], found["retryAfter"]), (429, "7"), "the refusal")
        equal(json.loads(found["text"])["error"]["status"], "RESOURCE_EXHAUSTED", "status")
    with checks.case("a page of another origin gets nothing, and asks nobody"):
        before = asked(server)
        found = browser.check(other, "stream", at)
        equal((found["kinds"], found["error"]["code"]), ([], "Unknown"), "gRPC-Web")
        equal(browser.check(other, "unasked", at), {"seen": "TypeError", "blind": "opaque"}, "fetch")
        equal(asked(server), before, "attempts")
    with checks.case("gRPC-Web: a server that is killed is an error, not an end"):
        browser.ask(listed, "killed", at)
        holds("begun" in browser.said(), "it has not begun")
        server.child.kill()
        found = browser.found()
        holds(found["error"] and "completed" not in found["kinds"], found)


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        bundle(folder)
        pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        port = pages.server_address[1]
        # Two names of one place are two origins.
        listed, other = f"http://localhost:{port}", f"http://127.0.0.1:{port}"
        environment = {"ORIGIN": listed, "KEY_HASH": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}
        browser = Browser()
        try:
            with Completiond(HERE / "config.yaml", environment) as server:
                run(checks, browser, listed, other, server)
        finally:
            browser.close()
    checks.close()


if __name__ == "__main__":
    main()
