"""Checks that a real Prometheus reads our metrics, and that its query says what the ledger says."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from python_client import ask, completion_service_pb2_grpc  # noqa: E402
from servers import Checks, Completiond, Process, Upstream, equal, free_port, holds  # noqa: E402

from completiond.v1 import admin_service_pb2, admin_service_pb2_grpc  # noqa: E402

CALLS = 5
SERVER = """
providers:
  - { id: real, protocol: openai, base_url: "${UPSTREAM}", api_key: "${UPSTREAM_KEY}" }
  - { id: gone, protocol: openai, base_url: "http://127.0.0.1:9", api_key: "${UPSTREAM_KEY}" }
retry: { base_delay: 1ms, max_delay: 5ms }
models:
  - { id: again, targets: [{ provider: gone, model: text }, { provider: real, model: text, priority: 1 }] }
  - { id: text, targets: [{ provider: real, model: text }], price: { input: 3.0, output: 15.0 } }
default_model: text
cache: { enabled: true }
telemetry: { genai_semconv: dup }
"""
# Of each metric that calls leave one sample at least is above zero after a few of them.
LEFT = [
    "rpc_server_call_duration_seconds_count",
    "gen_ai_client_inference_duration_seconds_count",
    "gen_ai_client_inference_time_to_first_chunk_seconds_count",
    "gen_ai_client_inference_usage_input_tokens_total",
    "gen_ai_client_inference_usage_output_tokens_total",
    "gen_ai_client_inference_operation_input_tokens_count",
    "gen_ai_client_inference_operation_output_tokens_count",
    "gen_ai_client_operation_duration_seconds_count",
    "gen_ai_client_operation_time_to_first_chunk_seconds_count",
    "gen_ai_client_token_usage_count",
    "gen_ai_client_inference_time_per_output_chunk_seconds_count",
    "gen_ai_client_operation_time_per_output_chunk_seconds_count",
    "completiond_attempts_total",
    "completiond_retries_total",
    "completiond_failovers_total",
    "completiond_gateway_overhead_seconds_count",
    "completiond_cache_calls_total",
    "completiond_usage_calls_total",
    "completiond_runtime_busy_time_seconds_total",
    "completiond_runtime_tasks",
    "completiond_memory_bytes",
    "completiond_start_time_seconds",
    "completiond_build_info",
]
# These are there, and 0 is what they should be.
AT_REST = [
    "completiond_calls_in_flight",
    "completiond_breaker_state",
    "completiond_endpoint_in_flight",
    "completiond_telemetry_lost_total",
]
PROMETHEUS = """
global: {{ scrape_interval: 200ms }}
scrape_configs:
  - job_name: completiond
    static_configs: [{{ targets: ["{target}"] }}]
"""


def read(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def query(prometheus, expression):
    """The one number that `expression` is; none while there is none."""
    url = f"http://127.0.0.1:{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    result = json.loads(read(url))["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def eventually(wanted, what, timeout=30.0):
    end = time.monotonic() + timeout
    while not wanted():
        holds(time.monotonic() < end, what)
        time.sleep(0.2)


def ready(prometheus):
    try:
        return bool(read(f"http://127.0.0.1:{prometheus}/-/ready"))
    except (urllib.error.URLError, ConnectionError):
        return False


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder, Upstream() as upstream:
        config = pathlib.Path(folder) / "completiond.yaml"
        config.write_text(SERVER)
        environment = {"UPSTREAM": f"http://127.0.0.1:{upstream.port}/v1", "UPSTREAM_KEY": "none"}
        with Completiond(config, environment) as server:
            with grpc.insecure_channel(server.address) as channel:
                stub = completion_service_pb2_grpc.CompletionServiceStub(channel)
                for _ in range(CALLS):
                    stub.Complete(ask(), timeout=20)
                list(stub.StreamComplete(ask(), timeout=20))
                again = ask()
                again.model = "again"
                stub.Complete(again, timeout=20)
            with grpc.insecure_channel(server.admin) as channel:
                ledger = admin_service_pb2_grpc.AdminServiceStub(channel)
                total = ledger.ListUsage(admin_service_pb2.ListUsageRequest(), timeout=20).records[0]
            with checks.case("prometheus: promtool finds nothing wrong with the text"):
                eventually(lambda: "completiond_usage_calls_total{" in read(f"http://{server.ops}/metrics"), "counters")
                linted(read(f"http://{server.ops}/metrics"))
            with checks.case("prometheus: all metrics of calls are in the text"):
                complete(read(f"http://{server.ops}/metrics"))
            with checks.case("prometheus: it scrapes what the ledger says"):
                scraped(server, total)
    checks.close()


def linted(text):
    told = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=20)
    equal((told.returncode, told.stdout + told.stderr), (0, ""), "promtool")


def complete(text):
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            samples.setdefault(series.split("{")[0], []).append(float(value))
    equal([name for name in LEFT if max(samples.get(name, [0.0])) <= 0], [], "metrics without a sample above zero")
    equal([name for name in AT_REST if set(samples.get(name, [None])) != {0.0}], [], "metrics that are not at rest")


def scraped(server, total):
    with tempfile.TemporaryDirectory() as folder:
        port, config = free_port(), pathlib.Path(folder) / "prometheus.yml"
        config.write_text(PROMETHEUS.format(target=server.ops))
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        with Process("prometheus", [*command, f"--web.listen-address=127.0.0.1:{port}"]):
            eventually(lambda: ready(port), "prometheus is ready")
            calls = 'sum(completiond_usage_calls_total{completiond_call_outcome="succeeded"})'
            eventually(lambda: query(port, calls) == CALLS + 2, "the calls are there")
            tokens = query(port, "sum(completiond_usage_tokens_total)")
            equal(tokens, float(total.input_tokens + total.output_tokens), "tokens")
            equal(query(port, "sum(completiond_usage_attempts_total)"), float(total.attempts), "attempts")
            cost = query(port, "sum(completiond_usage_cost_usd_total)") or 0.0
            holds(abs(cost - float(total.cost_usd)) < 1e-12, f"cost: {cost}, and {total.cost_usd} in the ledger")
            holds(float(total.cost_usd) > 0, "the calls cost something")


if __name__ == "__main__":
    main()
