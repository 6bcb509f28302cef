"""A rolling restart: three servers behind Envoy, each of which is told to stop and replaced while calls run. No call may fail,
and nothing may be sent twice.

    rolling.py                          with examples/envoy.yaml and the server's defaults
    rolling.py --drain-delay 0          how it goes when the server closes its port at once
    rolling.py --without-health-checks  how it goes when Envoy does not ask how servers are
    rolling.py --discovery              who stops is taken from the list of addresses at once, as Kubernetes does
"""

import argparse
import pathlib
import signal
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from envoy import Envoy  # noqa: E402
from load import Load  # noqa: E402
from servers import ROOT, Checks, Completiond, equal, free_port, holds  # noqa: E402

NAMES = ("a", "b", "c")
STREAMS, WHOLE = 200, 20
# What Envoy may not have done: calls sent again, and streams that it lost.
NEVER = ("upstream_rq_retry", "upstream_cx_destroy_remote_with_active_rq", "upstream_rq_pending_failure_eject")


class Place:
    """A port, and the processes that have it, one after the other: a1, a2."""

    def __init__(self, name, config):
        self.name, self.config, self.port, self.generation = name, config, free_port(), 0
        self.processes, self.told, self.times = [], [], {}
        self.start()

    def start(self):
        self.generation += 1
        process = Completiond(self.config, {"WHO": f"{self.name}{self.generation}"}, port=self.port)
        self.processes.append(process)

    def is_open(self):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def replace(self, envoy, others):
        """Tells the process to stop, and begins another one as soon as the port is free, while the first one's streams run."""
        old, told = self.processes[-1], time.monotonic()
        self.told.append(told)
        if envoy.discovery:
            envoy.list([other.port for other in others])
        old.child.send_signal(signal.SIGTERM)
        if envoy.checks or envoy.discovery:
            envoy.wait(lambda healthy: self.port not in healthy)
            self.times["left by Envoy"] = time.monotonic() - told
        while self.is_open():
            time.sleep(0.02)
        self.times["port closed"] = time.monotonic() - told
        self.start()
        if envoy.discovery:
            envoy.list([other.port for other in others] + [self.port])
        envoy.wait(lambda healthy: self.port in healthy)
        self.times["new one asked"] = time.monotonic() - told
        equal(old.child.wait(120), 0, f"{self.name}: exit code")
        self.times["old one ended"] = time.monotonic() - told


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--drain-delay")
    options.add_argument("--without-health-checks", action="store_true")
    options.add_argument("--discovery", action="store_true")
    options = options.parse_args()
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = folder / "rolling.yaml"
        text = (ROOT / "tests/fleet/rolling.yaml").read_text()
        config.write_text(text + (f"drain_delay: {options.drain_delay}\n" if options.drain_delay else ""))
        places = [Place(name, config) for name in NAMES]
        changes = {"health_checks": []} if options.without_health_checks else {}
        with Envoy(folder, [place.port for place in places], changes) as envoy:
            envoy.checks, envoy.discovery = not options.without_health_checks, options.discovery
            envoy.wait(lambda healthy: len(healthy) == len(NAMES))
            roll(checks, places, envoy)
    checks.close()


def roll(checks, places, envoy):
    load = Load(envoy.address, STREAMS, WHOLE)
    while load.running < STREAMS:
        time.sleep(0.1)
    for place in places:
        with checks.case(f"rolling: {place.name} is replaced while {STREAMS} streams run"):
            place.replace(envoy, [other for other in places if other is not place])
    calls = load.finish()
    report(places, calls)
    counted = envoy.counted(*NEVER, "upstream_rq_total", "upstream_cx_close_notify")
    print(f"Envoy: {counted}", flush=True)
    failed = [call for call in calls if call.error]
    with checks.case(f"rolling: none of {len(calls)} calls failed"):
        equal(len(failed), 0, "failed calls")
    with checks.case("rolling: streams that ran over the end of their server's port ended complete"):
        for place in places:
            over = over_restart(place, calls)
            holds(len(over) >= 10 and not any(call.error for call in over), f"{place.name}: {len(over)} streams")
    with checks.case("rolling: every process has answered, old and new"):
        answered = {call.by for call in calls if not call.error}
        equal(answered, {f"{name}{generation}" for name in NAMES for generation in (1, 2)}, "who answered")
    with checks.case("rolling: Envoy has sent nothing twice and lost no stream"):
        equal({name: counted[name] for name in NEVER}, dict.fromkeys(NEVER, 0), "counters")
        equal(counted["upstream_rq_total"], len(calls), "requests")


def over_restart(place, calls):
    """The streams of the old process that ran when its port closed."""
    closed = place.told[0] + place.times["port closed"]
    return [call for call in calls if call.by == f"{place.name}1" and call.kind == "stream" and call.begun < closed < call.ended]


def report(places, calls):
    print(f"\n{'process':8} {'whole':>6} {'streams':>8} {'over the end':>13} {'failed':>7}   seconds after SIGTERM")
    for place in places:
        for generation in range(1, place.generation + 1):
            name = f"{place.name}{generation}"
            own = [call for call in calls if call.by == name]
            whole, streams = (sum(call.kind == kind for call in own) for kind in ("whole", "stream"))
            over = len(over_restart(place, calls)) if generation == 1 else ""
            times = ", ".join(f"{what} {at:.1f}" for what, at in place.times.items()) if generation == 1 else ""
            failed = sum(bool(call.error) for call in own)
            print(f"{name:8} {whole:6} {streams:8} {over:>13} {failed:7}   {times}")
    nobody = [call for call in calls if call.by == "?"]
    print(f"{'nobody':8} {sum(c.kind == 'whole' for c in nobody):6} {sum(c.kind == 'stream' for c in nobody):8} {'':13} {len(nobody):7}")
    why = {}
    for call in calls:
        if call.error:
            why[call.error] = why.get(call.error, 0) + 1
    for error, count in sorted(why.items(), key=lambda pair: -pair[1]):
        print(f"  {count} times {error}")
    print(flush=True)


if __name__ == "__main__":
    main()
