"""A fleet of two for clients that balance by themselves, and a server that fails as it is told. Nothing is checked here."""

import concurrent.futures
import contextlib
import threading
import time

import grpc

from python_client import SERVICE, ask, completion_service_pb2_grpc, fold
from servers import ROOT, Completiond

CONFIG = ROOT / "tests/clients/fleet.yaml"


@contextlib.contextmanager
def pair():
    """Two servers: the one, and the target by which a client finds both, as by a headless Service."""
    with Completiond(CONFIG, {"WHO": "one"}) as one, Completiond(CONFIG, {"WHO": "other"}) as other:
        yield one, f"ipv4:{one.address},{other.address}"


@contextlib.contextmanager
def stub(target, service_config=None):
    options = [("grpc.service_config", service_config)] if service_config else []
    # Channels of one process share connections unless they are told not to; and two addresses are no name of a host.
    options += [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "completiond")]
    with grpc.insecure_channel(target, options=options) as channel:
        yield completion_service_pb2_grpc.CompletionServiceStub(channel)


def answering(stub, calls):
    """The names of those that answered so many calls. A call that fails is an error."""
    found = set()
    for _ in range(calls):
        _, outcome = fold(stub.StreamComplete(ask(""), timeout=30))
        found.add(outcome.provider)
    return found


def until(wanted, timeout=30.0):
    """Asks until it is so; whether it became so in time."""
    end = time.monotonic() + timeout
    while not (found := wanted()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


class Failing(grpc.GenericRpcHandler):
    """Answers each call with the status that it was told, once `silence` is over."""

    def __init__(self):
        self.code, self.after, self.calls, self.silence = grpc.StatusCode.UNAVAILABLE, 0, 0, threading.Event()
        self.silence.set()

    def service(self, details):
        if not details.method.startswith(f"/{SERVICE}/"):
            return None
        return grpc.unary_stream_rpc_method_handler(self.fail)

    def fail(self, request, context):
        self.calls += 1
        self.silence.wait()
        for _ in range(self.after):
            # An empty message of any kind.
            yield b""
        context.abort(self.code, "as told")

    @contextlib.contextmanager
    def running(self):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers([self])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            self.silence.set()
            server.stop(None)
