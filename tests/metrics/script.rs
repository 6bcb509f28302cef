//! A service's life, and every series that it leaves.

use completiond::proto::CompleteRequest;

use crate::scraped::{Series, lines, seen};
use crate::stage::{Stage, prompt};

const SETTINGS: &str = "
cache: { enabled: true }
limits: { max_in_flight: 4 }
retry: { base_delay: 1ms, max_delay: 5ms, max_attempts: 3 }
models:
  - { id: m, targets: [{ provider: up, model: simulator }] }
  - { id: lone, targets: [{ provider: up, model: 'simulator?error=503' }] }
  - id: over
    targets:
      - { provider: up, model: 'simulator?error=overloaded' }
      - { provider: up, model: simulator, priority: 1 }";

fn asked(model: &str, script: &str) -> CompleteRequest {
    CompleteRequest { model: model.to_owned(), ..prompt(&format!("sim: {script}\nhello")) }
}

/// Plays the script and returns what it left.
async fn played(settings: &str) -> Series {
    let stage = Stage::with(settings).await;
    let wire = stage.wire().await;
    let quick = "tokens=5 first_event=0ms pace=0ms";
    // Success, failure, retries, failover.
    wire.complete(&asked("m", quick), &[]).await.expect(tonic::Code::Ok, "", "");
    wire.complete(&asked("m", "error=rejected"), &[]).await;
    wire.complete(&asked("lone", "tokens=1"), &[]).await;
    wire.complete(&asked("over", quick), &[]).await.expect(tonic::Code::Ok, "", "");
    // A stream to its end, and one that is cut.
    wire.stream(&asked("m", quick), &[]).await.end().await.expect(tonic::Code::Ok, "", "");
    wire.stream(&asked("m", "tokens=5 first_event=0ms pace=0ms cut_after=3"), &[]).await.end().await;
    // A miss and a hit.
    let cached = CompleteRequest { temperature: Some(0.0), ..asked("m", quick) };
    for _ in 0..2 {
        wire.complete(&cached, &[]).await.expect(tonic::Code::Ok, "", "");
    }
    // Two at once, of which one is made.
    let slow = CompleteRequest { temperature: Some(0.0), ..asked("m", "tokens=2 first_event=200ms pace=0ms") };
    let (one, other) = futures_util::future::join(wire.complete(&slow, &[]), wire.complete(&slow, &[])).await;
    one.expect(tonic::Code::Ok, "", "");
    other.expect(tonic::Code::Ok, "", "");
    // Its caller goes away.
    let mut left = wire.stream(&asked("m", "tokens=1000 first_event=0ms pace=10ms"), &[]).await;
    left.next().await.unwrap();
    drop(left);
    stage.is_quiet().await;
    // One too many.
    let held: Vec<_> = (0..4).map(|_| wire.begin(10, &[])).map(|(rest, call)| (rest, tokio::spawn(call))).collect();
    crate::stage::eventually("all places are taken", || stage.running.admission.calls_in_flight() == 4).await;
    wire.complete(&asked("m", quick), &[]).await.expect(tonic::Code::Unavailable, "OVERLOADED", "");
    let refused = |series: &Series| series.keys().any(|key| key.starts_with("completiond_calls_refused_total"));
    let series = seen(&stage.running, refused).await;
    drop(held);
    series
}

