"""The checks with real clients: Python, Go, grpcurl, buf curl, curl and grpc-health-probe against a running server.

Starts tests/clients/upstream.py and the server (`COMPLETIOND`, default target/debug/completiond) on ports that the
system chooses. Names on the command line choose groups; without any all run.
"""

import os
import subprocess
import sys

import batches
import pool
import probe
import python_client
import service_config
import shell
import simulator
import terminal
import tls
import traces
import web
from servers import ROOT, Checks, Completiond, Upstream, holds

GO_CHECKS = os.environ.get("GO_CHECKS")
GROUPS = (
    "python", "batches", "shell", "web", "go", "service-config", "pool", "traces", "tls", "probe", "simulator", "terminal"
)


def go(checks, server, upstream, flags=()):
    """The checks of tests/clients/go, each a line of its output; `flags` are those of TLS."""
    command = [GO_CHECKS] if GO_CHECKS else ["go", "run", "."]
    upstream.forget()
    done = subprocess.run(
        [*command, *map(str, flags), server.address], cwd=ROOT / "tests/clients/go", text=True, capture_output=True, timeout=300
    )
    lines = done.stdout.splitlines()
    with checks.case("go: the checks ran"):
        holds(any(line.startswith("ok ") for line in lines), done.stdout + done.stderr)
    for line in lines:
        verdict, _, rest = line.partition(" ")
        if verdict in ("ok", "FAILED"):
            with checks.case(rest):
                holds(verdict == "ok", rest)
        elif verdict == "cancelled":
            model, at = rest.split(" ")
            with checks.case("go: the cancelled stream is gone upstream within 500 ms"):
                gone = upstream.event("gone", model)
                holds(gone["at"] - float(at) <= 0.5, f"seen after {gone['at'] - float(at):.3f} s")


def main():
    chosen = sys.argv[1:] or GROUPS
    unknown = set(chosen) - set(GROUPS)
    if unknown:
        sys.exit(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    checks = Checks()
    config = ROOT / "tests/clients/config.yaml"
    with Upstream() as upstream:
        environment = {"UPSTREAM": f"http://127.0.0.1:{upstream.port}/v1", "UPSTREAM_KEY": "none"}
        with Completiond(config, environment) as server:
            if "python" in chosen:
                python_client.run(checks, server, upstream)
            if "batches" in chosen:
                batches.run(checks, server)
            if "shell" in chosen:
                shell.run(checks, server, upstream)
            if "web" in chosen:
                web.run(checks, server, upstream)
            if "go" in chosen:
                go(checks, server, upstream)
            if "service-config" in chosen:
                service_config.run(checks, server)
        if "pool" in chosen:
            pool.run(checks, environment)
        if "traces" in chosen:
            traces.run(checks, upstream, config, environment)
        if "tls" in chosen:
            tls.run(checks, environment, lambda server, flags: go(checks, server, upstream, flags))
    if "probe" in chosen:
        probe.run(checks)
    if "simulator" in chosen:
        simulator.run(checks)
    if "terminal" in chosen:
        terminal.run(checks)
    checks.close()


if __name__ == "__main__":
    main()
