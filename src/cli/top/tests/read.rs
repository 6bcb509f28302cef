//! What is read from the text of a server.

use std::path::Path;

use super::super::histogram::Estimate;
use super::super::reading::{Unread, snapshot};
use super::super::snapshot::Breaker;

/// What a server wrote after five calls: three that were answered, one that its provider rejected, and one that failed at two
/// endpoints after a retry at each.
fn written() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/top/scrape.txt")).unwrap()
}

#[test]
fn what_a_server_writes_is_read() {
    let read = snapshot(&written()).unwrap();
    assert_eq!(read.process.version.as_deref(), Some("0.1.0"));
    assert_eq!(read.process.started, Some(1_796_030_832.708_040_7));
    assert_eq!((read.process.resident_bytes, read.process.tasks), (Some(52_690_944.0), Some(3.0)));
    assert_eq!(read.process.busy.len(), 2);
    assert_eq!((read.calls_in_flight, read.request_bytes), (Some(0.0), Some(0.0)));
    let stream = &read.methods["StreamComplete"];
    let statuses = [("INVALID_ARGUMENT", 1.0), ("OK", 3.0), ("UNAVAILABLE", 1.0)];
    assert_eq!(stream.statuses, statuses.map(|(status, count)| (status.to_owned(), count)).into());
    assert_eq!((stream.faults, stream.duration.total(), stream.overhead.total()), (1.0, 5.0, 5.0));
    assert!(matches!(stream.duration.quantile(0.5), Some(Estimate::About(middle)) if (0.1..0.25).contains(&middle)));
    let unnamed = &read.models[""];
    assert_eq!((unnamed.ended, unnamed.failed, unnamed.cancelled), (5.0, 2.0, 0.0));
    assert_eq!((unnamed.input_tokens, unnamed.output_tokens, unnamed.usd), (57.0, 60.0, 0.001_071));
    assert_eq!((unnamed.duration.total(), unnamed.first_chunk.total()), (5.0, 3.0));
    let main = &read.endpoints["main/m-large"];
    assert_eq!((main.finished, main.failed, main.retries, main.usd), (3.0, 3.0, 1.0, 0.001_071));
    let backup = &read.endpoints["backup/m-large"];
    assert_eq!((backup.failed, backup.failovers, backup.breaker), (2.0, 1.0, Some(Breaker::Closed)));
    assert_eq!((read.cost.usd, read.cost.estimated_usd, read.cost.unpriced), (0.001_071, 0.0, 0.0));
    assert_eq!((read.cache.bypassed, read.cache.hits), (5.0, 0.0));
}

#[test]
fn either_name_of_the_conventions_is_read_and_both_are_counted_once() {
    let of = |family: &str| {
        format!(
            "gen_ai_client_{family}_duration_seconds_count{{gen_ai_request_model=\"m\"}} 4\n\
             gen_ai_client_{family}_duration_seconds_count{{gen_ai_request_model=\"m\",error_type=\"PROVIDER_TIMEOUT\"}} 2\n\
             gen_ai_client_{family}_duration_seconds_count{{gen_ai_request_model=\"m\",error_type=\"CANCELLED\"}} 1\n\
             gen_ai_client_{family}_duration_seconds_bucket{{gen_ai_request_model=\"m\",le=\"+Inf\"}} 7\n\
             gen_ai_client_{family}_time_to_first_chunk_seconds_bucket{{gen_ai_request_model=\"m\",le=\"+Inf\"}} 3\n"
        )
    };
    let latest = of("inference")
        + "gen_ai_client_inference_usage_input_tokens_total{gen_ai_request_model=\"m\",gen_ai_token_modality=\"text\"} 50\n\
           gen_ai_client_inference_usage_input_tokens_total{gen_ai_request_model=\"m\",gen_ai_token_modality=\"image\"} 20\n\
           gen_ai_client_inference_usage_output_tokens_total{gen_ai_request_model=\"m\"} 30\n";
    let legacy = of("operation")
        + "gen_ai_client_token_usage_sum{gen_ai_request_model=\"m\",gen_ai_token_type=\"input\"} 70\n\
           gen_ai_client_token_usage_count{gen_ai_request_model=\"m\",gen_ai_token_type=\"input\"} 7\n\
           gen_ai_client_token_usage_sum{gen_ai_request_model=\"m\",gen_ai_token_type=\"output\"} 30\n";
    for text in [latest.clone(), legacy.clone(), latest + &legacy] {
        let read = snapshot(&format!("{text}completiond_calls_in_flight 1\n")).unwrap();
        let model = &read.models["m"];
        assert_eq!((model.ended, model.failed, model.cancelled), (7.0, 2.0, 1.0), "{text}");
        assert_eq!((model.duration.total(), model.first_chunk.total()), (7.0, 3.0), "{text}");
        assert_eq!((model.input_tokens, model.output_tokens), (70.0, 30.0), "{text}");
    }
}