/// What the script leaves behind.
const LEFT_BEHIND: &str = r#"completiond_attempts_total{completiond_attempt_outcome="dropped",completiond_endpoint="up/simulator"} 1
completiond_attempts_total{completiond_attempt_outcome="failed",completiond_endpoint="up/simulator",completiond_reason="PROVIDER_REJECTED"} 1
completiond_attempts_total{completiond_attempt_outcome="failed",completiond_endpoint="up/simulator",completiond_reason="PROVIDER_UNAVAILABLE"} 1
completiond_attempts_total{completiond_attempt_outcome="failed",completiond_endpoint="up/simulator?error=503",completiond_reason="PROVIDER_UNAVAILABLE"} 3
completiond_attempts_total{completiond_attempt_outcome="failed",completiond_endpoint="up/simulator?error=overloaded",completiond_reason="PROVIDER_UNAVAILABLE"} 2
completiond_attempts_total{completiond_attempt_outcome="finished",completiond_endpoint="up/simulator"} 5
completiond_calls_in_flight 4
completiond_calls_refused_total{completiond_reason="OVERLOADED"} 1
completiond_failovers_total{completiond_endpoint="up/simulator"} 1
completiond_gateway_overhead_seconds_count{rpc_method="completiond.v1.CompletionService/Complete"} 7
completiond_gateway_overhead_seconds_count{rpc_method="completiond.v1.CompletionService/StreamComplete"} 3
completiond_retries_total{completiond_endpoint="up/simulator?error=503"} 2
completiond_retries_total{completiond_endpoint="up/simulator?error=overloaded"} 1
completiond_telemetry_lost_total 0
rpc_server_call_duration_seconds_count{error_type="UNAVAILABLE",rpc_method="completiond.v1.CompletionService/Complete",rpc_status_code="UNAVAILABLE",rpc_system_name="grpc"} 1
rpc_server_call_duration_seconds_count{error_type="UNAVAILABLE",rpc_method="completiond.v1.CompletionService/StreamComplete",rpc_status_code="UNAVAILABLE",rpc_system_name="grpc"} 1
rpc_server_call_duration_seconds_count{rpc_method="completiond.v1.CompletionService/Complete",rpc_status_code="INVALID_ARGUMENT",rpc_system_name="grpc"} 1
rpc_server_call_duration_seconds_count{rpc_method="completiond.v1.CompletionService/Complete",rpc_status_code="OK",rpc_system_name="grpc"} 6
rpc_server_call_duration_seconds_count{rpc_method="completiond.v1.CompletionService/StreamComplete",rpc_status_code="CANCELLED",rpc_system_name="grpc"} 1
rpc_server_call_duration_seconds_count{rpc_method="completiond.v1.CompletionService/StreamComplete",rpc_status_code="OK",rpc_system_name="grpc"} 1"#;

/// What it leaves by the conventions, without what all of these have.
const OF_COMPLETIONS: &str = r#"gen_ai_client_inference_duration_seconds_count{error_type="CANCELLED",gen_ai_request_model="m"} 1
gen_ai_client_inference_duration_seconds_count{error_type="PROVIDER_REJECTED",gen_ai_request_model="m"} 1
gen_ai_client_inference_duration_seconds_count{error_type="PROVIDER_UNAVAILABLE",gen_ai_request_model="lone"} 1
gen_ai_client_inference_duration_seconds_count{error_type="STREAM_INTERRUPTED",gen_ai_request_model="m"} 1
gen_ai_client_inference_duration_seconds_count{gen_ai_request_model="m",gen_ai_response_model="simulator"} 4
gen_ai_client_inference_duration_seconds_count{gen_ai_request_model="over",gen_ai_response_model="simulator"} 1
gen_ai_client_inference_operation_output_tokens_count{gen_ai_request_model="lone"} 1
gen_ai_client_inference_operation_output_tokens_count{gen_ai_request_model="m",gen_ai_response_model="simulator"} 4
gen_ai_client_inference_operation_output_tokens_count{gen_ai_request_model="m"} 3
gen_ai_client_inference_operation_output_tokens_count{gen_ai_request_model="over",gen_ai_response_model="simulator"} 1
gen_ai_client_inference_time_to_first_chunk_seconds_count{gen_ai_request_model="m",gen_ai_response_model="simulator"} 1
gen_ai_client_inference_time_to_first_chunk_seconds_count{gen_ai_request_model="m"} 2"#;

/// What all metrics of the conventions have here.
const CHAT: &str = r#"gen_ai_operation_name="chat",gen_ai_provider_name="openai","#;

