"""Checks with a real inference server: llama.cpp with the model of tiny_model.py, whose answers are nonsense.

`LLAMA_PYTHON` is the Python in which llama-cpp-python[server] and gguf are installed.
"""

import json
import os
import pathlib
import sys
import tempfile
import time
import urllib.request

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from python_client import ask, completion_pb2, completion_service_pb2_grpc, fold  # noqa: E402
from servers import ROOT, TOOLS, Checks, Completiond, Process, equal, free_port, holds  # noqa: E402

PYTHON = os.environ.get("LLAMA_PYTHON", TOOLS / "llama-0.3.36/bin/python")
CONTEXT = 4096
SCHEMA = {
    "type": "object",
    "properties": {"rain": {"type": "boolean"}, "sky": {"enum": ["blue", "grey"]}},
    "required": ["rain", "sky"],
    "additionalProperties": False,
}


class Llama(Process):
    """The inference server, once it listens."""

    def __init__(self, model):
        self.port = free_port()
        command = [PYTHON, "-u", "-m", "llama_cpp.server", "--model", model, "--model_alias", "tiny"]
        command += ["--n_ctx", CONTEXT, "--host", "127.0.0.1", "--port", self.port]
        super().__init__("llama.cpp", command)
        self.line(lambda line: True if "Uvicorn running on" in line else None, timeout=120.0)

    def ask(self, prompt, **fields):
        """What the server answers without anything in between."""
        body = {"model": "tiny", "messages": [{"role": "user", "content": prompt}], **fields}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions", json.dumps(body).encode())
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "tiny.gguf"
        with Process("tiny_model", [PYTHON, ROOT / "tests/upstreams/tiny_model.py", model]) as maker:
            equal(maker.child.wait(60), 0, "tiny_model.py")
        with Llama(model) as llama:
            environment = {"LLAMA": f"http://127.0.0.1:{llama.port}"}
            with Completiond(ROOT / "tests/upstreams/llama_completiond.yaml", environment) as server:
                with grpc.insecure_channel(server.address) as channel:
                    run(checks, completion_service_pb2_grpc.CompletionServiceStub(channel), llama)
    checks.close()


def run(checks, stub, llama):
    with checks.case("llama.cpp: a text and its usage, as the server itself says them"):
        direct = llama.ask("Why is the sky blue?", max_tokens=16, temperature=0.0)
        response = stub.Complete(ask("tiny", max_tokens=16, temperature=0.0), timeout=60)
        equal(response.outcome.finish_reason, completion_pb2.FINISH_REASON_MAX_TOKENS, "finish reason")
        equal(response.text, direct["choices"][0]["message"]["content"], "text")
        usage = response.outcome.usage
        said = (direct["usage"]["prompt_tokens"], direct["usage"]["completion_tokens"])
        equal((usage.input_tokens, usage.output_tokens), said, "usage")
    with checks.case("llama.cpp: a stream in many pieces, up to its bound"):
        request = ask("tiny", max_tokens=64)
        events = list(stub.StreamComplete(request, timeout=60))
        message, outcome = fold(events)
        equal(outcome.finish_reason, completion_pb2.FINISH_REASON_MAX_TOKENS, "finish reason")
        deltas = [event for event in events if event.WhichOneof("event") == "block_delta"]
        holds(len(deltas) >= 8, f"{len(deltas)} deltas")
        holds(message.content[0].text.text, "an empty text")
    with checks.case("llama.cpp: the same seed gives the same text, whole and as a stream"):
        request = ask("tiny", max_tokens=32, seed=7, temperature=0.0)
        message, _ = fold(stub.StreamComplete(request, timeout=60))
        equal(stub.Complete(request, timeout=60).message.content, message.content, "content")
    for how in ("Complete", "StreamComplete"):
        with checks.case(f"llama.cpp: {how} by a JSON schema parses and fits"):
            fits(stub, how)
    with checks.case("llama.cpp: a cancelled stream stops the inference within 500 ms"):
        cancelled(stub, llama)


def fits(stub, how):
    request = ask("tiny", max_tokens=500, seed=3)
    request.response_format.json_schema.name = "weather"
    request.response_format.json_schema.schema_json = json.dumps(SCHEMA)
    answer = getattr(stub, how)(request, timeout=60)
    message = answer.message if how == "Complete" else fold(answer)[0]
    value = json.loads("".join(block.text.text for block in message.content))
    equal(set(value), {"rain", "sky"}, "keys")
    holds(isinstance(value["rain"], bool) and value["sky"] in ("blue", "grey"), f"{value}")


def cancelled(stub, llama):
    request = ask("tiny", max_tokens=2000)
    stream = stub.StreamComplete(request, timeout=60)
    next(event for event in stream if event.WhichOneof("event") == "block_delta")
    at = time.time()
    stream.cancel()
    llama.line(lambda line: True if "Disconnected from client" in line else None, timeout=10.0)
    holds(time.time() - at <= 0.5, f"seen after {time.time() - at:.3f} s")
    # One inference runs at a time: the next answer shows that the cancelled one does not run on.
    stub.Complete(ask("tiny", max_tokens=4), timeout=10)


if __name__ == "__main__":
    main()