#[test]
fn usage_is_summed_over_callers_and_labels() {
    let read = snapshot(
        "completiond_usage_cost_usd_total{completiond_caller=\"a\",completiond_cost_estimated=\"false\",\
         completiond_endpoint=\"p/m\",gen_ai_request_model=\"x\"} 1.5\n\
         completiond_usage_cost_usd_total{completiond_caller=\"b\",completiond_cost_estimated=\"true\",\
         completiond_endpoint=\"p/m\",gen_ai_request_model=\"x\",completiond_label_team=\"t\"} 0.5\n\
         completiond_usage_unpriced_attempts_total{completiond_caller=\"b\",completiond_endpoint=\"q/m\"} 3\n\
         completiond_provider_limit_remaining{completiond_endpoint=\"p/m\",completiond_limit_kind=\"requests\"} 12\n\
         completiond_provider_limit_remaining{completiond_endpoint=\"p/m\",completiond_limit_kind=\"tokens\"} 900\n\
         completiond_breaker_state{completiond_endpoint=\"p/m\"} 1\n\
         completiond_hedges_total{completiond_endpoint=\"p/m\"} 2\n\
         completiond_calls_refused_total{completiond_reason=\"OVERLOADED\"} 5\n\
         completiond_cache_calls_total{completiond_cache_status=\"replayed\"} 6\n\
         completiond_telemetry_lost_total NaN\n",
    )
    .unwrap();
    assert_eq!((read.cost.usd, read.cost.estimated_usd, read.cost.unpriced), (2.0, 0.5, 3.0));
    let endpoint = &read.endpoints["p/m"];
    assert_eq!((endpoint.usd, endpoint.requests_left, endpoint.tokens_left), (2.0, Some(12.0), Some(900.0)));
    assert_eq!((endpoint.breaker, endpoint.hedges), (Some(Breaker::HalfOpen), 2.0));
    assert_eq!((read.models["x"].usd, read.refused["OVERLOADED"], read.cache.replayed), (2.0, 5.0, 6.0));
    assert_eq!(read.process.lost, 0.0, "what is no number says nothing");
}

#[test]
fn what_operators_ask_for_is_no_call_and_names_cannot_command_a_terminal() {
    let read = snapshot(
        "completiond_calls_in_flight 0\n\
         rpc_server_call_duration_seconds_count{rpc_method=\"completiond.v1.AdminService/GetPool\",rpc_status_code=\"OK\"} 9\n\
         rpc_server_call_duration_seconds_count{rpc_method=\"completiond.v1.CompletionService/ListModels\",rpc_status_code=\"OK\"} 2\n\
         completiond_retries_total{completiond_endpoint=\"p/\u{1b}[2Jm\"} 1\n",
    )
    .unwrap();
    assert_eq!(read.methods.keys().collect::<Vec<_>>(), ["ListModels"]);
    assert_eq!(read.endpoints.keys().collect::<Vec<_>>(), ["p/[2Jm"]);
}

#[test]
fn what_is_no_text_of_ours_is_told() {
    assert_eq!(snapshot("go_goroutines 12\nup 1\n"), Err(Unread::Foreign));
    assert_eq!(snapshot(""), Err(Unread::Silent));
    let told = snapshot("<!DOCTYPE html>").unwrap_err().to_string();
    assert_eq!(told, "what it answers is not Prometheus' text form: line 1 does not begin with the name of a metric");
}
