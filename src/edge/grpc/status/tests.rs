//! The table of the contract, line by line, as a client decodes it.

use std::time::Duration;

use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use super::*;
use crate::domain::{
    Attempt, AttemptOutcome, Cost, CostSource, Identity, ModelId, PicoUsd, ProviderId, Tokens, Usage, UsageItem,
    UsageKind, Vendor,
};

fn id() -> CallId {
    CallId::new(uuid::Uuid::from_u128(7))
}

fn told(error: &Error) -> Status {
    status(error, Some(id()), LedgerView::Full)
}

fn failure(status: &Status) -> proto::FailureDetail {
    let rich = pb::Status::decode(status.details()).unwrap();
    let name = "type.googleapis.com/completiond.v1.FailureDetail";
    let any = rich.details.iter().find(|any| any.type_url == name).expect("a failure detail");
    proto::FailureDetail::decode(&any.value[..]).unwrap()
}

fn pushback(status: &Status) -> Option<&str> {
    status.metadata().get(PUSHBACK).map(|value| value.to_str().unwrap())
}

fn tried(model: &str) -> Attempt {
    Attempt {
        endpoint: Identity::new(ProviderId::new("main"), Vendor::new("acme"), ModelId::new(model)),
        outcome: AttemptOutcome::Failed(Reason::ProviderUnavailable),
        duration: Some(Duration::from_secs(1)),
        time_to_first_event: None,
        usage: None,
        cost: None,
    }
}

#[test]
fn every_reason_is_named_where_readers_look_for_it() {
    for (paper, text) in [
        ("error.proto", include_str!("../../../../proto/completiond/v1/error.proto")),
        ("README.md", include_str!("../../../../README.md")),
    ] {
        let words: Vec<&str> = text.split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_')).collect();
        let missing: Vec<_> = Reason::ALL.into_iter().filter(|reason| !words.contains(&reason.as_str())).collect();
        assert!(missing.is_empty(), "{paper} does not say what these are: {missing:?}");
    }
}

#[test]
fn each_reason_has_its_code_and_its_advice_to_clients() {
    let wait = Some("1000");
    let never = Some("-1");
    let table = [
        (Reason::InvalidRequest, Code::InvalidArgument, "INVALID_REQUEST", never),
        (Reason::RequestTooLarge, Code::InvalidArgument, "REQUEST_TOO_LARGE", never),
        (Reason::ProviderRejected, Code::InvalidArgument, "PROVIDER_REJECTED", never),
        (Reason::ContextLengthExceeded, Code::InvalidArgument, "CONTEXT_LENGTH_EXCEEDED", never),
        (Reason::CapabilityNotSupported, Code::FailedPrecondition, "CAPABILITY_NOT_SUPPORTED", never),
        (Reason::CostLimitExceeded, Code::FailedPrecondition, "COST_LIMIT_EXCEEDED", never),
        (Reason::PriceUnknown, Code::FailedPrecondition, "PRICE_UNKNOWN", never),
        (Reason::CompletionNotFound, Code::NotFound, "COMPLETION_NOT_FOUND", never),
        (Reason::ModelNotFound, Code::NotFound, "MODEL_NOT_FOUND", never),
        (Reason::ProviderModelNotFound, Code::FailedPrecondition, "PROVIDER_MODEL_NOT_FOUND", never),
        (Reason::CacheMiss, Code::FailedPrecondition, "CACHE_MISS", never),
        (Reason::ResultTooLarge, Code::ResourceExhausted, "RESULT_TOO_LARGE", never),
        (Reason::RequestIdReused, Code::InvalidArgument, "REQUEST_ID_REUSED", never),
        (Reason::CredentialsInvalid, Code::Unauthenticated, "CREDENTIALS_INVALID", never),
        (Reason::IssuerUnavailable, Code::Unavailable, "ISSUER_UNAVAILABLE", wait),
        (Reason::PermissionDenied, Code::PermissionDenied, "PERMISSION_DENIED", never),
        (Reason::CallerLimitExceeded, Code::ResourceExhausted, "CALLER_LIMIT_EXCEEDED", wait),
        (Reason::ProviderRateLimited, Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", wait),
        (Reason::ProviderQuotaExhausted, Code::ResourceExhausted, "PROVIDER_QUOTA_EXHAUSTED", never),
        (Reason::ProviderCredentialsRefused, Code::FailedPrecondition, "PROVIDER_CREDENTIALS_REFUSED", never),
        (Reason::ProviderUnavailable, Code::Unavailable, "PROVIDER_UNAVAILABLE", wait),
        (Reason::ProviderTimeout, Code::DeadlineExceeded, "PROVIDER_TIMEOUT", None),
        (Reason::ProviderProtocolError, Code::Internal, "PROVIDER_PROTOCOL_ERROR", None),
        (Reason::StreamInterrupted, Code::Unavailable, "STREAM_INTERRUPTED", None),
        (Reason::DeadlineExceeded, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", never),
        (Reason::Overloaded, Code::Unavailable, "OVERLOADED", wait),
        (Reason::ShuttingDown, Code::Unavailable, "SHUTTING_DOWN", None),
        (Reason::ClientStalled, Code::Aborted, "CLIENT_STALLED", None),
        (Reason::Cancelled, Code::Cancelled, "CANCELLED", never),
        (Reason::MethodUnknown, Code::Unimplemented, "METHOD_UNKNOWN", never),
        (Reason::ConfigurationInvalid, Code::FailedPrecondition, "CONFIGURATION_INVALID", never),
        (Reason::UsageUnavailable, Code::Unavailable, "USAGE_UNAVAILABLE", None),
        (Reason::CacheUnavailable, Code::Unavailable, "CACHE_UNAVAILABLE", None),
        (Reason::Internal, Code::Internal, "INTERNAL", None),
    ];
    let told_of: Vec<_> = table.iter().map(|line| line.0).collect();
    assert_eq!(told_of, Reason::ALL, "every reason has a line");
    for (reason, code, word, advice) in table {
        let status = told(&Error::new(reason, "what happened"));
        assert_eq!((status.code(), status.message()), (code, "what happened"), "{word}");
        let details = status.check_error_details().unwrap();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (word, "completiond"));
        assert_eq!(details.request_info().unwrap().request_id, id().to_string(), "{word}");
        assert_eq!(pushback(&status), advice, "{word}");
        let delay = details.retry_info().and_then(|retry| retry.retry_delay);
        assert_eq!(delay, (advice == wait).then_some(Duration::from_secs(1)), "{word}");
        assert_eq!(failure(&status).id, id().to_string(), "{word}");
    }
}

#[test]
fn a_hint_of_the_upstream_is_passed_on_unless_nothing_helps() {
    let limited = || Error::new(Reason::ProviderRateLimited, "limited");
    let hinted = told(&limited().with(|d| d.retry_after = Some(Duration::from_millis(2500))));
    assert_eq!(pushback(&hinted), Some("2500"));
    let delay = hinted.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_millis(2500)));
    let futile = told(&limited().with(|d| d.futile = true));
    assert!(pushback(&futile) == Some("-1") && futile.get_details_retry_info().is_none());
    let broke = Error::new(Reason::ProviderQuotaExhausted, "broke");
    let broke = told(&broke.with(|d| d.retry_after = Some(Duration::from_secs(5))));
    assert!(pushback(&broke) == Some("-1") && broke.get_details_retry_info().is_none());
}

