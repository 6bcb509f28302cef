"""Checks with the LiteLLM proxy as the upstream, through both protocols.

Starts tests/clients/upstream.py, LiteLLM in front of it, and the server in front of LiteLLM: `messages/...` models go
over the messages protocol, `chat/...` models over the chat protocol.
"""

import pathlib
import sys
import urllib.request

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from python_client import (  # noqa: E402
    TEXT,
    WEATHER,
    ask,
    completion_pb2,
    completion_service_pb2_grpc,
    failure,
    fold,
    message_pb2,
    usage_pb2,
)
from servers import ROOT, TOOLS, Checks, Completiond, Process, Upstream, equal, free_port, holds  # noqa: E402

VERSION = "1.106.2"
KEY = "sk-for-tests"
MOCKED = "Hello from LiteLLM, word by word."


class LiteLLM(Process):
    """The proxy, once it answers."""

    def __init__(self, upstream):
        self.port = free_port()
        folder = TOOLS / f"litellm-{VERSION}/bin"
        command = [folder / "python", folder / "litellm", "--host", "127.0.0.1", "--port", self.port]
        command += ["--config", ROOT / "tests/upstreams/litellm.yaml"]
        environment = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MASTER_KEY": KEY,
            "LITELLM_SELF": f"http://127.0.0.1:{self.port}/v1",
            "UPSTREAM": f"http://127.0.0.1:{upstream.port}/v1",
            "PATH": f"{folder}:/usr/bin:/bin",
            "PYTHONUNBUFFERED": "1",
        }
        super().__init__("litellm", command, environment)
        self.line(lambda line: True if "Uvicorn running on" in line else None, timeout=240.0)
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/liveliness", timeout=60).close()


def main():
    checks = Checks()
    with Upstream() as upstream, LiteLLM(upstream) as proxy:
        environment = {"LITELLM": f"http://127.0.0.1:{proxy.port}", "LITELLM_KEY": KEY}
        config = ROOT / "tests/upstreams/litellm_completiond.yaml"
        with Completiond(config, environment) as server, grpc.insecure_channel(server.address) as channel:
            stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
            for protocol, mock in (("messages", "mock-messages"), ("chat", "mock")):
                texts(checks, stub, protocol, f"litellm-{protocol}/{mock}", MOCKED)
                texts(checks, stub, protocol, f"litellm-{protocol}/text", TEXT)
                tools(checks, stub, protocol)
                failures(checks, stub, protocol)
    checks.close()


def texts(checks, stub, protocol, model, expected):
    with checks.case(f"litellm: {model}, whole and streamed upstream"):
        response = stub.Complete(ask(model), timeout=60)
        answered(response.message, response.outcome, protocol, expected)
    with checks.case(f"litellm: {model}, whole and not streamed upstream"):
        response = stub.Complete(ask(model, max_tokens=200), timeout=60)
        answered(response.message, response.outcome, protocol, expected)
    with checks.case(f"litellm: {model}, as a stream"):
        events = list(stub.StreamComplete(ask(model), timeout=60))
        message, outcome = fold(events)
        answered(message, outcome, protocol, expected)
        deltas = [event for event in events if event.WhichOneof("event") == "block_delta"]
        holds(len(deltas) > 3, f"{len(deltas)} deltas")


def answered(message, outcome, protocol, expected):
    equal("".join(block.text.text for block in message.content), expected, "text")
    equal(outcome.finish_reason, completion_pb2.FINISH_REASON_STOP, "finish reason")
    equal(outcome.provider, f"litellm-{protocol}", "provider")
    usage = outcome.usage
    holds(usage.input_tokens > 0 and usage.output_tokens > 0, f"usage: {usage}")
    equal(usage.source, usage_pb2.USAGE_SOURCE_PROVIDER, "where the usage comes from")


def tools(checks, stub, protocol):
    def one(streamed, max_tokens):
        question = message_pb2.Message(role=message_pb2.ROLE_USER)
        question.content.add().text.text = "What is the weather in Bern?"
        request = completion_pb2.CompleteRequest(model=f"litellm-{protocol}/text", messages=[question], tools=[WEATHER])
        if max_tokens:
            request.max_tokens = max_tokens
        if streamed:
            message, outcome = fold(stub.StreamComplete(request, timeout=60))
        else:
            response = stub.Complete(request, timeout=60)
            message, outcome = response.message, response.outcome
        equal(outcome.finish_reason, completion_pb2.FINISH_REASON_TOOL_CALLS, "finish reason")
        call = next(block.tool_call for block in message.content if block.HasField("tool_call"))
        # Whitespace of the arguments is the proxy's to change; their content is not.
        equal((call.name, call.arguments_json.replace(" ", "")), ("weather", '{"city":"Bern"}'), "call")
        result = message_pb2.Message(role=message_pb2.ROLE_TOOL)
        block = result.content.add().tool_result
        block.tool_call_id = call.id
        block.content.add().text.text = "rain"
        request.messages.extend([message, result])
        equal(stub.Complete(request, timeout=60).text, "The tool said: rain", "the answer to the result")

    for how, streamed, max_tokens in (("a stream", True, None), ("a whole answer", False, 200)):
        with checks.case(f"litellm: a tool round trip over {protocol}, from {how}"):
            one(streamed, max_tokens)


def failures(checks, stub, protocol):
    table = [
        ("mock-limited", grpc.StatusCode.RESOURCE_EXHAUSTED, "PROVIDER_RATE_LIMITED", "429"),
        ("mock-broken", grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE", "500"),
        ("rejected", grpc.StatusCode.INVALID_ARGUMENT, "PROVIDER_REJECTED", "400"),
    ]
    for model, code, reason, status in table:
        for rpc in ("Complete", "StreamComplete"):
            with checks.case(f"litellm: {rpc} of {model} over {protocol} fails with {reason}"):
                call = getattr(stub, rpc)
                request = ask(f"litellm-{protocol}/{model}")
                error, details = failure(lambda: call(request, timeout=60) if rpc == "Complete" else list(call(request)))
                equal((error.code(), details["ErrorInfo"].reason), (code, reason), "failure")
                equal(details["ErrorInfo"].metadata["upstreamStatus"], status, "upstreamStatus")


if __name__ == "__main__":
    main()
