"""Checks with grpcio and generated code: what a Python caller sees, and what the upstream sees of it."""

import sys
import time

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from servers import ROOT, equal, holds

sys.path.insert(0, str(ROOT / "examples/python/gen"))

from completiond.v1 import completion_pb2, completion_service_pb2_grpc, error_pb2, message_pb2, model_pb2, tool_pb2, usage_pb2  # noqa: E402

TEXT = "The sky is blue because air scatters short waves more than long ones."
WEATHER = tool_pb2.Tool(
    function=tool_pb2.FunctionTool(
        name="weather",
        description="The weather in a city.",
        parameters_json='{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
    )
)
SERVICE = "completiond.v1.CompletionService"
GONE_WITHIN = 0.5


def ask(model="text", prompt="Why is the sky blue?", **fields):
    return completion_pb2.CompleteRequest(model=model, prompt=prompt, **fields)


def fold(events):
    """The message that a stream's events make, and its outcome; the envelope is checked on the way."""
    message = message_pb2.Message(role=message_pb2.ROLE_ASSISTANT)
    outcome = None
    for number, event in enumerate(events):
        equal(event.sequence, number, "sequence")
        holds(outcome is None, "an event after completed")
        kind = event.WhichOneof("event")
        if number == 0:
            equal(kind, "started", "the first event")
        if kind == "block_started":
            equal(event.block_started.index, len(message.content), "index")
            message.content.append(event.block_started.block)
        elif kind == "block_delta":
            block = message.content[event.block_delta.index]
            delta = event.block_delta.WhichOneof("delta")
            if delta == "text":
                block.text.text += event.block_delta.text
            elif delta == "tool_input":
                block.tool_call.arguments_json += event.block_delta.tool_input
        elif kind == "block_finished":
            state = event.block_finished.provider_state
            if state:
                message.content[event.block_finished.index].provider_state = state
        elif kind == "restarted":
            del message.content[:]
        elif kind == "completed":
            outcome = event.completed
            message.provider_state = outcome.message_state
    holds(outcome is not None, "the stream ended without completed")
    return message, outcome


def failure(call):
    """The status that a call ends in, with its details by type."""
    try:
        call()
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        holds(status is not None, f"no details in the trailers: {error}")
        kinds = [
            error_details_pb2.ErrorInfo,
            error_details_pb2.RequestInfo,
            error_details_pb2.RetryInfo,
            error_details_pb2.BadRequest,
            error_pb2.FailureDetail,
        ]
        details = {}
        for packed in status.details:
            for kind in kinds:
                if packed.Is(kind.DESCRIPTOR):
                    details[kind.__name__] = kind.FromString(packed.value)
        equal(details["ErrorInfo"].domain, "completiond", "domain")
        return error, details
    raise AssertionError("the call succeeded")


def text_is_complete(response):
    equal(response.text, TEXT, "text")
    equal(response.message.content[0].text.text, TEXT, "block")
    equal(response.outcome.finish_reason, completion_pb2.FINISH_REASON_STOP, "finish reason")
    equal((response.outcome.usage.input_tokens, response.outcome.usage.output_tokens), (12, 9), "usage")
    equal((response.outcome.provider, response.outcome.model), ("real", "text"), "who answered")
    equal(response.outcome.simulated, False, "simulated")


def run(checks, server, upstream):
    with grpc.insecure_channel(server.address) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        answers(checks, stub)
        tools(checks, stub)
        failures(checks, stub)
        endings(checks, stub, upstream)
        services(checks, channel)


