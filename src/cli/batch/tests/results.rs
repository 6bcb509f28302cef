//! Results as lines of the output, and what they add to the sums.

use prost::Message as _;
use prost_types::Any;
use serde_json::{Value, json};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::super::faults::Fault;
use super::super::figures::{Figures, Tally};
use super::super::told;
use crate::domain::PicoSum;
use crate::proto::batch_result::Result as Outcome;
use crate::proto::{BatchResult, CacheStatus, CompleteResponse, CompletionOutcome, Cost, FailureDetail, Usage};

type Rpc = tonic_types::pb::Status;

fn usage(input: i32, output: i32) -> Option<Usage> {
    Some(Usage { input_tokens: input, output_tokens: output, total_tokens: input + output, ..Usage::default() })
}

fn answer(outcome: CompletionOutcome) -> told::Told {
    let response =
        CompleteResponse { outcome: Some(Box::new(outcome)), text: "hi".to_owned(), ..CompleteResponse::default() };
    told::result("a", BatchResult { id: "i".to_owned(), result: Some(Outcome::Response(Box::new(response))) })
}

fn read(told: &told::Told) -> Value {
    serde_json::from_str(&told.line).unwrap()
}

#[test]
fn an_answer_is_a_line_with_what_it_used() {
    let cost = |pico_usd| Some(Cost { pico_usd, ..Cost::default() });
    let told = answer(CompletionOutcome { usage: usage(3, 4), cost: cost(7), ..CompletionOutcome::default() });
    let line = read(&told);
    assert_eq!((&line["custom_id"], &line["id"], &line["response"]["text"]), (&json!("a"), &json!("i"), &json!("hi")));
    assert!(told.failure.is_none() && line.get("status").is_none());
    let expected = Figures { input_tokens: 3, output_tokens: 4, pico_usd: 7, ..Figures::default() };
    assert_eq!(told.figures, expected);

    let unpriced = answer(CompletionOutcome { usage: usage(3, 4), ..CompletionOutcome::default() }).figures;
    assert_eq!(unpriced, Figures { pico_usd: 0, unpriced: true, ..expected });
    // What was there already has used nothing, though it says what it had used when it was made.
    let cache_status = CacheStatus::Hit.into();
    let hit = CompletionOutcome { usage: usage(3, 4), cost: cost(0), cache_status, ..CompletionOutcome::default() };
    assert_eq!(answer(hit).figures, Figures { cached: true, ..Figures::default() });
}

#[test]
fn a_failure_is_a_line_with_its_details() {
    let mut details = ErrorDetails::new();
    details.set_error_info("PROVIDER_RATE_LIMITED", "completiond", [("provider".to_owned(), "up".to_owned())]);
    details.set_retry_info(Some(std::time::Duration::from_secs(3)));
    details.add_bad_request_violation("prompt", "must not be empty");
    let status = tonic::Status::with_error_details(tonic::Code::ResourceExhausted, "too many", details);
    let mut status = Rpc::decode(status.details()).unwrap();
    let detail = FailureDetail { id: "i".to_owned(), usage: usage(5, 0), ..FailureDetail::default() };
    let type_url = "type.googleapis.com/completiond.v1.FailureDetail".to_owned();
    status.details.push(Any { type_url, value: detail.encode_to_vec() });
    let told = told::result("a", BatchResult { id: "i".to_owned(), result: Some(Outcome::Status(status)) });
    let expected = json!({
        "code": "RESOURCE_EXHAUSTED",
        "reason": "PROVIDER_RATE_LIMITED",
        "message": "too many",
        "metadata": { "provider": "up" },
        "retry_after": "3s",
        "violations": [{ "field": "prompt", "description": "must not be empty" }],
        "detail": { "id": "i", "usage": { "input_tokens": 5, "total_tokens": 5 } },
    });
    assert_eq!(read(&told)["status"], expected);
    let failure = told.failure.unwrap();
    assert_eq!(failure.wait, Some(std::time::Duration::from_secs(3)));
    assert_eq!((told.figures.reason.as_str(), told.figures.input_tokens), ("PROVIDER_RATE_LIMITED", 5));
}

#[test]
fn a_result_without_a_result_is_a_failure() {
    let told = told::result("a", BatchResult::default());
    assert_eq!(read(&told)["status"]["code"], "INTERNAL");
    assert_eq!(told.figures.reason, "INTERNAL");
}

#[test]
fn a_line_that_cannot_be_read_is_a_failure_with_its_number() {
    let faults = [Fault::of_line("is not UTF-8"), Fault { field: "body.n".to_owned(), rule: "must be 1".to_owned() }];
    let line = read(&told::refused("x", 12, &faults));
    assert_eq!((&line["custom_id"], &line["status"]["line"]), (&json!("x"), &json!(12)));
    assert_eq!(line["status"]["message"], "line 12: it is not UTF-8; body.n must be 1");
    assert_eq!(line["status"]["violations"][1], json!({ "field": "body.n", "description": "must be 1" }));
}

#[test]
fn sums_hold_what_every_time_used() {
    let mut figures = Figures { reason: "X".to_owned(), input_tokens: 1, pico_usd: 5, ..Figures::default() };
    figures.add_spent(&Figures {
        reason: "Y".to_owned(),
        input_tokens: 2,
        pico_usd: 6,
        unpriced: true,
        ..Figures::default()
    });
    let mut tally = Tally::default();
    tally.add(&figures);
    tally.add(&Figures { output_tokens: 4, cached: true, ..Figures::default() });
    let expected = Tally {
        answered: 1,
        failed: 1,
        by_reason: [("X".to_owned(), 1)].into(),
        input_tokens: 3,
        output_tokens: 4,
        cost: PicoSum::new(11),
        unpriced: 1,
        cached: 1,
    };
    assert_eq!((tally.tokens(), tally.done(), tally), (7, 2, expected));
}
