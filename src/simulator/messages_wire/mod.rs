//! Messages from the side that answers: events, whole answers and errors.

mod read;

use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Value, json};

use crate::simulator::advice::{LIMIT, WINDOW};
use crate::simulator::answer::{Answer, Finish, MODEL, PartKind, Usage, tag};
use crate::simulator::ask::Ask;
use crate::simulator::directive::End;
use crate::simulator::failure::{Failure, Kind};
use crate::simulator::play::Step;
use crate::simulator::wire::{Wire, quoted};

/// The end of the path at which the tokens of a prompt are counted.
pub(super) const COUNTING: &str = "/v1/messages/count_tokens";

/// A request for a count as one for an answer of any length.
///
/// # Errors
/// It holds what is none of the prompt.
pub(super) fn counted(mut body: Value) -> Result<Value, Failure> {
    let foreign =
        ["max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier"];
    if foreign.iter().any(|key| body.get(key).is_some()) {
        return Err(Failure::rejected("extra inputs are not permitted"));
    }
    if let Some(fields) = body.as_object_mut() {
        fields.insert("max_tokens".to_owned(), u32::MAX.into());
    }
    Ok(body)
}

/// Messages.
#[derive(Debug)]
pub(super) struct MessagesWire;

impl Wire for MessagesWire {
    fn read(&self, body: &Value) -> Result<Ask, Failure> {
        read::read(body)
    }

    fn frame(&self, answer: &Answer, step: Step<'_>) -> Option<String> {
        let part = |at: usize| answer.parts.get(at);
        Some(match step {
            Step::Start => event("message_start", &json!({ "message": head(answer) })),
            Step::Open(at) => {
                let opened =
                    event("content_block_start", &json!({ "index": at, "content_block": opening(&part(at)?.kind) }));
                if at == 0 { opened + self.keep_alive() } else { opened }
            }
            Step::Token(at, token) => growth(at, &part(at)?.kind, token),
            Step::Seal(at) => match part(at)?.kind {
                PartKind::Reasoning => {
                    let signature = signature(&part(at)?.text.whole());
                    let delta = json!({ "type": "signature_delta", "signature": signature });
                    event("content_block_delta", &json!({ "index": at, "delta": delta }))
                }
                _ => return None,
            },
            Step::Close(at) => event("content_block_stop", &json!({ "index": at })),
            Step::Finish => {
                let (reason, sequence, details) = stop(answer);
                let delta = json!({ "stop_reason": reason, "stop_sequence": sequence, "stop_details": details });
                let mut ended = json!({ "delta": delta });
                if let (Some(usage), Some(fields)) = (answer.usage, ended.as_object_mut()) {
                    fields.insert("usage".to_owned(), final_usage(usage));
                }
                event("message_delta", &ended)
            }
            Step::Usage => return None,
            Step::Done => event("message_stop", &json!({})),
        })
    }

    fn completes(&self, step: Step<'_>) -> bool {
        step == Step::Done
    }

    fn whole(&self, answer: &Answer, end: End) -> Value {
        let mut whole = head(answer);
        let (reason, sequence, details) = stop(answer);
        let Some(fields) = whole.as_object_mut() else { return whole };
        fields.insert(
            "content".to_owned(),
            answer.parts.iter().map(|part| block(&part.kind, &part.text.whole())).collect(),
        );
        fields.insert("stop_reason".to_owned(), if end == End::Unfinished { Value::Null } else { reason.into() });
        fields.insert("stop_sequence".to_owned(), sequence.into());
        fields.insert("stop_details".to_owned(), details);
        if let Some(usage) = answer.usage {
            let mut all = start_usage(usage);
            if let (Some(all), Value::Object(last)) = (all.as_object_mut(), final_usage(usage)) {
                all.extend(last);
            }
            fields.insert("usage".to_owned(), all);
        }
        whole
    }

    fn error(&self, failure: &Failure, id: &str) -> (StatusCode, Value) {
        let (status, kind) = match failure.kind {
            Kind::Rejected | Kind::Context => (400, "invalid_request_error"),
            Kind::TooLarge => (413, "request_too_large"),
            Kind::Credentials => (401, "authentication_error"),
            Kind::Permission => (403, "permission_error"),
            Kind::Quota => (402, "billing_error"),
            Kind::Model => (404, "not_found_error"),
            Kind::RateLimit => (429, "rate_limit_error"),
            Kind::Overloaded => (529, "overloaded_error"),
            Kind::Unavailable => (500, "api_error"),
            Kind::Timeout => (504, "timeout_error"),
            Kind::Conflict => (409, "conflict_error"),
        };
        let error = json!({ "type": kind, "message": failure.message() });
        let status = StatusCode::from_u16(failure.status.unwrap_or(status)).unwrap_or(StatusCode::BAD_REQUEST);
        (status, json!({ "type": "error", "error": error, "request_id": format!("req_sim_{id}") }))
    }

    fn error_frame(&self, failure: &Failure, id: &str) -> String {
        format!("event: error\ndata: {}\n\n", self.error(failure, id).1)
    }

