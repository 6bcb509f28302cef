"""Checks with grpc-health-probe, which is what Kubernetes' own probes and most load balancers do: at every listener, in plain
text, over TLS, with a certificate of its own, and while the server stops.
"""

import hashlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import grpc

from certificates import Authority
from python_client import SERVICE, ask, completion_service_pb2_grpc, fold
from servers import ROOT, TOOLS, Completiond, equal, holds

PROBE = os.environ.get("GRPC_HEALTH_PROBE", TOOLS / "bin/grpc-health-probe")
KEY = "the-key-of-nobody"
ENVIRONMENT = {"HASH": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}
# The exit codes of the probe.
SERVING, NO_CONNECTION, REFUSED, NOT_SERVING = 0, 2, 3, 4
SERVICES = ("", SERVICE)


def probe(address, service="", *flags):
    """The probe's exit code, and what it said."""
    command = [PROBE, f"-addr={address}", f"-service={service}", *flags]
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def says(expected, address, service="", *flags):
    code, said = probe(address, service, *flags)
    equal(code, expected, f"exit code at {address} for {service!r} ({said.strip()})")


def run(checks):
    plain = ROOT / "tests/clients/probe.yaml"
    with Completiond(plain, ENVIRONMENT) as server:
        with checks.case("probe: every listener says SERVING, without a key"):
            for address in (server.address, server.admin, server.ops):
                for service in SERVICES:
                    says(SERVING, address, service)
        with checks.case("probe: a service that nobody has is not known"):
            says(REFUSED, server.address, "completiond.v1.Nothing")
        drained(checks, server)
    with tempfile.TemporaryDirectory() as folder:
        encrypted(checks, folder, plain.read_text())


def drained(checks, server):
    """A server that is told to stop while a stream runs."""
    with grpc.insecure_channel(server.address) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        request = ask("", "sim: tokens=60 pace=200ms")
        stream = stub.StreamComplete(request, timeout=60, metadata=[("authorization", f"Bearer {KEY}")])
        first = next(stream)
        server.child.send_signal(signal.SIGTERM)
        with checks.case("probe: a server that drains says NOT_SERVING at every listener and of every service"):
            for address in (server.address, server.admin, server.ops):
                for service in SERVICES:
                    until(NOT_SERVING, address, service)
        with checks.case("probe: then its port is closed, and those of operators and probes say so until the last call has ended"):
            until(NO_CONNECTION, server.address)
            for address in (server.admin, server.ops):
                for service in SERVICES:
                    says(NOT_SERVING, address, service)
        with checks.case("probe: the stream that ran meanwhile is complete"):
            fold([first, *stream])
        with checks.case("probe: after it nobody is there"):
            equal(server.child.wait(30), 0, "exit code")
            says(NO_CONNECTION, server.ops)


def until(expected, address, service=""):
    """Asks until the probe says so."""
    end = time.monotonic() + 20
    while (answer := probe(address, service))[0] != expected:
        holds(time.monotonic() < end, f"{address} for {service!r}: {answer}")
        time.sleep(0.02)


def encrypted(checks, folder, text):
    ours, others = Authority(folder, "ours"), Authority(folder, "others")
    ours.sign("server", "DNS:localhost,IP:127.0.0.1").sign("web", "DNS:web.example")
    others.sign("other", "DNS:web.example")
    files = f"certificate: {ours.crt('server')}, key: {ours.key('server')}"
    trusting = ["-tls", f"-tls-ca-cert={ours.crt()}"]
    as_web = [f"-tls-client-cert={ours.crt('web')}", f"-tls-client-key={ours.key('web')}"]
    as_other = [f"-tls-client-cert={others.crt('other')}", f"-tls-client-key={others.key('other')}"]
    config = pathlib.Path(folder) / "probe.yaml"
    config.write_text(f"{text}tls: {{ {files} }}\n")
    with Completiond(config, ENVIRONMENT) as server:
        with checks.case("probe: over TLS the public listener says SERVING to who trusts its authority, and to nobody else"):
            for service in SERVICES:
                says(SERVING, server.address, service, *trusting)
            says(NO_CONNECTION, server.address, "", "-tls", f"-tls-ca-cert={others.crt()}")
            says(NO_CONNECTION, server.address)
        with checks.case("probe: the listener of probes stays plain text beside TLS"):
            for service in SERVICES:
                says(SERVING, server.ops, service)
    config.write_text(f"{text}tls: {{ {files}, client_ca: {ours.crt()} }}\n")
    with Completiond(config, ENVIRONMENT) as server:
        with checks.case("probe: over mTLS it says SERVING to who has a certificate that is believed"):
            for service in SERVICES:
                says(SERVING, server.address, service, *trusting, *as_web)
            for identity in ([], as_other):
                says(NO_CONNECTION, server.address, "", *trusting, *identity)
        with checks.case("probe: the listener of probes asks nobody for a certificate"):
            for service in SERVICES:
                says(SERVING, server.ops, service)
