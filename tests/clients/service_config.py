"""Checks that a client which loads examples/service-config.json balances its calls, leaves a server that drains before it goes,
and retries by itself what may be retried, and nothing else.
"""

import json
import signal

import grpc

from balanced import Failing, answering, pair, stub, until
from python_client import TEXT, ask, fold, model_pb2
from completiond.v1 import batch_pb2  # noqa: E402  (found by python_client)
from servers import ROOT, equal, holds

CONFIG = (ROOT / "examples/service-config.json").read_text()
# Both are balanced, but this one does not look at health.
BLIND = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
RETRIED = {"Complete", "StreamComplete", "ListModels", "CountTokens", "GetCompletion"}
# How often a call may be made, by the policy.
ATTEMPTS = 3


def run(checks, server):
    with checks.case("service config: is JSON with a retry policy for every rpc that is one completion, or none"):
        methods = json.loads(CONFIG)["methodConfig"]
        named = {name["method"] for method in methods if "retryPolicy" in method for name in method["name"]}
        equal(named, RETRIED, "rpcs with a retry policy")
        codes = {code for method in methods for code in method["retryPolicy"]["retryableStatusCodes"]}
        equal(codes, {"UNAVAILABLE"}, "statuses that are retried")
    with stub(server.address, CONFIG) as client:
        for rpc in ("Complete", "StreamComplete"):
            with checks.case(f"service config: {rpc} answers although the provider fails at first"):
                call = getattr(client, rpc)(ask(f"real/flaky-{rpc}"), timeout=30)
                message = call.message if rpc == "Complete" else fold(call)[0]
                equal(message.content[0].text.text, TEXT, "text")
    drained(checks)
    refused(checks)


def drained(checks):
    """Two servers, one of which is told to stop while calls are made."""
    with pair() as (one, target), stub(target, CONFIG) as careful, stub(target, BLIND) as blind:
        both = {"one", "other"}
        with checks.case("service config: calls go to all servers"):
            for client in (careful, blind):
                holds(until(lambda client=client: answering(client, 6) == both), "one server gets all calls")
        one.child.send_signal(signal.SIGTERM)
        with checks.case("service config: a server that drains gets no new calls while it still answers, and none fails"):
            holds(until(lambda: answering(careful, 6) == {"other"}, 8), "it is still asked")
            # It is not gone: who does not look at health still asks it.
            equal(answering(blind, 6), both, "who answers those that do not look")
        with checks.case("service config: when it has gone, no call has failed"):
            gone = until(lambda: answering(careful, 2) == {"other"} and one.child.poll() is not None, 60)
            holds(gone, "it did not end")
            equal(answering(careful, 6), {"other"}, "who answers")


def refused(checks):
    """A server that always fails."""
    failing = Failing()
    with failing.running() as address, stub(address) as plain:
        with checks.case("service config: without it nothing is tried again"):
            equal((failed(plain), failing.calls), ("UNAVAILABLE", 1), "calls")
        for code, calls in {"UNAVAILABLE": ATTEMPTS, "RESOURCE_EXHAUSTED": 1, "DEADLINE_EXCEEDED": 1, "INTERNAL": 1}.items():
            with checks.case(f"service config: {code} leads to {calls} attempts"), stub(address, CONFIG) as client:
                failing.calls, failing.code = 0, grpc.StatusCode[code]
                equal((failed(client), failing.calls), (code, calls), "calls")
        failing.code = grpc.StatusCode.UNAVAILABLE
        with checks.case("service config: a stream that has begun is not begun again"), stub(address, CONFIG) as client:
            failing.calls, failing.after = 0, 1
            equal((failed(client, "StreamComplete"), failing.calls), ("UNAVAILABLE", 1), "calls")
        failing.after = 0
        with checks.case("service config: what takes several completions is not tried again"), stub(address, CONFIG) as client:
            failing.calls = 0
            equal((failed(client, "BatchComplete"), failing.calls), ("UNAVAILABLE", 1), "calls")
        with checks.case("service config: an outage is not amplified"), stub(address, CONFIG) as client:
            attempts = [attempts_of(failing, client) for _ in range(12)]
            equal(attempts[0], ATTEMPTS, "attempts while there are tokens")
            # A token for each failure of ten, and below half of them no retry.
            equal(attempts[-6:], [1] * 6, f"attempts when there are none: {attempts}")
        failing.silence.clear()
        with checks.case("service config: calls end in time although their caller says none"):
            # The same with seconds in the place of minutes.
            with stub(address, CONFIG.replace('"600s"', '"1s"').replace('"10s"', '"1s"')) as client:
                for rpc in ("Complete", "StreamComplete", "ListModels"):
                    equal(failed(client, rpc), "DEADLINE_EXCEEDED", rpc)


def attempts_of(failing, client):
    failing.calls = 0
    failed(client)
    return failing.calls


def failed(client, rpc="Complete"):
    """The status that a call without a deadline of its own ends with."""
    request = REQUESTS.get(rpc, ask)()
    try:
        call = getattr(client, rpc)(request)
        if rpc == "StreamComplete":
            list(call)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


REQUESTS = {
    "ListModels": lambda: model_pb2.ListModelsRequest(),
    "BatchComplete": lambda: batch_pb2.BatchCompleteRequest(),
}