    fn filtered_prompt(&self) -> Option<(StatusCode, Value)> {
        None
    }

    fn rate_limits(&self, left: u32, now: SystemTime) -> Vec<(&'static str, String)> {
        let reset = humantime::format_rfc3339_seconds(now + WINDOW).to_string();
        vec![
            ("anthropic-ratelimit-requests-limit", LIMIT.to_string()),
            ("anthropic-ratelimit-requests-remaining", left.to_string()),
            ("anthropic-ratelimit-requests-reset", reset.clone()),
            ("anthropic-ratelimit-tokens-limit", LIMIT.to_string()),
            ("anthropic-ratelimit-tokens-remaining", left.to_string()),
            ("anthropic-ratelimit-tokens-reset", reset),
        ]
    }

    fn keep_alive(&self) -> &'static str {
        "event: ping\ndata: {\"type\":\"ping\"}\n\n"
    }
}

/// What vouches for a text of reasoning: whoever changes the text does not have it.
fn signature(reasoning: &str) -> String {
    format!("sim{}", tag(reasoning.as_bytes()))
}

fn event(name: &str, fields: &Value) -> String {
    let fields = fields.to_string();
    // The type stands first, as providers write it.
    let rest = fields.strip_prefix('{').filter(|rest| *rest != "}").map_or("}".to_owned(), |rest| format!(",{rest}"));
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}\n\n")
}

/// The message before anything is said.
fn head(answer: &Answer) -> Value {
    let mut head = json!({
        "id": format!("msg_sim_{}", answer.id), "type": "message", "role": "assistant", "model": MODEL,
        "content": [], "stop_reason": null, "stop_sequence": null, "stop_details": null,
    });
    if let (Some(usage), Some(fields)) = (answer.usage, head.as_object_mut()) {
        fields.insert("usage".to_owned(), start_usage(usage));
    }
    head
}

fn start_usage(usage: Usage) -> Value {
    let cached = usage.cached;
    json!({
        "input_tokens": cached.rest(usage.input), "cache_creation_input_tokens": cached.written(),
        "cache_read_input_tokens": cached.read,
        "cache_creation": { "ephemeral_5m_input_tokens": cached.short, "ephemeral_1h_input_tokens": cached.long },
        "output_tokens": usage.output.min(1), "server_tool_use": null, "service_tier": "standard",
    })
}

fn final_usage(usage: Usage) -> Value {
    let cached = usage.cached;
    json!({
        "input_tokens": cached.rest(usage.input), "cache_creation_input_tokens": cached.written(),
        "cache_read_input_tokens": cached.read, "output_tokens": usage.output,
        "output_tokens_details": { "thinking_tokens": usage.reasoning },
    })
}

/// A block before it grows.
fn opening(kind: &PartKind) -> Value {
    match kind {
        PartKind::Text | PartKind::Refusal => json!({ "type": "text", "text": "" }),
        PartKind::Reasoning => json!({ "type": "thinking", "thinking": "", "signature": "" }),
        PartKind::Call(_) => block(kind, "{}"),
    }
}

/// A whole block.
fn block(kind: &PartKind, text: &str) -> Value {
    match kind {
        PartKind::Text | PartKind::Refusal => json!({ "type": "text", "text": text, "citations": null }),
        PartKind::Reasoning => json!({ "type": "thinking", "thinking": text, "signature": signature(text) }),
        PartKind::Call(call) => {
            // Input that the bound on tokens cut is no JSON any more.
            let input: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
            json!({ "type": "tool_use", "id": format!("toolu_sim_{}", call.id), "name": call.name, "input": input })
        }
    }
}

fn growth(at: usize, kind: &PartKind, token: &str) -> String {
    let (name, key) = match kind {
        PartKind::Text | PartKind::Refusal => ("text_delta", "text"),
        PartKind::Reasoning => ("thinking_delta", "thinking"),
        PartKind::Call(_) => ("input_json_delta", "partial_json"),
    };
    let delta = format!(r#"{{"type":"{name}","{key}":{}}}"#, quoted(token));
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{at},\"delta\":{delta}}}\n\n"
    )
}

/// Why the answer stopped: the reason, the stop sequence, and what is said about a refusal.
fn stop(answer: &Answer) -> (String, Option<&str>, Value) {
    let word = match &answer.finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::MaxTokens => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Refusal | Finish::Filter => "refusal",
    };
    let word = match answer.finish_word.as_deref() {
        None => word,
        Some("stop") => "end_turn",
        Some("length") => "max_tokens",
        Some("context") => "model_context_window_exceeded",
        Some("pause") => "pause_turn",
        Some("calls") => "tool_use",
        Some("filter") => "refusal",
        Some(own) => own,
    };
    let sequence = match &answer.finish {
        Finish::StopSequence(sequence) if word == "stop_sequence" => Some(sequence.as_str()),
        _ => None,
    };
    let details = match word {
        "refusal" => json!({ "type": "refusal", "category": "general_harms", "explanation": "simulated" }),
        _ => Value::Null,
    };
    (word.to_owned(), sequence, details)
}
