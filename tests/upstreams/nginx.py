"""Checks with nginx as the upstream's HTTP/2, over TLS and in plain text: a server that nobody here wrote, that allows few
streams on a connection, and goes away from each after a number of requests, as balancers do.

Behind it stands tests/clients/upstream.py, over HTTP/1.1.
"""

import collections
import concurrent.futures
import pathlib
import re
import sys
import tempfile
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from certificates import Authority  # noqa: E402
from python_client import TEXT, ask, completion_service_pb2_grpc, fold, failure  # noqa: E402
from servers import Checks, Completiond, Process, Upstream, equal, free_port, holds  # noqa: E402

# What a connection takes: streams at a time, and requests in all.
STREAMS, REQUESTS = 8, 25
# A line for each request that has ended: where, on which connection, in what, how.
LINE = re.compile(r"^seen (\d+) (\d+) (\S+) (\d+)$")

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    log_format seen 'seen $server_port $connection $server_protocol $status';
    access_log /dev/stdout seen;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {crt};
    ssl_certificate_key {key};
    http2_max_concurrent_streams {streams};
    keepalive_requests {requests};
    proxy_buffering off;
    server {{ listen 127.0.0.1:{tls} ssl http2; location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }}
    server {{ listen 127.0.0.1:{plain} http2; location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }}
    server {{ listen 127.0.0.1:{old} ssl; location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }}
}}
"""


class Nginx(Process):
    """Listens at `tls` and `plain` with HTTP/2, and at `old` with TLS and without it."""

    def __init__(self, folder, authority, upstream):
        self.tls, self.plain, self.old = free_port(), free_port(), free_port()
        config = pathlib.Path(folder) / "nginx.conf"
        config.write_text(
            NGINX.format(
                folder=folder, crt=authority.crt("nginx"), key=authority.key("nginx"), streams=STREAMS, requests=REQUESTS,
                tls=self.tls, plain=self.plain, old=self.old, upstream=upstream.port,
            )
        )
        super().__init__("nginx", ["nginx", "-c", config, "-p", folder])

    def seen(self, port):
        """Of requests that came to a port until now: connection, protocol and status."""
        found = (LINE.match(line) for line in list(self.lines))
        return [match.groups()[1:] for match in found if match and match[1] == str(port)]


def configuration(folder, nginx):
    entries = ""
    for name, base in (
        ("tls", f"https://localhost:{nginx.tls}"),
        ("plain", f"http://127.0.0.1:{nginx.plain}"),
        ("old", f"https://localhost:{nginx.old}"),
    ):
        entries += f"  - {{ id: {name}, protocol: openai, base_url: '{base}', api_key: '${{NGINX_KEY}}', http2: true }}\n"
    path = pathlib.Path(folder) / "completiond.yaml"
    # What is tried again would hide what is lost.
    path.write_text(f"retry: {{ max_attempts: 1 }}\nproviders:\n{entries}")
    return path


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder, Upstream() as upstream:
        authority = Authority(folder, "ours").sign("nginx", "DNS:localhost,IP:127.0.0.1")
        with Nginx(folder, authority, upstream) as nginx:
            time.sleep(0.5)
            environment = {"SSL_CERT_FILE": str(authority.crt()), "NGINX_KEY": "sk-for-tests"}
            with Completiond(configuration(folder, nginx), environment) as server:
                with grpc.insecure_channel(server.address) as channel:
                    stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
                    for name, port in (("tls", nginx.tls), ("plain", nginx.plain)):
                        answers(checks, stub, name)
                        many(checks, stub, name, nginx, port)
                        at_once(checks, stub, name, nginx, port)
                        given_up(checks, stub, name, upstream)
                    with checks.case("nginx: one without HTTP/2 is not reached over it"):
                        error, details = failure(lambda: stub.Complete(ask("old/text"), timeout=20))
                        holds("does not speak HTTP/2" in error.details(), error.details())
                        equal(details["ErrorInfo"].reason, "PROVIDER_UNAVAILABLE", "reason")
    checks.close()


def answers(checks, stub, name):
    with checks.case(f"nginx: {name}, whole, folded and as a stream"):
        equal(stub.Complete(ask(f"{name}/text"), timeout=20).text, TEXT, "folded")
        equal(stub.Complete(ask(f"{name}/text", max_tokens=200), timeout=20).text, TEXT, "whole")
        message, outcome = fold(stub.StreamComplete(ask(f"{name}/text"), timeout=20))
        equal("".join(block.text.text for block in message.content), TEXT, "streamed")
        equal(outcome.usage.output_tokens, 9, "usage")
        # Some fifty KB, in one piece.
        equal(stub.Complete(ask(f"{name}/long", max_tokens=200), timeout=20).text, TEXT * 40, "long")
    with checks.case(f"nginx: {name}, an answer that breaks off is no answer"):
        _, details = failure(lambda: fold(stub.StreamComplete(ask(f"{name}/broken"), timeout=20)))
        equal(details["ErrorInfo"].reason, "STREAM_INTERRUPTED", "reason")


def many(checks, stub, name, nginx, port):
    with checks.case(f"nginx: {name}, it goes away after {REQUESTS} requests, and no call is lost by that"):
        before = len(nginx.seen(port))
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(stub.Complete, ask(f"{name}/text", max_tokens=200), timeout=30) for _ in range(600)]
            for one in asked:
                equal(one.result().text, TEXT, "text")
        settle = time.monotonic() + 10
        while len(nginx.seen(port)) < before + 600 and time.monotonic() < settle:
            time.sleep(0.05)
        seen = nginx.seen(port)[before:]
        equal(len(seen), 600, "requests that nginx has seen")
        equal({(protocol, status) for _, protocol, status in seen}, {("HTTP/2.0", "200")}, "how")
        each = collections.Counter(connection for connection, _, _ in seen)
        holds(len(each) >= 600 / REQUESTS and max(each.values()) <= REQUESTS, f"connections: {each}")
        # Forty at a time need five; the others came when one of them went.
        holds(len(each) < 600 / REQUESTS * 3, f"{len(each)} connections for 600 calls")


def at_once(checks, stub, name, nginx, port):
    with checks.case(f"nginx: {name}, with {STREAMS} streams on a connection 30 begin at once, and end alone"):
        before = len(nginx.seen(port))
        streams = [stub.StreamComplete(ask(f"{name}/endless"), timeout=60) for _ in range(30)]
        for stream in streams:
            equal(next(stream).WhichOneof("event"), "started", "the first event")
        for stream in streams[1:]:
            stream.cancel()
        for _ in range(10):
            next(streams[0])
        streams[0].cancel()
        settle = time.monotonic() + 10
        while len(nginx.seen(port)) < before + 30 and time.monotonic() < settle:
            time.sleep(0.05)
        seen = nginx.seen(port)[before:]
        equal(len(seen), 30, "requests")
        each = collections.Counter(connection for connection, _, _ in seen)
        holds(len(each) >= 4 and max(each.values()) <= STREAMS, f"connections: {each}")


def given_up(checks, stub, name, upstream):
    with checks.case(f"nginx: {name}, a call that is cancelled is given up behind it as well"):
        upstream.forget()
        stream = stub.StreamComplete(ask(f"{name}/endless"), timeout=20)
        next(stream)
        stream.cancel()
        upstream.event("gone", "endless")


if __name__ == "__main__":
    main()
