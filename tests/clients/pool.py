"""Checks of the pool with real clients: failover, one deadline, client retries against the budget, administration."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

import grpc

from python_client import TEXT, ask, completion_service_pb2_grpc, fold
from servers import ROOT, Completiond, equal, free_port, holds
from shell import GRPCURL, shell

CONFIG = ROOT / "tests/clients/pool.yaml"
ADMIN = "completiond.v1.AdminService"
# A client that tries again four times whatever happens, unless the server tells it not to.
EAGER = json.dumps({
    "methodConfig": [{
        "name": [{}],
        "retryPolicy": {
            "maxAttempts": 5,
            "initialBackoff": "0.01s",
            "maxBackoff": "0.01s",
            "backoffMultiplier": 1,
            "retryableStatusCodes": ["UNAVAILABLE"],
        },
    }]
})
# More than the retry budget holds.
MANY = 150


def run(checks, environment):
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "pool.yaml"
        config.write_text(CONFIG.read_text())
        environment = {**environment, "NOBODY": f"http://127.0.0.1:{free_port()}/v1"}
        admin = free_port()
        with Completiond(config, environment, admin) as server:
            with grpc.insecure_channel(server.address) as channel:
                failover(checks, completion_service_pb2_grpc.CompletionServiceStub(channel))
            administration(checks, server, config, f"127.0.0.1:{admin}")
            budget(checks, server, f"127.0.0.1:{admin}")


def failover(checks, stub):
    for model in ("failover", "silent-first", "falls-back"):
        with checks.case(f"pool: {model} is answered by the second choice within 3 s, whole and as a stream"):
            whole = stub.Complete(ask(model), timeout=3)
            message, outcome = fold(stub.StreamComplete(ask(model), timeout=3))
            for text, of in ((whole.text, whole.outcome), (message.content[0].text.text, outcome)):
                equal(text, TEXT, "text")
                equal((of.provider, of.attempts[-1].endpoint), ("real", "real/text"), "who answered")
                holds(len(of.attempts) > 1, f"the ledger: {of.attempts}")
    with checks.case("pool: a model to fall back to is the request's own choice"):
        answer = stub.Complete(ask("alone", fallback_models=["real/text"]), timeout=3)
        equal(answer.outcome.provider, "real", "who answered")
    with checks.case("pool: a stream that breaks off and begins anew folds to the answer that came last"):
        broken = ask("real/broken", restart_on_interruption=True, fallback_models=["real/text"])
        events = list(stub.StreamComplete(broken, timeout=20))
        kinds = [event.WhichOneof("event") for event in events]
        restarts = kinds.count("restarted")
        holds(restarts > 0 and "block_delta" in kinds[: kinds.index("restarted")], f"kinds: {kinds}")
        message, outcome = fold(events)
        equal([block.text.text for block in message.content], [TEXT], "message")
        equal((outcome.model, len(outcome.attempts)), ("text", 1 + restarts), "outcome")
    with checks.case("pool: without any healthy target the deadline is the caller's"):
        code = None
        try:
            stub.Complete(ask("real/silent"), timeout=1)
        except grpc.RpcError as error:
            code = error.code()
        equal(code, grpc.StatusCode.DEADLINE_EXCEEDED, "code")


def administration(checks, server, config, admin):
    def call(method, code=0):
        return shell(GRPCURL, "-plaintext", admin, f"{ADMIN}/{method}", code=code)

    with checks.case("pool: grpcurl sees each endpoint, and nothing in flight"):
        pool = json.loads(call("GetPool"))
        endpoints = {f"{of['provider']}/{of['model']}": of for of in pool["endpoints"]}
        equal(endpoints["dead/m"]["lastFailure"]["reason"], "PROVIDER_UNAVAILABLE", "the last failure")
        holds(all("inFlight" not in of for of in endpoints.values()), f"in flight: {endpoints}")
        equal(pool["server"].get("callsInFlight", "0"), "0", "calls in flight")
    with checks.case("pool: the command shows the same"):
        program = os.environ.get("COMPLETIOND", ROOT / "target/debug/completiond")
        table = subprocess.run([program, "pool", "--once", "--server", admin], text=True, capture_output=True, timeout=30)
        holds(table.returncode == 0 and "dead/m" in table.stdout, table.stdout + table.stderr)
    with checks.case("pool: a bad configuration is refused, and the old one stays"):
        good = config.read_text()
        config.write_text(good.replace("base_delay", "base_dealy"))
        said = call("Reload", code=9)
        holds("CONFIGURATION_INVALID" in said and "base_delay" in said, said)
        config.write_text(good)
    with checks.case("pool: a reload puts a new model in force, by the service and by SIGHUP"):
        for name, reload in (("by-service", lambda: call("Reload")), ("by-signal", lambda: server.child.send_signal(signal.SIGHUP))):
            config.write_text(f"{config.read_text()}  - {{ id: {name}, targets: [{{ provider: real, model: text }}] }}\n")
            reload()
            with grpc.insecure_channel(server.address) as channel:
                stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
                for _ in range(100):
                    try:
                        equal(stub.Complete(ask(name), timeout=3).text, TEXT, "text")
                        break
                    except grpc.RpcError as error:
                        equal(error.code(), grpc.StatusCode.NOT_FOUND, f"{name} is not there yet")
                else:
                    raise AssertionError(f"{name} never came")


def budget(checks, server, admin):
    options = [("grpc.service_config", EAGER), ("grpc.enable_retries", 1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        with checks.case("pool: an eager client is told to stop when the retry budget is spent"):
            calls = [stub.Complete.future(ask("alone"), timeout=30) for _ in range(MANY)]
            equal({call.code() for call in calls}, {grpc.StatusCode.UNAVAILABLE}, "codes")
            trailers = [dict(call.trailing_metadata()) for call in calls]
            pushed_back = sum(told.get("grpc-retry-pushback-ms") == "-1" for told in trailers)
            holds(pushed_back > 0, f"{pushed_back} of {MANY} were pushed back")
            pool = json.loads(shell(GRPCURL, "-plaintext", admin, f"{ADMIN}/GetPool"))
            sent = {f"{of['provider']}/{of['model']}": int(of.get("attemptsSent", 0)) for of in pool["endpoints"]}
            # Each call once, and what the budget held: the client alone would have made five times as many.
            holds(sent["dead/alone"] < 3 * MANY, f"attempts at dead/alone: {sent['dead/alone']}")