def answers(checks, stub):
    with checks.case("python: a text"):
        text_is_complete(stub.Complete(ask(), timeout=20))
    with checks.case("python: the default model, asked with nothing but a prompt"):
        text_is_complete(stub.Complete(completion_pb2.CompleteRequest(prompt="Hello"), timeout=20))
    with checks.case("python: a short text, which is not streamed upstream"):
        text_is_complete(stub.Complete(ask(max_tokens=100), timeout=20))
    with checks.case("python: a text as a stream folds to the same message"):
        whole = stub.Complete(ask(), timeout=20)
        message, outcome = fold(stub.StreamComplete(ask(), timeout=20))
        equal(message, whole.message, "message")
        equal((outcome.finish_reason, outcome.usage), (whole.outcome.finish_reason, whole.outcome.usage), "outcome")
    with checks.case("python: a stream comes in more than one piece"):
        kinds = [event.WhichOneof("event") for event in stub.StreamComplete(ask(), timeout=20)]
        equal(kinds[-1], "completed", "the last event")
        holds("block_delta" in kinds and "block_finished" in kinds, f"kinds: {kinds}")
    with checks.case("python: gzip in both directions"):
        request = ask("real/long", "blue " * 2000)
        response = stub.Complete(request, timeout=20, compression=grpc.Compression.Gzip)
        equal(response.text, TEXT * 40, "text")
    with checks.case("python: the models"):
        models = stub.ListModels(model_pb2.ListModelsRequest(), timeout=20).models
        found = {model.id: model for model in models}
        holds({"text", "limited", "silent"} <= set(found), f"found {sorted(found)}")
        equal(found["text"].is_default, True, "is_default")
        first = stub.ListModels(model_pb2.ListModelsRequest(page_size=1), timeout=20)
        equal(len(first.models), 1, "models on a page of one")
        second = stub.ListModels(model_pb2.ListModelsRequest(page_size=1, page_token=first.next_page_token), timeout=20)
        holds(first.models[0].id != second.models[0].id, "the second page repeats the first")


def tools(checks, stub):
    def round_trip(answer):
        question = message_pb2.Message(role=message_pb2.ROLE_USER)
        question.content.add().text.text = "What is the weather in Bern?"
        first, reason = answer(completion_pb2.CompleteRequest(model="text", messages=[question], tools=[WEATHER]))
        equal(reason, completion_pb2.FINISH_REASON_TOOL_CALLS, "finish reason")
        calls = [block.tool_call for block in first.content if block.HasField("tool_call")]
        equal([(call.id, call.name, call.arguments_json) for call in calls], [("call_1", "weather", '{"city": "Bern"}')])
        result = message_pb2.Message(role=message_pb2.ROLE_TOOL)
        block = result.content.add().tool_result
        block.tool_call_id = calls[0].id
        block.content.add().text.text = "rain"
        turns = [question, first, result]
        last, reason = answer(completion_pb2.CompleteRequest(model="text", messages=turns, tools=[WEATHER]))
        equal("".join(block.text.text for block in last.content), "The tool said: rain", "answer")
        equal(reason, completion_pb2.FINISH_REASON_STOP, "finish reason")

    def whole(request):
        response = stub.Complete(request, timeout=20)
        return response.message, response.outcome.finish_reason

    def streamed(request):
        message, outcome = fold(stub.StreamComplete(request, timeout=20))
        return message, outcome.finish_reason

    with checks.case("python: a tool round trip"):
        round_trip(whole)
    with checks.case("python: a tool round trip as streams"):
        round_trip(streamed)


