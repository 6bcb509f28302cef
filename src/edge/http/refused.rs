//! A failure as an answer of plain HTTP: a status, and `google.rpc.Status` as JSON in the form of AIP-193.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tonic::body::Body;

use super::REQUEST_ID;
use crate::domain::CallId;
use crate::edge::grpc::Failure;
use crate::proto::{CompletionOutcome, FinishReason, json};

/// The status of HTTP for a failure, as google.rpc.Code maps them.
pub(super) fn http_status(failure: &Failure) -> StatusCode {
    match (failure.reason.as_str(), failure.code) {
        ("REQUEST_TOO_LARGE", _) => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE") => StatusCode::BAD_REQUEST,
        (_, "UNAUTHENTICATED") => StatusCode::UNAUTHORIZED,
        (_, "PERMISSION_DENIED") => StatusCode::FORBIDDEN,
        (_, "NOT_FOUND") => StatusCode::NOT_FOUND,
        (_, "ALREADY_EXISTS" | "ABORTED") => StatusCode::CONFLICT,
        (_, "RESOURCE_EXHAUSTED") => StatusCode::TOO_MANY_REQUESTS,
        // Its client has gone: this is what logs of proxies call that.
        (_, "CANCELLED") => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        (_, "UNIMPLEMENTED") => StatusCode::NOT_IMPLEMENTED,
        (_, "UNAVAILABLE") => StatusCode::SERVICE_UNAVAILABLE,
        (_, "DEADLINE_EXCEEDED") => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What is told about a failure, in the answer or at the end of an event stream.
pub(super) fn body(failure: &Failure, status: StatusCode) -> Value {
    let details = json::of_status(&failure.status).and_then(|mut told| Some(told.get_mut("details")?.take()));
    json!({
        "error": {
            "code": status.as_u16(),
            "message": failure.status.message,
            "status": failure.code,
            "details": details.unwrap_or_else(|| json!([])),
        }
    })
}

/// The answer to a call that has failed before its own answer began.
pub(super) fn answer(failure: &Failure, id: CallId) -> Response<Body> {
    answer_as(http_status(failure), failure, id)
}

/// What who takes nothing but text is told of an answer that has ended without any: how it has ended, what the model says
/// instead, and the outcome with all that it has cost. To gRPC that is an answer; here it would be an empty body.
pub(super) fn without_text(outcome: &CompletionOutcome, said: &str, id: CallId) -> Response<Body> {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let reason = outcome.finish_reason().as_str_name().trim_start_matches("FINISH_REASON_");
    let what = match outcome.finish_reason() {
        FinishReason::Refusal => "the model refuses to answer".to_owned(),
        FinishReason::ContentFilter => "a filter has ended the answer before any text".to_owned(),
        _ => format!("the answer has no text: it has ended by {reason}"),
    };
    let said = if said.is_empty() { String::new() } else { format!(", and says: {said}") };
    let mut whole = json::of("CompletionOutcome", outcome).unwrap_or_else(|| json!({}));
    if let Some(fields) = whole.as_object_mut() {
        fields.insert("@type".to_owned(), json!("type.googleapis.com/completiond.v1.CompletionOutcome"));
    }
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "completiond",
    });
    let told = json!({
        "error": {
            "code": status.as_u16(),
            "message": format!("{what}{said}"),
            "status": "FAILED_PRECONDITION",
            "details": [info, whole],
        }
    });
    told_as(status, &told, id)
}

/// The same by a status of its own.
pub(super) fn answer_as(status: StatusCode, failure: &Failure, id: CallId) -> Response<Body> {
    let mut response = told_as(status, &body(failure, status), id);
    let headers = response.headers_mut();
    if let Some(delay) = failure.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn told_as(status: StatusCode, told: &Value, id: CallId) -> Response<Body> {
    let mut text = told.to_string();
    text.push('\n');
    let mut response = Response::new(Body::new(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// Never earlier than it was said, and not at once.
fn whole_seconds(delay: Duration) -> u64 {
    let more = u64::from(delay.subsec_nanos() > 0);
    delay.as_secs().saturating_add(more).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callers::LedgerView;
    use crate::domain::{Error, Reason};
    use crate::edge::grpc::Refusal;

    fn failure(error: &Error) -> Failure {
        Refusal { id: CallId::new(uuid::Uuid::nil()), view: LedgerView::Full }.failure(error)
    }

    #[test]
    fn every_reason_has_a_status_of_an_error() {
        for reason in Reason::ALL {
            let status = http_status(&failure(&Error::new(reason, "x"))).as_u16();
            assert!((400..600).contains(&status), "{reason:?}: {status}");
        }
        let of = |reason| http_status(&failure(&Error::new(reason, "x"))).as_u16();
        assert_eq!(of(Reason::CredentialsInvalid), 401);
        assert_eq!(of(Reason::CallerLimitExceeded), 429);
        assert_eq!(of(Reason::RequestTooLarge), 413);
        assert_eq!(of(Reason::Cancelled), 499);
        assert_eq!(of(Reason::ProviderTimeout), 504);
        assert_eq!(of(Reason::Internal), 500);
    }

    #[test]
    fn a_failure_is_told_as_aip_193_has_it_with_every_detail() {
        let error = Error::invalid("max_tokens", "must be above 0");
        let failure = failure(&error);
        let told = body(&failure, http_status(&failure));
        let told = &told["error"];
        assert_eq!((&told["code"], &told["status"]), (&json!(400), &json!("INVALID_ARGUMENT")));
        assert_eq!(told["message"], "max_tokens: must be above 0");
        let types: Vec<&str> =
            told["details"].as_array().unwrap().iter().map(|it| it["@type"].as_str().unwrap()).collect();
        for wanted in
            ["google.rpc.ErrorInfo", "google.rpc.RequestInfo", "google.rpc.BadRequest", "completiond.v1.FailureDetail"]
        {
            assert!(types.iter().any(|found| found.ends_with(wanted)), "{wanted} in {types:?}");
        }
        assert!(told["details"].to_string().contains(r#""field":"max_tokens""#), "{told}");
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        for (delay, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(delay)), seconds, "{delay}");
        }
    }
}
