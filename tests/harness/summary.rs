//! What a case means, as JSON that a person can check against the bytes. What is empty is left out.

use std::time::{Duration, SystemTime};

use completiond::domain::{
    Answer, Block, BlockKind, Citation, Decoded, Error, Event, Finish, FinishReason, Fold, Media, MediaSource,
    ProviderState, TokenLogprob, ToolInput, Usage, UsageKind,
};
use completiond::protocol::{HttpRefusal, Verdict};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::case::{Case, Refused};
use super::play::{Played, play, play_whole};

/// The moment at which all refusals come: 2026-11-23 10:00:00 UTC.
const NOW: Duration = Duration::from_secs(1_795_428_000);

/// What a case means.
pub(crate) fn of(case: &Case) -> Value {
    if !case.refusals.is_empty() {
        let verdicts = case.refusals.iter().map(|refused| (refused.name.clone(), verdict(case, refused)));
        return Value::Object(verdicts.collect());
    }
    match (&case.stream, &case.body) {
        (Some(stream), _) => played(&play(case, stream, &[])),
        (None, Some(body)) => played(&play_whole(case, body)),
        (None, None) => Value::Null,
    }
}

fn played(played: &Played) -> Value {
    match (&played.result, played.answer()) {
        (Ok(()), Some(answer)) => lean(json!({ "answer": answered(&answer), "started": started(&played.events) })),
        (Ok(()), None) => json!({ "failure": "the decoder says that it is over, and there is no answer" }),
        (Err(error), _) => lean(json!({
            "failure": failure(error),
            "started": started(&played.events),
            "so_far": so_far(&played.events),
            "usage": usage(&played.usage),
        })),
    }
}

fn verdict(case: &Case, refused: &Refused) -> Value {
    let mut headers = HeaderMap::new();
    for (name, value) in &refused.headers {
        headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let body = match (&refused.body, &refused.body_text) {
        (Some(json), None) => json.to_string(),
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
        _ => panic!("{case}: {}: two bodies", refused.name),
    };
    let status = StatusCode::from_u16(refused.status).unwrap();
    let now = SystemTime::UNIX_EPOCH + NOW;
    let refusal = HttpRefusal { status, headers: &headers, body: body.as_bytes(), now };
    match case.protocol().refuse(&case.identity, &refusal) {
        Verdict::Failure(error) => lean(json!({ "failure": failure(&error) })),
        Verdict::Answer(finish) => lean(json!({ "answer": ended(&finish) })),
    }
}

fn failure(error: &Error) -> Value {
    let details = &error.details;
    let said = details.provider_error.as_ref();
    json!({
        "reason": error.reason.as_str(),
        "recovery": format!("{:?}", error.recovery()),
        "message": error.message,
        "retry_after_ms": details.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap()),
        "futile": details.futile.then_some(true),
        "upstream_status": details.upstream_status,
        "upstream_request_id": details.upstream_request_id,
        "provider_error": said.map(|said| json!({
            "http_status": said.http_status, "kind": said.kind, "code": said.code, "param": said.param,
            "message": said.message,
        })),
    })
}

fn started(events: &[Decoded]) -> Value {
    match events.first() {
        Some(Event::Started(started)) => json!(started.model.as_str()),
        _ => Value::Null,
    }
}

/// The blocks of an answer that did not come to its end.
fn so_far(events: &[Decoded]) -> Value {
    let mut fold = Fold::default();
    let mut open = Vec::new();
    for event in events {
        match event {
            Event::BlockStarted { index, .. } => open.push(*index),
            Event::BlockFinished { index, .. } => open.retain(|other| other != index),
            _ => {}
        }
        fold.push(event.clone()).unwrap();
    }
    if events.is_empty() {
        return Value::Null;
    }
    // Closing what is open by hand makes the beginning of an answer one that can be shown.
    for index in &open {
        fold.push(Event::BlockFinished { index: *index, state: None, incomplete: false }).unwrap();
    }
    fold.push(Event::Completed(Box::new(Finish::new(FinishReason::Other, "")))).unwrap();
    json!({ "blocks": blocks(&fold.finish().unwrap().message.content), "open": open })
}

fn answered(answer: &Answer<Finish>) -> Value {
    let mut value = ended(&answer.end);
    value["text"] = json!(answer.text());
    value["blocks"] = blocks(&answer.message.content);
    value
}

fn ended(finish: &Finish) -> Value {
    json!({
        "finish_reason": format!("{:?}", finish.reason),
        "raw_finish_reason": finish.raw_reason,
        "stop_sequence": finish.stop_sequence,
        "refusal": finish.refusal.as_ref().map(|detail| json!({
            "category": detail.category, "explanation": detail.explanation,
        })),
        "usage": usage(&finish.usage),
        "model": finish.model.as_ref().map(|model| model.as_str()),
        "service_tier": finish.service_tier,
        "message_state": state(finish.message_state.as_ref()),
        "metadata": finish.metadata,
        "cost_pico_usd": finish.cost.map(|cost| cost.get()),
    })
}

