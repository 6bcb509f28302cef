//! Everything of a chat body beside its messages and tools.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::UNKNOWN;
use super::tools::object_text;
use crate::cli::batch::faults::Faults;
use crate::cli::batch::raw::{Object, Value};
use crate::proto::complete_request::{Reasoning, reasoning::Amount};
use crate::proto::response_format::{Format, JsonObjectFormat, JsonSchemaFormat, TextFormat};
use crate::proto::{CompleteRequest, Effort, ProviderOptions, ResponseFormat};
use crate::protocol::vendor::BATCH_FILES;

/// What only the vendor knows whose format this is; it goes to targets of that vendor as it is.
const PASSED_ON: &[&str] = &[
    "audio",
    "logit_bias",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "store",
    "verbosity",
    "web_search_options",
];

/// Takes all that is not `messages` nor about tools.
pub(super) fn read(body: &mut Object<'_>, request: &mut CompleteRequest, faults: &mut Faults) {
    // Whether and how it is streamed is not the line's to say here: its answer is written whole.
    let (_, _) = (body.take("stream"), body.take("stream_options"));
    request.model = text(body, "model", faults).unwrap_or_default();
    request.service_tier = text(body, "service_tier", faults).unwrap_or_default();
    single(body, faults);
    request.max_tokens = bound(body, faults);
    sampling(body, request, faults);
    request.stop_sequences = stops(body, faults);
    request.response_format = body.take("response_format").and_then(|format| response_format(&format, faults));
    request.reasoning = body.take("reasoning_effort").and_then(|effort| reasoning(&effort, faults));
    let mut passed: Vec<Value<'_>> = PASSED_ON.iter().filter_map(|name| body.take(name)).collect();
    passed.extend(labels(body, request, &passed, faults));
    passed.extend(user(body, request, faults));
    pass_on(&passed, &body.path, request, faults);
}

fn text(body: &mut Object<'_>, name: &str, faults: &mut Faults) -> Option<String> {
    body.take(name)?.text(faults)
}

fn single(body: &mut Object<'_>, faults: &mut Faults) {
    if let Some(n) = body.take("n")
        && n.json() != "1"
    {
        faults.report(&n.path, "must be 1: an item has one answer; write the line once for each");
    }
}

fn bound(body: &mut Object<'_>, faults: &mut Faults) -> Option<i32> {
    let old = body.take("max_tokens").and_then(|bound| bound.int32(faults));
    let new = body.take("max_completion_tokens").and_then(|bound| bound.int32(faults));
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        faults.report(&body.path_of("max_tokens"), "must be the same as max_completion_tokens, or left out");
    }
    new.or(old)
}

fn sampling(body: &mut Object<'_>, request: &mut CompleteRequest, faults: &mut Faults) {
    let mut number = |name: &str| body.take(name).and_then(|value| value.number(faults));
    request.temperature = number("temperature");
    request.top_p = number("top_p");
    request.frequency_penalty = number("frequency_penalty");
    request.presence_penalty = number("presence_penalty");
    request.seed = body.take("seed").and_then(|seed| seed.int64(faults));
    let wanted = body.take("logprobs").and_then(|wanted| wanted.truth(faults)).unwrap_or_default();
    let top = body.take("top_logprobs");
    match (wanted, top) {
        (true, top) => request.top_logprobs = top.map_or(Some(0), |top| top.int32(faults)),
        (false, Some(top)) => faults.report(&top.path, "must come with logprobs: true"),
        (false, None) => {}
    }
}

fn stops(body: &mut Object<'_>, faults: &mut Faults) -> Vec<String> {
    let Some(stop) = body.take("stop") else { return Vec::new() };
    if stop.is_text() {
        return stop.text(faults).into_iter().collect();
    }
    let stops = stop.list(faults).unwrap_or_default();
    stops.into_iter().filter_map(|stop| stop.text(faults)).collect()
}

fn response_format(value: &Value<'_>, faults: &mut Faults) -> Option<ResponseFormat> {
    let mut format = value.object(faults)?;
    let kind = format.need("type", faults)?;
    let read = match kind.text(faults)?.as_str() {
        "text" => Format::Text(TextFormat {}),
        "json_object" => Format::JsonObject(JsonObjectFormat {}),
        "json_schema" => Format::JsonSchema(json_schema(&mut format, faults)?),
        _ => {
            faults.report(&kind.path, "must be text, json_object or json_schema");
            return None;
        }
    };
    format.end(UNKNOWN, faults);
    Some(ResponseFormat { format: Some(read) })
}

fn json_schema(format: &mut Object<'_>, faults: &mut Faults) -> Option<JsonSchemaFormat> {
    let mut named = format.need("json_schema", faults)?.object(faults)?;
    let name = named.need("name", faults).and_then(|name| name.text(faults));
    let description = text(&mut named, "description", faults).unwrap_or_default();
    let schema = named.need("schema", faults).and_then(|schema| object_text(&schema, faults));
    let strict = named.take("strict").and_then(|strict| strict.truth(faults));
    named.end(UNKNOWN, faults);
    Some(JsonSchemaFormat { name: name?, description, schema_json: schema?, strict })
}

fn reasoning(value: &Value<'_>, faults: &mut Faults) -> Option<Reasoning> {
    let effort = match value.text(faults)?.as_str() {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::Xhigh,
        "max" => Effort::Max,
        _ => {
            faults.report(&value.path, "must be none, minimal, low, medium, high, xhigh or max");
            return None;
        }
    };
    Some(Reasoning { amount: Some(Amount::Effort(effort.into())), display: None })
}

/// `metadata` says what a call is for, as labels do. Where the vendor is to store the answer, it is stored with it too.
fn labels<'a>(
    body: &mut Object<'a>,
    request: &mut CompleteRequest,
    passed: &[Value<'a>],
    faults: &mut Faults,
) -> Option<Value<'a>> {
    let metadata = body.take("metadata")?;
    match serde_json::from_str(metadata.json()) {
        Ok(labels) => request.labels = labels,
        Err(_) => faults.report(&metadata.path, "must be an object of strings"),
    }
    let stored = passed.iter().any(|value| value.path.ends_with(".store") && value.json() == "true");
    stored.then_some(metadata)
}

/// `safety_identifier` took the place of `user`; where both are there and differ, the older one goes along as it is.
fn user<'a>(body: &mut Object<'a>, request: &mut CompleteRequest, faults: &mut Faults) -> Option<Value<'a>> {
    let old = body.take("user");
    let new = text(body, "safety_identifier", faults);
    let older = old.as_ref().and_then(|user| user.text(faults));
    match (new, older) {
        (Some(new), older) => {
            let differs = older.is_some_and(|older| older != new);
            request.user = new;
            old.filter(|_| differs)
        }
        (None, older) => {
            request.user = older.unwrap_or_default();
            None
        }
    }
}

fn pass_on(passed: &[Value<'_>], body: &str, request: &mut CompleteRequest, faults: &mut Faults) {
    let read = |value: &Value<'_>| RawValue::from_string(value.json().to_owned()).ok();
    let name = |value: &Value<'_>| value.path.rsplit('.').next().unwrap_or_default().to_owned();
    let options: BTreeMap<_, _> = passed.iter().filter_map(|value| Some((name(value), read(value)?))).collect();
    if options.is_empty() {
        return;
    }
    match serde_json::to_string(&options) {
        Ok(body_json) => {
            let options = ProviderOptions { body_json, ..ProviderOptions::default() };
            request.provider_options.insert(BATCH_FILES.to_owned(), options);
        }
        Err(error) => faults.report(body, error.to_string()),
    }
}
