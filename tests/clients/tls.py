"""Checks of TLS with real clients: grpcio, grpc-go, grpcurl and openssl, with and without certificates of their own."""

import pathlib
import subprocess
import tempfile
import threading

import grpc

from certificates import Authority
from python_client import TEXT, ask, completion_service_pb2_grpc, fold
from servers import ROOT, Completiond, equal, holds
from shell import GRPCURL, SERVICE, shell

WEB = "spiffe://prod.example/ns/search/sa/web"
# Far more than calls take, and little enough for connections to change many times in a check.
AGE = "200ms"
CALLS = 200


def configuration(folder, section):
    text = (ROOT / "tests/clients/config.yaml").read_text()
    path = pathlib.Path(folder) / "tls.yaml"
    path.write_text(text + section)
    return path


def run(checks, environment, go):
    with tempfile.TemporaryDirectory() as folder:
        ours, others = Authority(folder, "ours"), Authority(folder, "others")
        ours.sign("server", "DNS:localhost,IP:127.0.0.1").sign("web", f"URI:{WEB}").sign("stranger", "DNS:stranger.example")
        others.sign("other", f"URI:{WEB}")
        files = f"certificate: {ours.crt('server')}, key: {ours.key('server')}"
        with Completiond(configuration(folder, f"tls: {{ {files} }}\n"), environment) as server:
            plain(checks, server, ours, others)
        section = f"tls: {{ {files}, client_ca: {ours.crt()} }}\nconnections: {{ max_age: {AGE} }}\n"
        section += f"callers: [{{ name: web, certificates: ['{WEB}'] }}]\n"
        with Completiond(configuration(folder, section), environment) as server:
            mutual(checks, server, ours, others)
            rotation(checks, server, ours)
            go(server, ["-ca", ours.crt(), "-cert", ours.crt("web"), "-key", ours.key("web")])


def channel(server, authority, name=None, of=None):
    of = of or authority
    pair = (of.key(name).read_bytes(), of.crt(name).read_bytes()) if name else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.crt().read_bytes(), *pair)
    return grpc.secure_channel(f"localhost:{server.port}", credentials)


def complete(opened, **options):
    with opened:
        return completion_service_pb2_grpc.CompletionServiceStub(opened).Complete(ask(), timeout=20, **options)


def refused(opened):
    try:
        complete(opened)
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call was served")


def grpcurl(server, *flags, code=0):
    return shell(GRPCURL, *flags, "-d", '{"model": "text", "prompt": "hello"}', f"localhost:{server.port}",
                 f"{SERVICE}/Complete", code=code)


def s_client(server, *flags):
    """What openssl says of a connection on which an HTTP request is written."""
    command = ["openssl", "s_client", "-connect", f"localhost:{server.port}", "-alpn", "h2", *map(str, flags)]
    done = subprocess.run(command, input="PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", text=True, capture_output=True,
                          timeout=60, errors="replace")
    return done.stdout + done.stderr


def plain(checks, server, ours, others):
    with checks.case("tls: grpcio: a text and a stream"):
        equal(complete(channel(server, ours)).text, TEXT, "text")
        with channel(server, ours) as opened:
            stub = completion_service_pb2_grpc.CompletionServiceStub(opened)
            message, _ = fold(stub.StreamComplete(ask(), timeout=20))
            equal(message.content[0].text.text, TEXT, "text")
    with checks.case("tls: grpcio: an authority that has not signed the server's certificate"):
        error = refused(channel(server, others))
        equal(error.code(), grpc.StatusCode.UNAVAILABLE, "code")
        holds("CERTIFICATE_VERIFY_FAILED" in error.details(), error.details())
    with checks.case("tls: grpcio: plain text against TLS ends, and does not hang"):
        equal(refused(grpc.insecure_channel(server.address)).code(), grpc.StatusCode.UNAVAILABLE, "code")
    with checks.case("tls: grpcurl: a text"):
        holds(TEXT in grpcurl(server, "-cacert", ours.crt()), "the text")
    with checks.case("tls: grpcurl: another authority"):
        said = grpcurl(server, "-cacert", others.crt(), code=1)
        holds("certificate signed by unknown authority" in said, said)
    with checks.case("tls: openssl: TLS 1.2 and 1.3 with h2, and no 1.1"):
        for version in ("-tls1_2", "-tls1_3"):
            said = s_client(server, version, "-CAfile", ours.crt())
            holds("ALPN protocol: h2" in said and "Verify return code: 0 (ok)" in said, said)
        said = s_client(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        # Which of them depends on what else such an old client leaves out.
        holds("alert protocol version" in said or "alert handshake failure" in said, said)


def mutual(checks, server, ours, others):
    with checks.case("mtls: grpcio: a caller is told by its SPIFFE id"):
        equal(complete(channel(server, ours, "web")).text, TEXT, "text")
    with checks.case("mtls: grpcio: a certificate of nobody who is known"):
        error = refused(channel(server, ours, "stranger"))
        equal(error.code(), grpc.StatusCode.UNAUTHENTICATED, "code")
        holds("names no caller that is known here" in error.details(), error.details())
    with checks.case("mtls: grpcio: no certificate"):
        equal(refused(channel(server, ours)).code(), grpc.StatusCode.UNAVAILABLE, "code")
    with checks.case("mtls: grpcurl: with a certificate, and without"):
        pair = ["-cert", ours.crt("web"), "-key", ours.key("web")]
        holds(TEXT in grpcurl(server, "-cacert", ours.crt(), *pair), "the text")
        said = grpcurl(server, "-cacert", ours.crt(), code=1)
        holds("certificate required" in said or "connection" in said, said)
    with checks.case("mtls: openssl: each reason is an alert of its own"):
        for identity, alert in (
            ([], "certificate required"),
            (["-cert", others.crt("other"), "-key", others.key("other")], "unknown ca"),
        ):
            # The alert comes when this client has finished: it must not end before.
            said = s_client(server, "-tls1_3", "-ign_eof", "-CAfile", ours.crt(), *identity)
            holds(f"alert {alert}" in said, said)


def rotation(checks, server, ours):
    with checks.case(f"mtls: grpcio: {CALLS} calls over connections that live for {AGE}, and none fails"):
        with channel(server, ours, "web") as opened:
            stub = completion_service_pb2_grpc.CompletionServiceStub(opened)
            failed = []

            def call():
                for _ in range(CALLS // 4):
                    try:
                        stub.Complete(ask(), timeout=20)
                    except grpc.RpcError as error:
                        failed.append(f"{error.code()}: {error.details()}")

            threads = [threading.Thread(target=call) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            equal(failed, [], "failed calls")
