"""Checks of what a server without a file and without a key answers: the simulator, which says that it is one."""

import grpc

from python_client import completion_pb2, completion_service_pb2_grpc, fold
from servers import Completiond, equal, holds


def run(checks):
    with Completiond() as server, grpc.insecure_channel(server.address) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        request = completion_pb2.CompleteRequest(prompt="Why is the sky blue?")
        with checks.case("simulator: answers without a file, and is labelled"):
            first = stub.Complete(request, timeout=20)
            outcome = first.outcome
            equal((outcome.simulated, outcome.provider, outcome.model), (True, "simulator", "simulator"), "who answered")
            holds(first.text, "an empty answer")
        with checks.case("simulator: answers the same twice, whole and as a stream"):
            equal(stub.Complete(request, timeout=20).message, first.message, "the second answer")
            message, outcome = fold(stub.StreamComplete(request, timeout=60))
            equal(message, first.message, "the stream's message")
            equal(outcome.simulated, True, "simulated")
