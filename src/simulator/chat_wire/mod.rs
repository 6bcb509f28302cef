//! Chat Completions from the side that answers: chunks, whole answers and errors.

mod read;

use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::simulator::advice::{LIMIT, WINDOW};
use crate::simulator::answer::{Answer, Call, Finish, MODEL, PartKind};
use crate::simulator::ask::Ask;
use crate::simulator::directive::End;
use crate::simulator::failure::{Failure, Kind};
use crate::simulator::play::Step;
use crate::simulator::wire::{Wire, quoted};

/// The time at which every answer was made: answers do not depend on the clock.
pub(super) const CREATED: u64 = 1_700_000_000;

/// Chat Completions.
#[derive(Debug)]
pub(super) struct ChatWire;

impl Wire for ChatWire {
    fn read(&self, body: &Value) -> Result<Ask, Failure> {
        read::read(body)
    }

    fn frame(&self, answer: &Answer, step: Step<'_>) -> Option<String> {
        let kind = |part: usize| answer.parts.get(part).map(|part| &part.kind);
        let delta = match step {
            Step::Start => r#"{"role":"assistant","content":"","refusal":null}"#.to_owned(),
            Step::Open(part) => match kind(part)? {
                PartKind::Call(call) => json!({ "tool_calls": [opening(call)] }).to_string(),
                _ => return None,
            },
            Step::Token(part, token) => growth(kind(part)?, token),
            Step::Finish => {
                let word = quoted(&finish_word(answer));
                return Some(chunk(
                    answer,
                    &format!(r#"[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":{word}}}]"#),
                    None,
                ));
            }
            Step::Usage => {
                let usage = answer.usage.filter(|_| answer.usage_in_stream)?;
                return Some(chunk(answer, "[]", Some(&read::usage(usage).to_string())));
            }
            Step::Done => return Some("data: [DONE]\n\n".to_owned()),
            Step::Seal(_) | Step::Close(_) => return None,
        };
        let logprobs = match step {
            Step::Token(part, token) if matches!(kind(part), Some(PartKind::Text)) => logprobs(answer, &[token]),
            _ => Value::Null,
        };
        let choice = format!(r#"[{{"index":0,"delta":{delta},"logprobs":{logprobs},"finish_reason":null}}]"#);
        Some(chunk(answer, &choice, None))
    }

    fn completes(&self, step: Step<'_>) -> bool {
        step == Step::Finish
    }

    fn whole(&self, answer: &Answer, end: End) -> Value {
        let finish_reason = if end == End::Unfinished { Value::Null } else { finish_word(answer).into() };
        let (message, logprobs) = message(answer);
        let choice = json!({ "index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish_reason });
        let mut whole = json!({
            "id": format!("chatcmpl-sim-{}", answer.id), "object": "chat.completion", "created": CREATED,
            "model": MODEL, "choices": [choice], "service_tier": "default", "system_fingerprint": MODEL,
        });
        if let (Some(usage), Some(fields)) = (answer.usage, whole.as_object_mut()) {
            fields.insert("usage".to_owned(), read::usage(usage));
        }
        whole
    }

    fn error(&self, failure: &Failure, _id: &str) -> (StatusCode, Value) {
        let (status, kind, code) = match failure.kind {
            Kind::Rejected => (400, "invalid_request_error", None),
            Kind::Context => (400, "invalid_request_error", Some("context_length_exceeded")),
            Kind::TooLarge => (413, "invalid_request_error", None),
            Kind::Credentials => (401, "invalid_request_error", Some("invalid_api_key")),
            Kind::Permission => (403, "invalid_request_error", Some("unsupported_country_region_territory")),
            Kind::Quota => (429, "insufficient_quota", Some("insufficient_quota")),
            Kind::Model => (404, "invalid_request_error", Some("model_not_found")),
            Kind::RateLimit => (429, "requests", Some("rate_limit_exceeded")),
            Kind::Overloaded => (503, "server_error", None),
            Kind::Unavailable => (500, "server_error", None),
            Kind::Timeout => (504, "server_error", None),
            Kind::Conflict => (409, "conflict_error", None),
        };
        let error = json!({ "message": failure.message(), "type": kind, "param": null, "code": code });
        let status = StatusCode::from_u16(failure.status.unwrap_or(status)).unwrap_or(StatusCode::BAD_REQUEST);
        (status, json!({ "error": error }))
    }

    fn error_frame(&self, failure: &Failure, id: &str) -> String {
        format!("data: {}\n\n", self.error(failure, id).1)
    }

    fn filtered_prompt(&self) -> Option<(StatusCode, Value)> {
        let error = json!({
            "message": "simulated: the prompt was filtered", "type": null, "param": "prompt", "code": "content_filter",
            "status": 400,
        });
        Some((StatusCode::BAD_REQUEST, json!({ "error": error })))
    }

    fn rate_limits(&self, left: u32, _now: SystemTime) -> Vec<(&'static str, String)> {
        // A duration as Go prints it: minutes and seconds.
        let reset = format!("{}m{}s", WINDOW.as_secs() / 60, WINDOW.as_secs() % 60);
        vec![
            ("x-ratelimit-limit-requests", LIMIT.to_string()),
            ("x-ratelimit-remaining-requests", left.to_string()),
            ("x-ratelimit-reset-requests", reset.clone()),
            ("x-ratelimit-limit-tokens", LIMIT.to_string()),
            ("x-ratelimit-remaining-tokens", left.to_string()),
            ("x-ratelimit-reset-tokens", reset),
        ]
    }

    fn keep_alive(&self) -> &'static str {
        ": keep-alive\n\n"
    }
}

fn chunk(answer: &Answer, choices: &str, usage: Option<&str>) -> String {
    let usage = match usage {
        Some(usage) => format!(r#","usage":{usage}"#),
        None if answer.usage_in_stream => r#","usage":null"#.to_owned(),
        None => String::new(),
    };
    format!(
        r#"data: {{"id":"chatcmpl-sim-{}","object":"chat.completion.chunk","created":{CREATED},"model":"{MODEL}","service_tier":"default","system_fingerprint":"{MODEL}","choices":{choices}{usage}}}

"#,
        answer.id
    )
}

/// A call's first fragment.
fn opening(call: &Call) -> Value {
    let id = format!("call_sim_{}", call.id);
    if call.free_text {
        json!({ "index": call.place, "id": id, "type": "custom", "custom": { "name": call.name, "input": "" } })
    } else {
        json!({ "index": call.place, "id": id, "type": "function", "function": { "name": call.name, "arguments": "" } })
    }
}

fn growth(kind: &PartKind, token: &str) -> String {
    let text = quoted(token);
    match kind {
        PartKind::Text => format!(r#"{{"content":{text}}}"#),
        PartKind::Reasoning => format!(r#"{{"reasoning_content":{text}}}"#),
        PartKind::Refusal => format!(r#"{{"refusal":{text}}}"#),
        PartKind::Call(call) if call.free_text => {
            format!(r#"{{"tool_calls":[{{"index":{},"custom":{{"input":{text}}}}}]}}"#, call.place)
        }
        PartKind::Call(call) => {
            format!(r#"{{"tool_calls":[{{"index":{},"function":{{"arguments":{text}}}}}]}}"#, call.place)
        }
    }
}

/// The message of a whole answer, and the log probabilities of its text.
fn message(answer: &Answer) -> (Value, Value) {
    let mut message = Map::from_iter([
        ("role".to_owned(), json!("assistant")),
        ("content".to_owned(), Value::Null),
        ("refusal".to_owned(), Value::Null),
    ]);
    let (mut calls, mut probabilities) = (Vec::new(), Value::Null);
    for part in &answer.parts {
        let text = part.text.whole();
        let key = match &part.kind {
            PartKind::Text => {
                let (mut cursor, mut tokens) = (crate::simulator::text::Cursor::default(), Vec::new());
                while let Some(token) = part.text.next(&mut cursor) {
                    tokens.push(token);
                }
                probabilities = logprobs(answer, &tokens);
                "content"
            }
            PartKind::Reasoning => "reasoning_content",
            PartKind::Refusal => "refusal",
            PartKind::Call(call) => {
                calls.push(whole_call(call, &text));
                continue;
            }
        };
        message.insert(key.to_owned(), text.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    (message.into(), probabilities)
}

fn whole_call(call: &Call, input: &str) -> Value {
    let id = format!("call_sim_{}", call.id);
    if call.free_text {
        json!({ "id": id, "type": "custom", "custom": { "name": call.name, "input": input } })
    } else {
        json!({ "id": id, "type": "function", "function": { "name": call.name, "arguments": input } })
    }
}

/// Log probabilities in the format's shape, where the request wants them.
fn logprobs(answer: &Answer, tokens: &[&str]) -> Value {
    let Some(alternatives) = answer.logprobs else { return Value::Null };
    let entry = |token: &str, logprob: f64| json!({ "token": token, "logprob": logprob, "bytes": token.as_bytes() });
    let content: Vec<Value> = tokens
        .iter()
        .map(|token| {
            let mut likeliest = entry(token, -0.25);
            let others = (1_u32..).map(|rank| entry(&format!("{token}~{rank}"), -1.5 * f64::from(rank)));
            let top: Vec<Value> = std::iter::once(likeliest.clone()).chain(others).take(alternatives).collect();
            if let Some(fields) = likeliest.as_object_mut() {
                fields.insert("top_logprobs".to_owned(), top.into());
            }
            likeliest
        })
        .collect();
    json!({ "content": content, "refusal": null })
}

fn finish_word(answer: &Answer) -> String {
    let word = match &answer.finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "stop",
        Finish::MaxTokens => "length",
        Finish::Calls => "tool_calls",
        Finish::Filter => "content_filter",
    };
    match answer.finish_word.as_deref() {
        None => word.to_owned(),
        Some("context") => "length".to_owned(),
        Some("calls") => "tool_calls".to_owned(),
        Some("filter") => "content_filter".to_owned(),
        Some(own) => own.to_owned(),
    }
}
