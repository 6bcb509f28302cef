"""Checks that a client which loads examples/service-config.json retries by itself what may be retried."""

import json

import grpc

from python_client import TEXT, ask, completion_service_pb2_grpc, fold
from servers import ROOT, equal


def run(checks, server):
    config = (ROOT / "examples/service-config.json").read_text()
    with checks.case("service config: is JSON with a retry policy for every rpc"):
        methods = json.loads(config)["methodConfig"]
        named = {name["method"] for method in methods if "retryPolicy" in method for name in method["name"]}
        equal(named, {"Complete", "StreamComplete", "ListModels"}, "rpcs with a retry policy")
    with grpc.insecure_channel(server.address, options=[("grpc.service_config", config)]) as channel:
        stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
        for rpc in ("Complete", "StreamComplete"):
            with checks.case(f"service config: {rpc} answers although the provider fails at first"):
                call = getattr(stub, rpc)(ask(f"real/flaky-{rpc}"), timeout=30)
                message = call.message if rpc == "Complete" else fold(call)[0]
                equal(message.content[0].text.text, TEXT, "text")