def failures(checks, stub):
    with checks.case("python: rate limited upstream, with every detail"):
        error, details = failure(lambda: stub.Complete(ask("limited"), timeout=20))
        equal(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, "code")
        equal(details["ErrorInfo"].reason, "PROVIDER_RATE_LIMITED", "reason")
        equal(details["ErrorInfo"].metadata["upstreamStatus"], "429", "upstreamStatus")
        equal(details["RetryInfo"].retry_delay.seconds, 7, "retry delay")
        trailers = dict(error.trailing_metadata())
        equal(trailers["grpc-retry-pushback-ms"], "7000", "pushback")
        equal(details["FailureDetail"].id, details["RequestInfo"].request_id, "id")
        attempts = details["FailureDetail"].attempts
        equal([a.outcome for a in attempts], [completion_pb2.ATTEMPT_OUTCOME_FAILED] * len(attempts), "outcomes")
        holds(len(attempts) > 0 and attempts[0].reason == "PROVIDER_RATE_LIMITED", f"attempts: {attempts}")
    with checks.case("python: a stream that fails before its first message"):
        error, details = failure(lambda: list(stub.StreamComplete(ask("limited"), timeout=20)))
        equal(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, "code")
        equal(details["ErrorInfo"].reason, "PROVIDER_RATE_LIMITED", "reason")
    with checks.case("python: rejected upstream, in the provider's words"):
        error, details = failure(lambda: stub.Complete(ask("rejected"), timeout=20))
        equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT, "code")
        equal(details["ErrorInfo"].reason, "PROVIDER_REJECTED", "reason")
        words = details["FailureDetail"].provider_error
        equal((words.http_status, words.message), (400, "the shape of this is wrong"), "provider error")
    with checks.case("python: a key that the provider refuses is the server's fault, not the caller's"):
        error, details = failure(lambda: stub.Complete(ask("real/locked"), timeout=20))
        equal(error.code(), grpc.StatusCode.FAILED_PRECONDITION, "code")
        equal(details["ErrorInfo"].reason, "PROVIDER_CREDENTIALS_REFUSED", "reason")
    with checks.case("python: an unknown model, with the nearest name"):
        error, details = failure(lambda: stub.Complete(ask("txet"), timeout=20))
        equal(error.code(), grpc.StatusCode.NOT_FOUND, "code")
        equal(details["ErrorInfo"].reason, "MODEL_NOT_FOUND", "reason")
        holds("text" in details["ErrorInfo"].metadata["nearest"], f"{details['ErrorInfo'].metadata}")
    with checks.case("python: a field out of range, by its path"):
        error, details = failure(lambda: stub.Complete(ask(temperature=3.5), timeout=20))
        equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT, "code")
        equal(details["ErrorInfo"].reason, "INVALID_REQUEST", "reason")
        equal([v.field for v in details["BadRequest"].field_violations], ["temperature"], "fields")


def endings(checks, stub, upstream):
    for rpc in ("Complete", "StreamComplete"):
        with checks.case(f"python: {rpc} at its deadline ends in time, and the upstream sees it"):
            upstream.forget()
            begun = time.time()
            call = stub.Complete.future(ask("silent"), timeout=1.0) if rpc == "Complete" else None
            try:
                call.result() if call else list(stub.StreamComplete(ask("silent"), timeout=1.0))
                raise AssertionError("the call succeeded")
            except grpc.RpcError as error:
                equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "code")
            took = time.time() - begun
            holds(0.9 <= took <= 1.5, f"ended after {took:.3f} s")
            gone = upstream.event("gone", "silent")
            holds(gone["at"] - begun <= 1.0 + GONE_WITHIN, f"seen after {gone['at'] - begun:.3f} s")

    with checks.case("python: a cancelled call is gone upstream within 500 ms"):
        upstream.forget()
        call = stub.Complete.future(ask("silent"), timeout=30)
        upstream.event("request", "silent")
        cancelled = time.time()
        call.cancel()
        gone = upstream.event("gone", "silent")
        holds(gone["at"] - cancelled <= GONE_WITHIN, f"seen after {gone['at'] - cancelled:.3f} s")
    with checks.case("python: a stream cancelled on the way is gone upstream within 500 ms"):
        upstream.forget()
        stream = stub.StreamComplete(ask("endless"), timeout=30)
        seen = next(event for event in stream if event.WhichOneof("event") == "block_delta")
        holds(seen.block_delta.text, "an empty delta")
        cancelled = time.time()
        stream.cancel()
        gone = upstream.event("gone", "endless")
        holds(gone["at"] - cancelled <= GONE_WITHIN, f"seen after {gone['at'] - cancelled:.3f} s")


def services(checks, channel):
    with checks.case("python: health, overall and of the service"):
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            found = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status
            equal(found, health_pb2.HealthCheckResponse.SERVING, f"health of {name!r}")
        try:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=10)
            raise AssertionError("an unknown service has a health")
        except grpc.RpcError as error:
            equal(error.code(), grpc.StatusCode.NOT_FOUND, "code")
    with checks.case("python: reflection v1alpha names the service and the messages of failures"):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="completiond.v1.FailureDetail"),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="google.rpc.ErrorInfo"),
        ]
        replies = list(stub.ServerReflectionInfo(iter(asked), timeout=10))
        holds(SERVICE in {s.name for s in replies[0].list_services_response.service}, f"{replies[0]}")
        for reply in replies[1:]:
            holds(reply.file_descriptor_response.file_descriptor_proto, f"{reply}")
