"""Checks with what people have in a shell: grpcurl, buf curl, and curl for what only raw headers show."""

import base64
import gzip
import json
import os
import struct
import subprocess
import tempfile
import time

from servers import ROOT, TOOLS, equal, holds

GRPCURL = os.environ.get("GRPCURL", TOOLS / "bin/grpcurl")
BUF = os.environ.get("BUF", TOOLS / "npm/node_modules/.bin/buf")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SERVICE = "completiond.v1.CompletionService"
TEXT = "The sky is blue because air scatters short waves more than long ones."
ASK = {"model": "text", "prompt": "Why is the sky blue?"}
BUF_FLAGS = ["--protocol", "grpc", "--http2-prior-knowledge"]
DEADLINE_EXCEEDED = 4
# An answer may come before the server has read the request, and then the rest of that is reset (RFC 9113, 8.1). The answer
# is whole, but curl calls it an error when it has not sent everything by then.
RESET = 92
GONE_WITHIN = 0.5


def shell(*command, code=0, fine=()):
    done = subprocess.run([str(word) for word in command], cwd=ROOT, text=True, capture_output=True, timeout=60)
    if (done.returncode == 0) != (code == 0) and done.returncode not in fine:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + (done.stderr if code else "")


def grpcurl(server, method, request, *flags, code=0):
    return shell(GRPCURL, "-plaintext", *flags, "-d", json.dumps(request), server.address, method, code=code)


def buf_curl(server, method, request, *flags, code=0):
    return shell(BUF, "curl", *BUF_FLAGS, *flags, "-d", json.dumps(request), f"http://{server.address}/{method}", code=code)


def documents(text):
    """The JSON documents of a stream, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    text = text.strip()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def streamed_text(text):
    events = documents(text)
    holds("completed" in events[-1], f"the last event: {events[-1]}")
    equal([int(event.get("sequence", 0)) for event in events], list(range(len(events))), "sequence")
    return "".join(event.get("blockDelta", {}).get("text", "") for event in events)


def run(checks, server, upstream):
    callers = [("grpcurl", grpcurl), ("buf curl", buf_curl)]
    for name, call in callers:
        with checks.case(f"{name}: a text, by reflection"):
            equal(json.loads(call(server, f"{SERVICE}/Complete", ASK))["text"], TEXT, "text")
        with checks.case(f"{name}: a text as a stream, by reflection"):
            equal(streamed_text(call(server, f"{SERVICE}/StreamComplete", ASK)), TEXT, "text")
        with checks.case(f"{name}: the first call of a tool round trip"):
            weather = {"function": {"name": "weather", "parametersJson": '{"type":"object"}'}}
            answer = json.loads(call(server, f"{SERVICE}/Complete", {**ASK, "tools": [weather]}))
            equal(answer["outcome"]["finishReason"], "FINISH_REASON_TOOL_CALLS", "finish reason")
            equal(answer["message"]["content"][0]["toolCall"]["argumentsJson"], '{"city": "Bern"}', "arguments")
    only_grpcurl(checks, server)
    only_buf(checks, server)
    raw(checks, server, upstream)


def only_grpcurl(checks, server):
    with checks.case("grpcurl: lists and describes the service"):
        found = shell(GRPCURL, "-plaintext", server.address, "list").split()
        for name in (SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"):
            holds(name in found, f"{name} is not in {found}")
        described = shell(GRPCURL, "-plaintext", server.address, "describe", f"{SERVICE}.StreamComplete")
        holds("returns ( stream .completiond.v1.StreamCompleteResponse )" in described, described)
    with checks.case("grpcurl: health"):
        found = json.loads(grpcurl(server, "grpc.health.v1.Health/Check", {"service": SERVICE}))
        equal(found["status"], "SERVING", "health")
    with checks.case("grpcurl: an error with its details decoded"):
        said = grpcurl(server, f"{SERVICE}/Complete", {**ASK, "model": "limited"}, code=1)
        for words in ('"reason": "PROVIDER_RATE_LIMITED"', '"retryDelay": "7s"', "ATTEMPT_OUTCOME_FAILED"):
            holds(words in said, f"{words} is not in\n{said}")
    with checks.case("grpcurl: a deadline"):
        said = grpcurl(server, f"{SERVICE}/Complete", {**ASK, "model": "silent"}, "-max-time", "1", code=1)
        holds("DeadlineExceeded" in said, said)
    with checks.case("grpcurl: from the files in proto/, without reflection"):
        files = ["-import-path", ROOT / "proto", "-proto", "completiond/v1/completion_service.proto"]
        equal(json.loads(grpcurl(server, f"{SERVICE}/Complete", ASK, *files))["text"], TEXT, "text")


def only_buf(checks, server):
    with checks.case("buf curl: an error with its details"):
        said = json.loads(buf_curl(server, f"{SERVICE}/Complete", {**ASK, "model": "limited"}, code=1))
        equal(said["code"], "resource_exhausted", "code")
        details = {each["type"]: base64.b64decode(each["value"] + "==") for each in said["details"]}
        holds(b"PROVIDER_RATE_LIMITED" in details["google.rpc.ErrorInfo"], f"{details}")
        holds(b"real/limited" in details["completiond.v1.FailureDetail"], f"{details}")
    for protocol in ("grpc-v1", "grpc-v1alpha"):
        with checks.case(f"buf curl: reflection {protocol}"):
            said = buf_curl(server, f"{SERVICE}/Complete", ASK, "--reflect-protocol", protocol)
            equal(json.loads(said)["text"], TEXT, "text")
    with checks.case("buf curl: from the files in proto/, without reflection"):
        equal(json.loads(buf_curl(server, f"{SERVICE}/Complete", ASK, "--schema", "."))["text"], TEXT, "text")


def frame(message, encoding="identity"):
    body = gzip.compress(message) if encoding == "gzip" else message
    return struct.pack(">BI", encoding != "identity", len(body)) + body


def text_field(number, text):
    """A length-delimited field of a protobuf message, for short texts."""
    return bytes([number << 3 | 2, len(text)]) + text.encode()


def post(server, rpc, body, *headers):
    """The response's headers and trailers in lower case, and its body, of one request in HTTP/2 frames."""
    with tempfile.TemporaryDirectory() as folder:
        request, heads, answer = (os.path.join(folder, name) for name in ("request", "heads", "answer"))
        with open(request, "wb") as file:
            file.write(body)
        flags = ["-sS", "--http2-prior-knowledge", "-m", "20", "-D", heads, "-o", answer]
        for header in ("content-type: application/grpc", "te: trailers", *headers):
            flags += ["-H", header]
        url = f"http://{server.address}/{SERVICE}/{rpc}"
        shell("curl", *flags, "--data-binary", f"@{request}", url, fine=(RESET,))
        with open(heads, encoding="latin-1") as file:
            lines = [line.strip().partition(": ") for line in file if ": " in line]
        body = open(answer, "rb").read() if os.path.exists(answer) else b""
        return {name.lower(): value for name, _, value in lines}, body