fn usage(usage: &Usage) -> Value {
    let items = usage.items.iter().map(|item| {
        let (kind, tool) = match &item.kind {
            UsageKind::ServerToolCall { tool } => ("ServerToolCall".to_owned(), tool.as_str()),
            other => (format!("{other:?}"), ""),
        };
        let modality = format!("{:?}", item.modality);
        json!({
            "kind": kind,
            "tool": tool,
            "modality": Some(modality).filter(|modality| modality != "Unspecified"),
            "cache_ttl_seconds": item.cache_ttl.map(|ttl| ttl.as_secs()),
            "model": item.model.as_ref().map(|model| model.as_str()),
            "quantity": item.quantity,
        })
    });
    json!({
        "source": format!("{:?}", usage.source),
        "input": usage.input().get(),
        "output": usage.output().get(),
        "items": items.collect::<Vec<_>>(),
    })
}

fn blocks(blocks: &[Block]) -> Value {
    blocks.iter().map(block).collect()
}

fn block(block: &Block) -> Value {
    let mut value = match &block.kind {
        BlockKind::Text(text) => json!({
            "kind": "text", "text": text.text,
            "citations": text.citations.iter().map(citation).collect::<Vec<_>>(),
            "logprobs": text.logprobs.iter().map(logprob).collect::<Vec<_>>(),
        }),
        BlockKind::Image(image) => json!({ "kind": "image", "media": media(&image.media) }),
        BlockKind::Document(document) => json!({ "kind": "document", "media": media(&document.media) }),
        BlockKind::Audio(audio) => {
            json!({ "kind": "audio", "media": media(&audio.media), "transcript": audio.transcript })
        }
        BlockKind::ToolCall(call) => json!({
            "kind": "tool_call", "id": call.id, "name": call.name, "namespace": call.namespace,
            "incomplete": call.incomplete.then_some(true),
            (if matches!(call.input, ToolInput::Json(_)) { "arguments_json" } else { "input_text" }):
                call.input.as_str(),
        }),
        BlockKind::ToolResult(result) => json!({ "kind": "tool_result", "content": blocks(&result.content) }),
        BlockKind::Reasoning(reasoning) => json!({
            "kind": "reasoning", "text": reasoning.text, "redacted": reasoning.redacted.then_some(true),
        }),
        BlockKind::Refusal(refusal) => {
            json!({ "kind": "refusal", "text": refusal.text, "category": refusal.category })
        }
        BlockKind::Provider(provider) => json!({
            "kind": "provider", "vendor": provider.vendor.as_str(), "type": provider.kind,
            "json": serde_json::from_str::<Value>(&provider.json).unwrap(),
        }),
    };
    value["state"] = state(block.state.as_ref());
    value
}

fn state(state: Option<&ProviderState>) -> Value {
    state.map_or(Value::Null, |state| {
        let payload: Value = serde_json::from_str(state.payload.get()).unwrap();
        json!({ "vendor": state.vendor.as_str(), "model": state.model.as_str(), "payload": payload })
    })
}

fn media(media: &Media) -> Value {
    match &media.source {
        MediaSource::Inline(bytes) => json!({ "mime_type": media.mime_type, "bytes": bytes.len() }),
        MediaSource::Uri(uri) => json!({ "mime_type": media.mime_type, "uri": uri }),
        MediaSource::File(file) => json!({ "mime_type": media.mime_type, "file": file.id }),
    }
}

fn citation(citation: &Citation) -> Value {
    json!({
        "kind": citation.kind, "cited_text": citation.cited_text, "title": citation.title, "url": citation.url,
        "document_index": citation.document_index, "file_id": citation.file_id,
        "source": citation.source_start.zip(citation.source_end).map(|(start, end)| [start, end]),
        "text": citation.text_start.zip(citation.text_end).map(|(start, end)| [start, end]),
    })
}

fn logprob(logprob: &TokenLogprob) -> Value {
    json!({
        "token": logprob.token, "bytes": logprob.bytes, "logprob": logprob.logprob,
        "top": logprob.top.iter().map(self::logprob).collect::<Vec<_>>(),
    })
}

/// Without what is empty, but for what a provider itself said (`json`, `payload`).
fn lean(value: Value) -> Value {
    let Value::Object(object) = value else {
        return match value {
            Value::Array(items) => items.into_iter().map(lean).collect(),
            other => other,
        };
    };
    let lean = |(key, value): (String, Value)| {
        let value = if matches!(key.as_str(), "json" | "payload") { value } else { self::lean(value) };
        (!is_empty(&value)).then_some((key, value))
    };
    Value::Object(object.into_iter().filter_map(lean).collect::<Map<_, _>>())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}
