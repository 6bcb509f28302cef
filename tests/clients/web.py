"""Checks with clients that cannot speak gRPC: curl at `POST /stream`, and buf curl by gRPC-Web."""

import json
import subprocess
import time

from servers import ROOT, equal, holds
from shell import ASK, BUF, SERVICE, TEXT, shell, streamed_text

# What curl says of a transfer that is cut: over HTTP/1.1, and over HTTP/2.
PARTIAL_FILE, HTTP2_STREAM = 18, 92
GONE_WITHIN = 0.5
VERSIONS = (("--http1.1", PARTIAL_FILE), ("--http2-prior-knowledge", HTTP2_STREAM))


def curl(server, *flags, path="/stream"):
    command = ["curl", "-sSN", "-m", "20", *flags, f"http://{server.address}{path}"]
    return subprocess.run([str(word) for word in command], cwd=ROOT, text=True, capture_output=True, timeout=60)


def events(text):
    """The events of an event stream, each with its name and what it carries."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def run(checks, server, upstream):
    for version, cut in VERSIONS:
        with checks.case(f"curl {version}: a prompt, as people type it"):
            done = curl(server, version, "-f", "-d", ASK["prompt"])
            equal((done.returncode, done.stdout), (0, TEXT), "exit code and text")
        with checks.case(f"curl {version}: a request as JSON, a prompt from a file, and a model by the address"):
            done = curl(server, version, "-f", "-H", "content-type: application/json", "-d", json.dumps(ASK))
            equal((done.returncode, done.stdout), (0, TEXT), "JSON")
            flags = ["-H", "content-type: text/plain", "--data-binary", "@LICENSE"]
            done = curl(server, version, "-f", *flags, path="/stream?model=real/long")
            equal((done.returncode, done.stdout), (0, TEXT * 40), "a file")
        with checks.case(f"curl {version}: events"):
            done = curl(server, version, "-f", "-H", "accept: text/event-stream", "-d", ASK["prompt"])
            found = events(done.stdout)
            equal((done.returncode, found[0][0], found[-1][0]), (0, "started", "completed"), "exit code and events")
            equal("".join(data["block_delta"].get("text", "") for name, data in found if name == "block_delta"), TEXT, "text")
        with checks.case(f"curl {version}: a whole answer as JSON, for a script"):
            done = curl(server, version, "-f", "-H", "accept: application/json", "-d", ASK["prompt"])
            equal((done.returncode, json.loads(done.stdout)["text"]), (0, TEXT), "exit code and text")
            slip = curl(server, version, "-i", "-d", '{"prompt": "Hello}')
            holds(" 400 " in slip.stdout.splitlines()[0] and "content-type: application/json" in slip.stdout, slip.stdout)
        with checks.case(f"curl {version}: a cut answer ends with exit code {cut}"):
            done = curl(server, version, "-f", "-d", "Hello", path="/stream?model=real/broken")
            equal(done.returncode, cut, "exit code")
            # A curl that is late reads the reset of HTTP/2 with what came before it, and throws that away.
            holds(TEXT.startswith(done.stdout) and (done.stdout == TEXT or cut == HTTP2_STREAM), done.stdout)
            done = curl(server, version, "-f", "-H", "accept: text/event-stream", "-d", "Hello", path="/stream?model=real/broken")
            equal(done.returncode, cut, "exit code")
            if done.stdout or cut != HTTP2_STREAM:
                name, data = events(done.stdout)[-1]
                equal((name, data["error"]["details"][0]["reason"]), ("error", "STREAM_INTERRUPTED"), "the last event")
        with checks.case(f"curl {version}: a failure before the answer"):
            done = curl(server, version, "-i", "-d", "Hello", path="/stream?model=limited")
            head, _, body = done.stdout.partition("\n\n")
            holds(" 429 " in head.splitlines()[0] and "retry-after: 7" in head.lower(), head)
            equal(json.loads(body)["error"]["status"], "RESOURCE_EXHAUSTED", "status")
            equal(curl(server, version, "-f", "-d", "Hello", path="/stream?model=limited").returncode, 22, "exit code")
        with checks.case(f"curl {version}: who goes away is gone upstream within 500 ms"):
            upstream.forget()
            url = f"http://{server.address}/stream?model=endless"
            child = subprocess.Popen(["curl", "-sN", version, "-d", "Hello", url], stdout=subprocess.PIPE)
            equal(child.stdout.read(7), b"on and ", "a piece as soon as it is made")
            left = time.time()
            child.kill()
            child.wait()
            gone = upstream.event("gone", "endless")
            holds(gone["at"] - left <= GONE_WITHIN, f"seen after {gone['at'] - left:.3f} s")
    grpc_web(checks, server)


def buf_curl(server, method, request, code=0):
    flags = ["--protocol", "grpcweb", "--schema", "."]
    return shell(BUF, "curl", *flags, "-d", json.dumps(request), f"http://{server.address}/{SERVICE}/{method}", code=code)


def grpc_web(checks, server):
    with checks.case("buf curl by gRPC-Web over HTTP/1.1: an answer and a stream"):
        equal(json.loads(buf_curl(server, "Complete", ASK))["text"], TEXT, "text")
        equal(streamed_text(buf_curl(server, "StreamComplete", ASK)), TEXT, "the stream's text")
    with checks.case("buf curl by gRPC-Web over HTTP/1.1: an error with its details, before the answer and in its middle"):
        said = json.loads(buf_curl(server, "Complete", {**ASK, "model": "limited"}, code=1))
        equal((said["code"], len(said["details"]) >= 3), ("resource_exhausted", True), "the error")
        said = buf_curl(server, "StreamComplete", {**ASK, "model": "real/broken"}, code=1)
        holds('"unavailable"' in said and "google.rpc.ErrorInfo" in said, said)
