"""Starts and stops the processes that the checks talk to, and counts what the checks find."""

import atexit
import contextlib
import json
import os
import pathlib
import queue
import re
import socket
import subprocess
import sys
import threading
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = pathlib.Path(os.environ.get("COMPLETIOND_TOOLS", pathlib.Path.home() / ".cache/completiond-tools"))
# What is announced; the log has the same addresses.
ANNOUNCED = r"\s+{}\s+127\.0\.0\.1:([1-9]\d*)"


class Checks:
    """Named checks: each either passes or is printed with its reason and counted as failed."""

    def __init__(self):
        self.passed = 0
        self.failed = []

    @contextlib.contextmanager
    def case(self, name):
        try:
            yield
        except Exception:  # a check may fail in any way, and the next one still runs
            self.failed.append(name)
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"ok     {name}", flush=True)

    def close(self):
        """Prints the count alone on a line and ends the process: 1 where a check failed or none was made."""
        for name in self.failed:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {len(self.failed)} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def equal(found, expected, what="value"):
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, expected {expected!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A child process whose output is read line by line; it is killed when the block that made it ends."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.lines = []
        self.fresh = queue.Queue()
        clean = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
        self.child = subprocess.Popen(
            [str(word) for word in command],
            env={**clean, **(environment or {})},
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        # Also where what comes before the block fails.
        atexit.register(self.child.kill)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.append(line)
            self.fresh.put(line)

    def line(self, wanted, timeout=60.0):
        """The first value that `wanted` makes of a line that was not looked at before."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self.fresh.get(timeout=max(0.01, min(0.2, end - time.monotonic())))
            except queue.Empty:
                if self.child.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"{self.name} did not say what was waited for:\n{''.join(self.lines[-40:])}")
                continue
            value = wanted(line)
            if value is not None:
                return value

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Upstream(Process):
    """tests/clients/upstream.py in a process of its own."""

    def __init__(self):
        super().__init__("upstream", [sys.executable, "-u", ROOT / "tests/clients/upstream.py"])
        self.port = self.event("listening")["port"]

    def event(self, kind, model=None, timeout=10.0):
        """The next event of this kind, about this model; events before it are passed over."""

        def wanted(line):
            event = json.loads(line) if line.startswith("{") else {}
            return event if event.get("event") == kind and model in (None, event.get("model")) else None

        return self.line(wanted, timeout)

    def forget(self):
        """Passes over all events until now."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.fresh.get_nowait()


class Completiond(Process):
    """The server under test on three ports that the system chose, where none is given; `port` is the public one, `admin` and
    `ops` are where operators and probes come in."""

    def __init__(self, config=None, environment=None, admin=0, port=0):
        program = os.environ.get("COMPLETIOND", ROOT / "target/debug/completiond")
        command = [program, "serve", "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
        command += ["--ops-listen", "127.0.0.1:0"]
        if config:
            command += ["--config", config]
        super().__init__("completiond", command, environment)
        self.port, admin, ops = (self.announced(who) for who in ("calls", "operators", "probes"))
        self.address, self.admin, self.ops = (f"127.0.0.1:{port}" for port in (self.port, admin, ops))

    def announced(self, who):
        announced = re.compile(ANNOUNCED.format(who))
        return self.line(lambda line: (found := announced.match(line)) and int(found[1]))