#[test]
fn where_the_retry_budget_is_spent_only_the_caller_decides_about_another_try() {
    for reason in Reason::ALL {
        let usual = told(&Error::new(reason, "down"));
        let spent = told(&Error::new(reason, "down").with(|d| d.budget_spent = true));
        assert_eq!(pushback(&spent), Some("-1"), "{reason}");
        let delay = |status: &Status| status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        assert_eq!(delay(&spent), delay(&usual), "{reason}");
        assert_eq!(spent.code(), usual.code(), "{reason}");
    }
    let hinted = Error::new(Reason::ProviderUnavailable, "down").with(|d| {
        d.budget_spent = true;
        d.retry_after = Some(Duration::from_secs(7));
    });
    let delay = told(&hinted).get_details_retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_secs(7)));
}

#[test]
fn what_is_known_is_told() {
    let error = Error::new(Reason::ModelNotFound, "no such model").with(|d| {
        d.provider = Some(ProviderId::new("main"));
        d.model = Some(ModelId::new("m-1"));
        d.upstream_status = Some(404);
        d.upstream_request_id = Some("req-1".into());
        d.nearest = vec!["smart".into(), "small".into()];
        d.usage = Some(Usage::reported([UsageItem::tokens(UsageKind::Input, Tokens::new(9))]));
        d.cost = Some(Cost { amount: PicoUsd::new(1_000_000_000_000), source: CostSource::Provider, estimated: false });
        d.attempts = vec![tried("m-1"), tried("m-2")];
    });
    let status = told(&error);
    let info = status.get_details_error_info().unwrap();
    for (key, value) in [
        ("provider", "main"),
        ("model", "m-1"),
        ("upstreamStatus", "404"),
        ("upstreamRequestId", "req-1"),
        ("attempts", "2"),
        ("nearest", "smart, small"),
    ] {
        assert_eq!(info.metadata.get(key).map(String::as_str), Some(value), "{key}");
    }
    let failure = failure(&status);
    assert_eq!(failure.usage.unwrap().input_tokens, 9);
    assert_eq!(failure.cost.unwrap().usd, "1");
    let endpoints: Vec<_> = failure.attempts.iter().map(|line| line.endpoint.as_str()).collect();
    assert_eq!(endpoints, ["main/m-1", "main/m-2"]);
    assert_eq!(failure.attempts_omitted, 0);
    let hidden = super::status(&error, Some(id()), LedgerView::WithoutEndpoints);
    assert!(self::failure(&hidden).attempts.iter().all(|line| line.endpoint.is_empty()));
}