#[tokio::test]
async fn a_service_s_life_leaves_these_series_and_no_others() {
    let series = played(SETTINGS).await;
    let counts = [
        "completiond_attempts_total",
        "completiond_retries_total",
        "completiond_failovers_total",
        "completiond_hedges_total",
        "completiond_calls_refused_total",
        "completiond_calls_in_flight",
        "completiond_telemetry_lost_total",
        "completiond_gateway_overhead_seconds_count",
        "rpc_server_call_duration_seconds_count",
    ];
    assert_eq!(lines(&series, &counts).join("\n"), LEFT_BEHIND);
    for metric in ["completiond_breaker_state", "completiond_endpoint_in_flight"] {
        let endpoints = ["up/simulator", "up/simulator?error=503", "up/simulator?error=overloaded"];
        let expected = endpoints.map(|endpoint| format!("{metric}{{completiond_endpoint=\"{endpoint}\"}} 0"));
        assert_eq!(lines(&series, &[metric]), expected);
    }

    let completions = [
        "gen_ai_client_inference_duration_seconds_count",
        "gen_ai_client_inference_time_to_first_chunk_seconds_count",
        "gen_ai_client_inference_operation_output_tokens_count",
    ];
    assert_eq!(lines(&series, &completions).join("\n").replace(CHAT, ""), OF_COMPLETIONS);

    // How much a caller saw that went away is a matter of time; of the others it is known.
    let tokens = [
        "gen_ai_client_inference_usage_output_tokens_total",
        "gen_ai_client_inference_time_per_output_chunk_seconds_count",
    ];
    let of_answers = lines(&series, &tokens).into_iter().filter(|line| !line.contains(r#"model="m",gen_ai_token"#));
    let of_answers: Vec<String> = of_answers.filter(|line| !line.contains(r#"model="m"}"#)).collect();
    let expected = r#"gen_ai_client_inference_time_per_output_chunk_seconds_count{gen_ai_request_model="m",gen_ai_response_model="simulator"} 6
gen_ai_client_inference_usage_output_tokens_total{gen_ai_request_model="lone",gen_ai_token_modality="unknown"} 0
gen_ai_client_inference_usage_output_tokens_total{gen_ai_request_model="m",gen_ai_response_model="simulator",gen_ai_token_modality="unknown"} 17
gen_ai_client_inference_usage_output_tokens_total{gen_ai_request_model="over",gen_ai_response_model="simulator",gen_ai_token_modality="unknown"} 5"#;
    assert_eq!(of_answers.join("\n").replace(CHAT, ""), expected);
    assert!(series.keys().all(|key| !key.starts_with("gen_ai_client_operation") && !key.contains("token_usage")));
}

#[tokio::test]
async fn a_setting_chooses_the_names_of_the_conventions() {
    for (setting, latest, legacy) in [("legacy", false, true), ("dup", true, true)] {
        let stage = Stage::with(&format!("telemetry: {{ genai_semconv: {setting} }}")).await;
        let wire = stage.wire().await;
        let quick = asked("", "tokens=5 first_event=0ms pace=0ms");
        wire.stream(&quick, &[]).await.end().await.expect(tonic::Code::Ok, "", "");
        let series = seen(&stage.running, |series| series.keys().any(|key| key.starts_with("gen_ai_client"))).await;
        let is_there = |name: &str| series.keys().any(|key| key.split('{').next() == Some(name));
        for name in
            ["duration_seconds_count", "time_to_first_chunk_seconds_count", "time_per_output_chunk_seconds_count"]
        {
            assert_eq!(is_there(&format!("gen_ai_client_inference_{name}")), latest, "{setting} {name}");
            assert_eq!(is_there(&format!("gen_ai_client_operation_{name}")), legacy, "{setting} {name}");
        }
        let usage = lines(&series, &["gen_ai_client_token_usage_sum"]).join("\n").replace(CHAT, "");
        let model = r#"gen_ai_response_model="simulator""#;
        let expected = format!(
            "gen_ai_client_token_usage_sum{{{model},gen_ai_token_type=\"input\"}} 18\n\
             gen_ai_client_token_usage_sum{{{model},gen_ai_token_type=\"output\"}} 5"
        );
        assert_eq!(usage, expected, "{setting}");
        assert_eq!(is_there("gen_ai_client_inference_usage_output_tokens_total"), latest, "{setting}");
    }
}

#[tokio::test]
async fn callers_who_make_up_names_cannot_make_metrics_grow() {
    let stage = Stage::with("models: [{ id: m, targets: [{ provider: up, model: simulator }] }]").await;
    let wire = stage.wire().await;
    for number in 0..300 {
        // The simulator knows no such model, and answers to any such spelling of its own.
        wire.complete(&asked(&format!("up/made-up-{number}"), "error=model"), &[]).await;
        let spelt = asked(&format!("up/simulator?tokens={number}&pace=0ms&first_event=0ms"), "");
        wire.complete(&CompleteRequest { prompt: "hello".to_owned(), ..spelt }, &[]).await;
    }
    wire.complete(&asked("m", "tokens=1 first_event=0ms pace=0ms"), &[]).await.expect(tonic::Code::Ok, "", "");
    let done =
        |series: &Series| series.keys().any(|key| key.contains(r#"request_model="m""#) && key.contains("_bucket"));
    let series = seen(&stage.running, done).await;
    for name in ["completiond_attempts_total", "gen_ai_client_inference_duration_seconds_count"] {
        let lines = lines(&series, &[name]);
        assert!(lines.iter().all(|line| !line.contains("made-up")), "{lines:?}");
        assert!((256..=260).contains(&lines.len()), "{} of {name}", lines.len());
        let all: f64 = lines.iter().map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
        assert_eq!(all, 601.0, "none is lost");
        let rest: f64 = lines
            .iter()
            .filter(|line| line.contains("(other)"))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum();
        assert_eq!(rest, 344.0, "{name}");
    }
    assert!(series.keys().all(|key| !key.contains("otel_metric_overflow")));
    assert!(series.keys().all(|key| !key.contains("completiond_breaker_state") || key.contains(r#""up/simulator""#)));
}

#[tokio::test]
async fn what_is_left_of_limits_a_breaker_that_is_open_and_the_process_are_shown() {
    let settings = "retry: { max_attempts: 1 }\nmodels: [{ id: m, targets: [{ provider: up, model: simulator }] }]";
    let stage = Stage::with(settings).await;
    let wire = stage.wire().await;
    wire.complete(&asked("m", "tokens=1 first_event=0ms pace=0ms left=40"), &[]).await.expect(tonic::Code::Ok, "", "");
    for _ in 0..20 {
        wire.complete(&asked("m", "error=503"), &[]).await;
    }
    let state = r#"completiond_breaker_state{completiond_endpoint="up/simulator"}"#;
    let series = seen(&stage.running, |series| series.get(state) == Some(&2.0)).await;
    // The failures said nothing of it, but each has used a request.
    let left = r#"completiond_provider_limit_remaining{completiond_endpoint="up/simulator",completiond_limit_kind="#;
    assert_eq!(series.get(&format!("{left}\"requests\"}}")), Some(&20.0), "{series:?}");
    assert!(series[&format!("{left}\"tokens\"}}")] <= 40.0, "{series:?}");
    let version = format!("completiond_build_info{{service_version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(series.get(&version), Some(&1.0), "{series:?}");
    assert!(series["completiond_start_time_seconds"] > 1.7e9);
    assert!(series[r#"completiond_memory_bytes{completiond_memory_kind="resident"}"#] > 1e6);
    assert!(series[r#"completiond_runtime_busy_time_seconds_total{completiond_worker="0"}"#] > 0.0);
    assert!(series[r#"completiond_runtime_tasks{completiond_worker="0"}"#] >= 1.0);
}
