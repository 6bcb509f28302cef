"""Checks of batches with grpcio: as one message and as a stream."""

import grpc

from google.rpc import code_pb2, error_details_pb2

# Before the generated code, whose place it knows.
from python_client import TEXT, ask
from servers import equal, holds

from completiond.v1 import batch_pb2, completion_service_pb2_grpc, lookup_pb2

MANY = 300


def reason(result):
    for detail in result.status.details:
        found = error_details_pb2.ErrorInfo()
        if detail.Unpack(found):
            return found.reason
    raise AssertionError(f"no ErrorInfo in {result}")


def run(checks, server):
    with grpc.insecure_channel(server.address) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        with checks.case("python: a batch is answered in order, and a failure is its own"):
            requests = [ask(), ask(temperature=3.5), ask("txet"), ask()]
            results = stub.BatchComplete(batch_pb2.BatchCompleteRequest(requests=requests), timeout=20).results
            kinds = [result.WhichOneof("result") for result in results]
            equal(kinds, ["response", "status", "status", "response"], "kinds")
            equal([results[0].response.text, results[3].response.text], [TEXT, TEXT], "texts")
            codes = [results[1].status.code, results[2].status.code]
            equal(codes, [code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND], "codes")
            equal([reason(results[1]), reason(results[2])], ["INVALID_REQUEST", "MODEL_NOT_FOUND"], "reasons")
            found = stub.GetCompletion(lookup_pb2.GetCompletionRequest(id=results[0].id), timeout=20).completion
            equal(found.state, lookup_pb2.COMPLETION_STATE_SUCCEEDED, "state")
        with checks.case("python: a stream of requests has a result for each, by its name"):
            items = (batch_pb2.BatchItem(custom_id=str(number), request=ask()) for number in range(MANY))
            said = (batch_pb2.StreamBatchCompleteRequest(item=item) for item in items)
            texts = {done.custom_id: done.result.response.text for done in stub.StreamBatchComplete(said, timeout=60)}
            equal(len(texts), MANY, "results")
            holds(set(texts.values()) == {TEXT}, f"{set(texts.values())}")