#[test]
fn wrong_fields_are_told_with_their_rules() {
    let status = told(&Error::invalid("messages[0].role", "must be known"));
    let bad = status.get_details_bad_request().unwrap();
    let told: Vec<_> = bad.field_violations.iter().map(|v| (v.field.as_str(), v.description.as_str())).collect();
    assert_eq!(told, [("messages[0].role", "must be known")]);
    assert_eq!(status.message(), "messages[0].role: must be known");
}

#[test]
fn a_providers_words_are_told_only_of_a_request_that_it_rejected() {
    let words =
        ProviderError { http_status: 400, kind: "t".into(), code: "c".into(), param: "p".into(), message: "w".into() };
    for reason in Reason::ALL {
        let error = Error::new(reason, "no").with(|d| d.provider_error = Some(words.clone()));
        let told = failure(&told(&error)).provider_error;
        let may = [Reason::ProviderRejected, Reason::ContextLengthExceeded, Reason::RequestTooLarge].contains(&reason);
        assert_eq!(told.is_some(), may, "{reason}");
        if let Some(told) = told {
            assert_eq!((told.http_status, told.message.as_str()), (400, "w"));
            assert_eq!((told.r#type.as_str(), told.code.as_str(), told.param.as_str()), ("t", "c", "p"));
        }
    }
}

#[test]
fn a_providers_words_are_cut_between_characters() {
    let words = ProviderError { message: format!("a{}", "\u{e9}".repeat(400)), ..ProviderError::default() };
    let error = Error::new(Reason::ProviderRejected, "no").with(|d| d.provider_error = Some(words));
    let told = failure(&told(&error)).provider_error.unwrap().message;
    assert_eq!(told, format!("a{}", "\u{e9}".repeat(255)));
}

#[test]
fn without_a_call_there_is_no_id() {
    let status = status(&Error::new(Reason::Overloaded, "full"), None, LedgerView::Full);
    let details = status.check_error_details().unwrap();
    assert!(details.error_info().is_some() && details.request_info().is_none());
}

#[test]
fn everything_at_once_and_too_long_stays_below_four_kilobytes() {
    let long = || "\u{1f600}".repeat(4000);
    let violation = |index: usize| Violation { field: format!("messages[{index}]"), rule: "x".repeat(200).into() };
    for reason in Reason::ALL {
        let error = Error::new(reason, long()).with(|d| {
            d.violations = (0..20).map(violation).collect();
            d.retry_after = Some(Duration::from_secs(u64::MAX));
            d.provider = Some(ProviderId::new(long()));
            d.model = Some(ModelId::new(long()));
            d.upstream_status = Some(599);
            d.upstream_request_id = Some(long());
            let (kind, code, param, message) = (long(), long(), long(), long());
            d.provider_error = Some(ProviderError { http_status: 599, kind, code, param, message });
            d.nearest = vec![long(); 9];
            d.usage = Some(Usage::reported((0..50).map(|_| UsageItem::calls(long(), u32::MAX))));
            d.cost = Some(Cost { amount: PicoUsd::new(i64::MIN), source: CostSource::Provider, estimated: false });
            d.attempts = (0..200).map(|index| tried(&format!("m-{index}"))).collect();
        });
        let status = told(&error);
        let len = status.details().len();
        assert!(len < 4096, "{reason}: {len}");
        assert!(status.message().len() <= MAX_MESSAGE_BYTES);
        let details = status.check_error_details().unwrap();
        assert_eq!(details.error_info().unwrap().reason, reason.as_str());
        assert!(details.bad_request().is_some_and(|bad| bad.field_violations[0].field == "messages[0]"));
        let failure = failure(&status);
        assert_eq!(failure.attempts.len() + usize::try_from(failure.attempts_omitted).unwrap(), 200);
    }
}

#[test]
fn of_too_many_attempts_the_last_are_told() {
    let error = Error::new(Reason::ProviderUnavailable, "down")
        .with(|d| d.attempts = (0..200).map(|index| tried(&format!("m-{index}"))).collect());
    let status = told(&error);
    assert!((3000..4096).contains(&status.details().len()), "the room is used: {}", status.details().len());
    let failure = failure(&status);
    assert!(failure.attempts.len() > 10);
    assert_eq!(failure.attempts.last().unwrap().model, "m-199");
    assert_eq!(failure.attempts[0].model, format!("m-{}", failure.attempts_omitted));
}
