"""Checks that a call's trace arrives at a real OTLP receiver, with the caller's trace id, and says nothing of its text."""

import queue
import time
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from python_client import ask, completion_service_pb2_grpc
from servers import Completiond, equal, holds

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PROMPT = "Tell nobody about the heron."
SERVER_KIND, CLIENT_KIND = 2, 3


class Sink(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP receiver that keeps the spans in a queue."""

    def __init__(self):
        self.spans = queue.Queue()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def Export(self, request, context):  # noqa: N802, the name is the protocol's
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.put(span)
        return trace_service_pb2.ExportTraceServiceResponse()

    def of_trace(self, trace, count, timeout=20.0):
        """The first `count` spans of this trace."""
        found, end = [], time.monotonic() + timeout
        while len(found) < count:
            try:
                span = self.spans.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{len(found)} of {count} spans came: {[span.name for span in found]}") from None
            if span.trace_id.hex() == trace:
                found.append(span)
        return found


def attributes(span):
    return {pair.key: pair.value for pair in span.attributes}


def run(checks, upstream, config, environment):
    sink = Sink()
    exporter = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with Completiond(config, {**environment, **exporter}) as server, grpc.insecure_channel(server.address) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        for rpc in ("Complete", "StreamComplete"):
            with checks.case(f"traces: {rpc} arrives as a call, an inference and an attempt under the caller's span"):
                one_call(stub, rpc, sink, upstream)
        with checks.case("traces: neither prompt nor answer is in the log"):
            said = "".join(server.lines)
            holds(PROMPT not in said and "scatters" not in said, said)
    sink.server.stop(0)


def one_call(stub, rpc, sink, upstream):
    upstream.forget()
    metadata = [("traceparent", f"00-{TRACE}-{CALLER}-01")]
    call = getattr(stub, rpc)(ask(prompt=PROMPT), timeout=20, metadata=metadata)
    if rpc == "StreamComplete":
        holds(list(call), "no events")
    sent = upstream.event("request", "text")["traceparent"]
    spans = {span.name: span for span in sink.of_trace(TRACE, 3)}
    call, inference, attempt = (spans.get(n) for n in (f"completiond.v1.CompletionService/{rpc}", "chat text", "POST"))
    holds(call and inference and attempt, f"spans: {sorted(spans)}")
    equal([span.kind for span in (call, inference, attempt)], [SERVER_KIND, CLIENT_KIND, CLIENT_KIND], "kinds")
    equal(call.parent_span_id.hex(), CALLER, "the call's parent")
    equal(inference.parent_span_id, call.span_id, "the inference's parent")
    equal(attempt.parent_span_id, inference.span_id, "the attempt's parent")
    equal(sent.split("-")[1:3], [TRACE, attempt.span_id.hex()], "traceparent as the upstream saw it")
    equal(attributes(call)["rpc.system.name"].string_value, "grpc", "rpc.system.name")
    equal(attributes(inference)["gen_ai.request.model"].string_value, "text", "gen_ai.request.model")
    equal(attributes(inference)["gen_ai.usage.output_tokens"].int_value, 9, "gen_ai.usage.output_tokens")
    for span in spans.values():
        written = str(span)
        holds(PROMPT not in written and "scatters" not in written, written)
