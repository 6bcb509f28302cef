"""A client: a whole answer, a stream, a tool round trip, and a failure with its details.

    pip install -r examples/python/requirements.txt
    examples/python/generate.sh
    python examples/python/client.py "Why is the sky blue?"
"""

import argparse
import pathlib
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, str(pathlib.Path(__file__).parent / "gen"))

from completiond.v1 import (  # noqa: E402
    completion_pb2,
    completion_service_pb2_grpc,
    error_pb2,
    message_pb2,
    tool_pb2,
)

# Seconds. The deadline travels with the call: the server and the provider stop working when it has passed.
DEADLINE = 60


def complete(client, model, prompt):
    response = client.Complete(completion_pb2.CompleteRequest(model=model, prompt=prompt), timeout=DEADLINE)
    outcome = response.outcome
    print(response.text)
    print(f"-- {outcome.model} of {outcome.provider}, {outcome.usage.total_tokens} tokens\n")


def stream(client, model, prompt):
    request = completion_pb2.CompleteRequest(model=model, prompt=prompt)
    for event in client.StreamComplete(request, timeout=DEADLINE):
        if event.block_delta.text:
            print(event.block_delta.text, end="", flush=True)
        elif event.HasField("restarted"):
            # Only where `restart_on_interruption` is set: everything that came before is void.
            print(f"\n-- it broke off and begins anew: {event.restarted.model} of {event.restarted.provider}")
        elif event.HasField("completed"):
            print(f"\n-- {completion_pb2.FinishReason.Name(event.completed.finish_reason)}\n")


def use_tool(client, model):
    """Offers a tool, runs what the model calls, and asks again with the results."""
    weather = tool_pb2.FunctionTool(
        name="weather",
        description="The weather in a city.",
        parameters_json='{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
    )
    request = completion_pb2.CompleteRequest(model=model, tools=[tool_pb2.Tool(function=weather)])
    question = request.messages.add(role=message_pb2.ROLE_USER).content.add().text
    question.text = "What is the weather in Bern?"
    first = client.Complete(request, timeout=DEADLINE)
    if first.outcome.simulated:
        # A model decides by itself; the simulator calls what a line asks for.
        question.text += "\nsim: tool=weather"
        first = client.Complete(request, timeout=DEADLINE)

    results = message_pb2.Message(role=message_pb2.ROLE_TOOL)
    for block in first.message.content:
        if block.HasField("tool_call"):
            call = block.tool_call
            print(f"the model calls {call.name}({call.arguments_json})")
            result = results.content.add().tool_result
            result.tool_call_id = call.id
            result.content.add().text.text = "rain, 12 degrees"
    if not results.content:
        print(f"the model calls nothing: {first.text}\n")
        return

    # The model's message goes back as it came, provider_state included.
    request.messages.extend([first.message, results])
    print(client.Complete(request, timeout=DEADLINE).text + "\n")


def fail(client):
    """Asks for a model that does not exist and prints what the status carries."""
    try:
        client.Complete(completion_pb2.CompleteRequest(model="no-such-model", prompt="Hello"), timeout=DEADLINE)
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}")
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                print("  reason:", error_details_pb2.ErrorInfo.FromString(detail.value).reason)
            elif detail.Is(error_pb2.FailureDetail.DESCRIPTOR):
                print("  call:", error_pb2.FailureDetail.FromString(detail.value).id)
    else:
        sys.exit("a model that does not exist answered")


def main():
    arguments = argparse.ArgumentParser(description="Talks to completiond.")
    arguments.add_argument("prompt", nargs="?", default="Why is the sky blue?")
    arguments.add_argument("--server", default="127.0.0.1:50051", help="where completiond listens (%(default)s)")
    arguments.add_argument("--model", default="", help="an alias, a model or provider/model")
    chosen = arguments.parse_args()
    with grpc.insecure_channel(chosen.server) as channel:
        client = completion_service_pb2_grpc.CompletionServiceStub(channel)
        complete(client, chosen.model, chosen.prompt)
        stream(client, chosen.model, chosen.prompt)
        use_tool(client, chosen.model)
        fail(client)


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