def raw(checks, server, upstream):
    silent = frame(text_field(1, "silent") + text_field(3, "Hello"))
    for rpc in ("Complete", "StreamComplete"):
        with checks.case(f"curl: the server itself ends {rpc} at grpc-timeout with DEADLINE_EXCEEDED"):
            upstream.forget()
            begun = time.time()
            heads, _ = post(server, rpc, silent, "grpc-timeout: 700m")
            equal(int(heads["grpc-status"]), DEADLINE_EXCEEDED, "grpc-status")
            holds("grpc-status-details-bin" in heads, f"no details: {heads}")
            gone = upstream.event("gone", "silent")
            holds(0.6 <= gone["at"] - begun <= 0.7 + GONE_WITHIN, f"seen after {gone['at'] - begun:.3f} s")
    hello = text_field(1, "text") + text_field(3, "Hello")
    long = text_field(1, "real/long") + text_field(3, "Hello")
    for encoding, begins in (("gzip", b"\x1f\x8b"), ("zstd", ZSTD_MAGIC)):
        with checks.case(f"curl: an answer in {encoding} for who accepts it"):
            heads, body = post(server, "Complete", frame(long), f"grpc-accept-encoding: {encoding}")
            equal(heads["grpc-status"], "0", "grpc-status")
            equal((heads.get("grpc-encoding"), body[0]), (encoding, 1), "encoding and flag")
            holds(body[5:].startswith(begins) and len(body) < 40 * len(TEXT) // 2, f"{len(body)} bytes, {body[:9]}")
    with checks.case("curl: a gzip frame is read"):
        heads, body = post(server, "Complete", frame(hello, "gzip"), "grpc-encoding: gzip")
        equal(heads["grpc-status"], "0", "grpc-status")
        holds(TEXT.encode() in body, "the answer's text")
    with checks.case("curl: bytes that are no message"):
        heads, _ = post(server, "Complete", frame(b"\xff\xff\xff\xff"))
        equal(heads["grpc-status"], "3", "grpc-status")
        holds("grpc-status-details-bin" in heads, f"no details: {heads}")
    with checks.case("curl: a method that does not exist"):
        heads, _ = post(server, "Nothing", frame(b""))
        equal(heads["grpc-status"], "12", "grpc-status")
        holds("grpc-status-details-bin" in heads, f"no details: {heads}")
