"""The life of a server in a few seconds: whatever happens to calls happens once, so that each metric has something to
tell.

All providers but one are the simulator inside the server. What happens is in the names of models and in lines of
prompts.
"""

import contextlib
import json
import socket
import subprocess
import threading
import uuid

import grpc

from python_client import ask, completion_service_pb2_grpc
from servers import equal, holds

from completiond.v1 import completion_pb2

# `REDIS_URL` names a port where nobody listens: the server goes on without it, and counts what it did not answer.
# `LONG_ANSWERS` is an upstream of long_answers.py, and `FOLDER` has what `put_files` makes: the keys of one issuer of tokens,
# those of the other being away, and a certificate for operators.
SERVER = """
workers: 2
providers:
  - { id: one, preset: simulator }
  - { id: two, preset: simulator }
  - { id: locked, preset: simulator }
  - { id: long, protocol: openai, base_url: "${LONG_ANSWERS}" }
  - { id: claude, protocol: anthropic, base_url: "simulator://local" }
simulator: { first_event: 0ms, pace: 0ms }
retry: { base_delay: 1ms, max_delay: 5ms, max_attempts: 3 }
limits: { max_in_flight: 8 }
allow_anonymous: true
callers: [{ name: known, keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"] }]
issuers:
  - { name: near, issuer: near, audiences: [a], jwks: "file:${FOLDER}/keys.json", callers: [{}] }
  - { name: away, issuer: away, audiences: [a], jwks: "file:${FOLDER}/nothing.json", callers: [{}] }
admin_tls: { certificate: "${FOLDER}/admin.crt", key: "${FOLDER}/admin.key" }
cache: { enabled: true, max_bytes: 1MiB }
prompt_cache: { mode: automatic }
completions: { redis_url: "${REDIS_URL}" }
usage: { labels: [team] }
default_model: smart
models:
  - { id: smart, targets: [{ provider: one, model: simulator }], price: { input: 3.0, output: 15.0 } }
  - { id: free, targets: [{ provider: two, model: simulator }] }
  - { id: down, targets: [{ provider: one, model: "simulator?error=503" }] }
  - { id: locked, targets: [{ provider: locked, model: "simulator?error=credentials" }] }
  - id: over
    targets: [{ provider: one, model: "simulator?error=overloaded" }, { provider: two, model: simulator, priority: 1 }]
  - id: hedged
    targets: [{ provider: one, model: "simulator?left=40" }, { provider: two, model: simulator, priority: 1 }]
    hedge: { quantile: 0.5, min_delay: 1ms, max_share: 1 }
"""
MOST_IN_FLIGHT = 8
# Hedging needs so many answers before it knows what is late.
KNOWN_AFTER = 20
SECONDS = 20


def put_files(folder):
    """What `SERVER` reads beside itself."""
    key = {"kty": "OKP", "crv": "Ed25519", "kid": "first", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    (folder / "keys.json").write_text(json.dumps({"keys": [key]}))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=completiond"
    files = ["-keyout", folder / "admin.key", "-out", folder / "admin.crt"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


class Life:
    """What happens to one server; each life is the same, and has prompts of its own."""

    def __init__(self, server):
        self.address = server.address
        self.channel = grpc.insecure_channel(server.address)
        self.stub = completion_service_pb2_grpc.CompletionServiceStub(self.channel)
        self.own = uuid.uuid4().hex
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def prompt(self, script, **fields):
        """A request that nobody has sent before."""
        self.number += 1
        text = f"sim: {script}\nquestion {self.number} of {self.own}"
        return ask(fields.pop("model", "smart"), text, labels={"team": "search"}, **fields)

    def succeed(self, request):
        return self.stub.Complete(request, timeout=SECONDS)

    def fail(self, request, code):
        try:
            self.stub.Complete(request, timeout=SECONDS)
        except grpc.RpcError as error:
            equal(error.code(), code, f"what becomes of {request.model}")
        else:
            raise AssertionError(f"{request.model} was answered")

    def live(self):
        self.answers()
        self.failures()
        self.hedge()
        self.kept_answers()
        self.kept_prompts()
        self.strangers()

    def answers(self):
        self.succeed(self.prompt("tokens=20 think=5"))
        # Nobody knows what this one costs, and nobody is told what that one used.
        self.succeed(self.prompt("tokens=20", model="free"))
        self.succeed(self.prompt("tokens=20 no_usage"))
        list(self.stub.StreamComplete(self.prompt("tokens=20 first_event=20ms pace=2ms"), timeout=SECONDS))

    def failures(self):
        self.fail(self.prompt("error=rejected"), grpc.StatusCode.INVALID_ARGUMENT)
        self.fail(self.prompt("tokens=1", model="locked"), grpc.StatusCode.FAILED_PRECONDITION)
        # Its breaker opens on the way.
        for _ in range(8):
            self.fail(self.prompt("tokens=1", model="down"), grpc.StatusCode.UNAVAILABLE)
        self.succeed(self.prompt("tokens=5", model="over"))

    def hedge(self):
        for _ in range(KNOWN_AFTER):
            self.succeed(self.prompt("tokens=1", model="hedged"))
        answer = self.succeed(self.prompt("tokens=1 first_event=500ms", model="hedged"))
        equal(len(answer.outcome.attempts), 2, "attempts at one that is late and beside it")

    def kept_answers(self):
        kept = self.prompt("tokens=20", temperature=0.0)
        told = [self.succeed(kept).outcome.cache_status for _ in range(2)]
        equal(told, [completion_pb2.CACHE_STATUS_MISS, completion_pb2.CACHE_STATUS_HIT], "the cache")
        again = self.prompt("tokens=20", request_id=str(uuid.uuid4()))
        told = [self.succeed(again).outcome.cache_status for _ in range(2)][1]
        equal(told, completion_pb2.CACHE_STATUS_REPLAYED, "the second call under one id")
        slow = self.prompt("tokens=5 first_event=300ms", temperature=0.0)
        both = [self.stub.Complete.future(slow, timeout=SECONDS) for _ in range(2)]
        told = [call.result().outcome.cache_status for call in both]
        holds(completion_pb2.CACHE_STATUS_COALESCED in told, f"one call for two: {told}")
        # Four answers, and room for three.
        for _ in range(4):
            self.succeed(self.prompt("a long one", model="long/long", temperature=0.0, max_tokens=1000))

    def kept_prompts(self):
        for _ in range(2):
            request = self.prompt("tokens=5", model="claude/claude-sonnet-5-5", system=f"{self.own} " * 200)
            self.succeed(request)

    def strangers(self):
        """One who speaks TLS where nobody does."""
        host, port = self.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=SECONDS) as stranger:
            stranger.sendall(bytes.fromhex("16030100050100000100"))
            with contextlib.suppress(ConnectionError):
                while stranger.recv(1024):
                    pass

    @contextlib.contextmanager
    def crowd(self):
        """As many streams as may be, and one more that is refused."""
        begun = threading.Semaphore(0)
        streams = [self.stub.StreamComplete(self.prompt("tokens=2000 pace=100ms")) for _ in range(MOST_IN_FLIGHT)]
        for stream in streams:
            threading.Thread(target=read, args=(stream, begun), daemon=True).start()
        for _ in streams:
            began = begun.acquire(timeout=SECONDS)
            holds(began, f"a stream does not begin: {[stream.code() for stream in streams if stream.done()]}")
        self.fail(self.prompt("tokens=1"), grpc.StatusCode.UNAVAILABLE)
        yield
        for stream in streams:
            stream.cancel()


def read(stream, begun):
    with contextlib.suppress(grpc.RpcError):
        for _ in stream:
            begun.release()
