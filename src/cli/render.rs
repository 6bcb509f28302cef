//! Failures and outcomes in words.

use anstyle::{AnsiColor, Style};
use prost::Message as _;
use std::fmt::Write as _;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::client::root_cause;
use super::{Exit, distrust};
use crate::config::show_duration;
use crate::edge::code_name;
use crate::proto::stream_complete_response::Restarted;
use crate::proto::{CompletionOutcome, FailureDetail, FinishReason};

/// What matters less.
pub(super) const QUIET: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// A failed call in words: what happened, what the provider says about it, and what to do.
pub(super) fn failure(status: &Status) -> String {
    let mut text = format!("{BAD}{}{BAD:#}", status.message());
    if let Some(cause) = transport_cause(status) {
        let _ = write!(text, ": {cause}");
    }
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let code = code_name(status.code());
    // Some reasons are called as their statuses are.
    let shown = if reason.is_empty() || reason == code { code.to_owned() } else { format!("{reason}, {code}") };
    let _ = write!(text, " {QUIET}({shown}){QUIET:#}");
    let detail = failure_detail(status);
    if let Some(words) = detail.as_ref().and_then(|detail| detail.provider_error.as_ref()) {
        let _ = write!(text, "\nthe provider says: {}", words.message);
    }
    let nearest = status.get_details_error_info().and_then(|info| info.metadata.get("nearest").cloned());
    if let Some(nearest) = nearest.filter(|nearest| !nearest.is_empty()) {
        let _ = write!(text, "\nnear to it: {nearest}");
    }
    let wait = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    let of_tls = std::error::Error::source(status).and_then(distrust::advice).map(str::to_owned);
    let advice = of_tls.unwrap_or_else(|| advice(&reason, wait));
    if !advice.is_empty() {
        let _ = write!(text, "\n{advice}");
    }
    if let Some(detail) = detail.filter(|detail| !detail.id.is_empty()) {
        let _ = write!(text, "\n{QUIET}call {}{QUIET:#}", detail.id);
    }
    text
}

/// Why the way to the server broke, such as an alert of TLS; none: the server has said itself what failed.
fn transport_cause(status: &Status) -> Option<String> {
    let cause = std::error::Error::source(status).map(root_cause)?;
    let cause: String = cause.chars().filter(|letter| !letter.is_control()).collect();
    Some(cause).filter(|cause| !status.message().contains(cause))
}

/// What a failed call ends the command with. Only a server that was never reached has no reason of its own.
pub(super) fn exit(status: &Status) -> Exit {
    let unreached = status.code() == Code::Unavailable && status.get_details_error_info().is_none();
    if unreached { Exit::Unreachable } else { Exit::Failed }
}

/// The line between an answer that broke off and the one that takes its place.
pub(super) fn restarted(anew: &Restarted) -> String {
    format!("{BAD}the answer broke off; it begins anew{BAD:#} {QUIET}({}/{}){QUIET:#}", anew.provider, anew.model)
}

/// The line behind an answer: tokens, time, who answered, and how it ended where that is not as usual.
pub(super) fn summary(outcome: &CompletionOutcome, took: Duration) -> String {
    let mut parts = Vec::new();
    if let Some(usage) = &outcome.usage {
        parts.push(format!("{} + {} tokens", usage.input_tokens, usage.output_tokens));
    }
    parts.push(format!("{:.1} s", took.as_secs_f64()));
    parts.push(format!("{}/{}", outcome.provider, outcome.model));
    if let Some(cost) = outcome.cost.as_ref().filter(|cost| !cost.usd.is_empty()) {
        parts.push(format!("{} USD", cost.usd));
    }
    if !matches!(outcome.finish_reason(), FinishReason::Stop | FinishReason::StopSequence) {
        let name = outcome.finish_reason().as_str_name();
        parts.push(format!("ended by {}", name.trim_start_matches("FINISH_REASON_")));
    }
    if outcome.simulated && outcome.provider != "simulator" {
        parts.push("simulated".to_owned());
    }
    format!("{QUIET}{}{QUIET:#}", parts.join(" · "))
}

fn failure_detail(status: &Status) -> Option<FailureDetail> {
    let details = tonic_types::pb::Status::decode(status.details()).ok()?.details;
    let detail = details.iter().find(|detail| detail.type_url.ends_with("/completiond.v1.FailureDetail"))?;
    FailureDetail::decode(detail.value.as_slice()).ok()
}

fn advice(reason: &str, wait: Option<Duration>) -> String {
    if let Some(wait) = wait {
        // Nobody counts milliseconds, and too early is of no use.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        return format!("try again in {}", show_duration(Duration::from_secs(seconds)));
    }
    match reason {
        "INVALID_REQUEST" | "PROVIDER_REJECTED" | "REQUEST_TOO_LARGE" => "change the request",
        "CONTEXT_LENGTH_EXCEEDED" => "shorten the prompt, or take a model with a longer context",
        "MODEL_NOT_FOUND" => "`completiond models` lists the names that can be asked for",
        "CAPABILITY_NOT_SUPPORTED" => "take a model that can do it: `completiond models --json` says what each can do",
        "PROVIDER_MODEL_NOT_FOUND" => "correct the model's name in the configuration",
        "PROVIDER_CREDENTIALS_REFUSED" => "correct the provider's key: `completiond check` says where it comes from",
        "PROVIDER_QUOTA_EXHAUSTED" => "the provider's account needs credit; waiting does not help",
        "METHOD_UNKNOWN" => {
            "is this the right listener of the server? by default calls are taken on port 50051, and operators on 50052"
        }
        "CREDENTIALS_INVALID" => "show a key with --api-key, or in COMPLETIOND_API_KEY",
        "STREAM_INTERRUPTED" => {
            "try again; `--restart` begins anew at another target of the model when an answer breaks"
        }
        "PROVIDER_RATE_LIMITED" | "PROVIDER_UNAVAILABLE" | "OVERLOADED" | "SHUTTING_DOWN" => "try again",
        "PROVIDER_TIMEOUT" | "DEADLINE_EXCEEDED" => {
            "give it more time (`timeouts` in the configuration), or take a faster model"
        }
        _ => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn a_reason_that_is_called_as_its_status_is_printed_once() {
        let told = |code, reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "completiond", std::collections::HashMap::new());
            failure(&Status::with_error_details(code, "words", details))
        };
        assert!(told(Code::PermissionDenied, "PERMISSION_DENIED").contains("(PERMISSION_DENIED)"));
        assert!(told(Code::NotFound, "MODEL_NOT_FOUND").contains("(MODEL_NOT_FOUND, NOT_FOUND)"));
    }
}
