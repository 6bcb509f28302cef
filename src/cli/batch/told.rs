//! A result as the line of the output, what it adds to the sums, and whether its item is worth asking again.

use std::time::Duration;

use prost::Message as _;
use serde_json::{Map, Value, json};
use tonic::Code;
use tonic_types::RpcStatusExt as _;
use tonic_types::pb::Status;

use super::faults::Fault;
use super::figures::Figures;
use crate::cli::json as contract;
use crate::config::show_duration;
use crate::edge::code_name;
use crate::proto::batch_result::Result as Outcome;
use crate::proto::{BatchResult, CacheStatus, CompleteResponse, Cost, FailureDetail, Usage};

/// A result that is ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The output's line, without its end.
    pub(super) line: String,
    pub(super) figures: Figures,
    /// How it failed; none: it was answered.
    pub(super) failure: Option<Failure>,
}

/// What decides whether an item is asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) reason: String,
    /// When to try again, where the server says it.
    pub(super) wait: Option<Duration>,
}

/// What the server says about an item.
pub(super) fn result(custom_id: &str, result: BatchResult) -> Told {
    let id = result.id;
    match result.result {
        Some(Outcome::Response(response)) => answer(custom_id, &id, &response),
        Some(Outcome::Status(status)) => failure(custom_id, &id, &status),
        None => {
            let message = "the server sent a result that is neither a response nor a status".to_owned();
            failure(custom_id, &id, &Status { code: Code::Internal.into(), message, details: Vec::new() })
        }
    }
}

/// What an item is told on whose account the stream ended.
pub(super) fn status(custom_id: &str, status: &tonic::Status) -> Told {
    let told = Status::decode(status.details()).unwrap_or_default();
    let (code, message) = (status.code().into(), status.message().to_owned());
    failure(custom_id, "", &Status { code, message, ..told })
}

/// What a line is told that cannot be read as an item.
pub(super) fn refused(custom_id: &str, number: u64, faults: &[Fault]) -> Told {
    let told = |fault: &Fault| match fault.field.is_empty() {
        true => format!("it {}", fault.rule),
        false => format!("{} {}", fault.field, fault.rule),
    };
    let faults_told: Vec<String> = faults.iter().map(told).collect();
    let violations = faults.iter().map(|fault| json!({ "field": fault.field, "description": fault.rule }));
    let status = json!({
        "code": code_name(Code::InvalidArgument),
        "reason": INVALID,
        "message": format!("line {number}: {}", faults_told.join("; ")),
        "line": number,
        "violations": violations.collect::<Vec<_>>(),
    });
    Told {
        line: json!({ "custom_id": custom_id, "status": status }).to_string(),
        figures: Figures { reason: INVALID.to_owned(), ..Figures::default() },
        failure: Some(Failure { code: Code::InvalidArgument, reason: INVALID.to_owned(), wait: None }),
    }
}

/// The reason that the server gives for a request that is not valid, too.
const INVALID: &str = "INVALID_REQUEST";

fn answer(custom_id: &str, id: &str, response: &CompleteResponse) -> Told {
    let value = contract::of("CompleteResponse", response);
    let line = json!({ "custom_id": custom_id, "id": id, "response": value }).to_string();
    Told { line, figures: figures(response), failure: None }
}

/// What an answer adds to the sums.
pub(super) fn figures(response: &CompleteResponse) -> Figures {
    let mut figures = Figures::default();
    if let Some(outcome) = &response.outcome {
        use CacheStatus::{Coalesced, Hit, Replayed};
        figures.cached = matches!(outcome.cache_status(), Hit | Coalesced | Replayed);
        count(&mut figures, outcome.usage.as_ref(), outcome.cost.as_ref());
    }
    if figures.cached {
        // The usage is that of the call which made it.
        (figures.input_tokens, figures.output_tokens, figures.unpriced) = (0, 0, false);
    }
    figures
}

fn failure(custom_id: &str, id: &str, status: &Status) -> Told {
    let code = Code::from(status.code);
    let details = status.get_error_details();
    let reason = details.error_info().map(|told| told.reason.clone()).unwrap_or_default();
    let wait = details.retry_info().and_then(|told| told.retry_delay);
    let mut shown = Map::new();
    shown.insert("code".to_owned(), code_name(code).into());
    shown.insert("message".to_owned(), status.message.clone().into());
    shown.insert("reason".to_owned(), reason.clone().into());
    if let Some(told) = details.error_info().filter(|told| !told.metadata.is_empty()) {
        shown.insert("metadata".to_owned(), json!(told.metadata));
    }
    if let Some(wait) = wait {
        shown.insert("retry_after".to_owned(), show_duration(wait).into());
    }
    if let Some(bad) = details.bad_request() {
        let told = bad.field_violations.iter();
        let told = told.map(|told| json!({ "field": told.field, "description": told.description }));
        shown.insert("violations".to_owned(), told.collect());
    }
    let mut figures = Figures::default();
    if let Some(detail) = failure_detail(status) {
        count(&mut figures, detail.usage.as_ref(), detail.cost.as_ref());
        shown.insert("detail".to_owned(), contract::of("FailureDetail", &detail).into());
    }
    figures.reason = if reason.is_empty() { code_name(code).to_owned() } else { reason.clone() };
    let line = json!({ "custom_id": custom_id, "id": id, "status": Value::Object(shown) }).to_string();
    Told { line, figures, failure: Some(Failure { code, reason, wait }) }
}

fn count(figures: &mut Figures, usage: Option<&Usage>, cost: Option<&Cost>) {
    if let Some(usage) = usage {
        figures.input_tokens = usage.input_tokens.into();
        figures.output_tokens = usage.output_tokens.into();
    }
    figures.pico_usd = cost.map_or(0, |cost| cost.pico_usd);
    figures.unpriced = cost.is_none() && usage.is_some_and(|usage| usage.total_tokens > 0);
}

fn failure_detail(status: &Status) -> Option<FailureDetail> {
    let detail = status.details.iter().find(|detail| detail.type_url.ends_with("/completiond.v1.FailureDetail"))?;
    FailureDetail::decode(detail.value.as_slice()).ok()
}
