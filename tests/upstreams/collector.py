"""Checks that a trace arrives at an OpenTelemetry collector: `OTELCOL` is the program.

The collector receives OTLP by gRPC and writes what it got to a file, one JSON document a line.
"""

import json
import os
import pathlib
import sys
import tempfile
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from python_client import TEXT, ask, completion_service_pb2_grpc  # noqa: E402
from servers import ROOT, Checks, Completiond, Process, Upstream, equal, free_port, holds  # noqa: E402

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
# As OTLP's JSON has them.
SERVER_KIND, CLIENT_KIND = 2, 3


def configuration(port, file):
    return {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"file": {"path": str(file), "flush_interval": "100ms"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
        },
    }


def spans(file):
    """The spans of our trace that the collector has written so far."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        for resource in json.loads(line).get("resourceSpans", []):
            for scope in resource["scopeSpans"]:
                found += [span for span in scope["spans"] if span["traceId"] == TRACE]
    return found


def arrived(file, count, timeout=20.0):
    end = time.monotonic() + timeout
    while len(spans(file)) < count:
        holds(time.monotonic() < end, f"{len(spans(file))} of {count} spans came")
        time.sleep(0.1)
    return spans(file)


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        port, file = free_port(), pathlib.Path(folder) / "traces.json"
        config = pathlib.Path(folder) / "collector.json"
        config.write_text(json.dumps(configuration(port, file)))
        with Process("collector", [os.environ["OTELCOL"], "--config", config]) as collector, Upstream() as upstream:
            collector.line(lambda line: True if "Everything is ready" in line else None)
            environment = {
                "UPSTREAM": f"http://127.0.0.1:{upstream.port}/v1",
                "UPSTREAM_KEY": "none",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
            }
            with Completiond(ROOT / "tests/clients/config.yaml", environment) as server:
                with checks.case("collector: a call, its inference and its attempt arrive under the caller's span"):
                    call(server)
                    parent_and_attempt(arrived(file, 3))
    checks.close()


def call(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        response = stub.Complete(ask(), timeout=20, metadata=[("traceparent", f"00-{TRACE}-{CALLER}-01")])
        equal(response.text, TEXT, "text")


def parent_and_attempt(found):
    print(json.dumps(found, indent=1))
    spans = {span["name"]: span for span in found}
    call, inference, attempt = (spans.get(n) for n in ("completiond.v1.CompletionService/Complete", "chat text", "POST"))
    holds(call and inference and attempt, f"spans: {sorted(spans)}")
    equal([span["kind"] for span in (call, inference, attempt)], [SERVER_KIND, CLIENT_KIND, CLIENT_KIND], "kinds")
    equal(call["parentSpanId"], CALLER, "the call's parent")
    equal(inference["parentSpanId"], call["spanId"], "the inference's parent")
    equal(attempt["parentSpanId"], inference["spanId"], "the attempt's parent")


if __name__ == "__main__":
    main()
