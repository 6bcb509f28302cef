//! A request as it came, to a request in order: every rule of the contract that needs no provider is checked here, and
//! all that are broken are told at once.

use std::collections::{BTreeMap, HashMap};

use super::content::{self, Place};
use super::options::RequestRules;
use super::violations::{Path, Violations};
use super::{conversation, json, options, parameter, reuse, tool};
use crate::domain::{Block, Error, JsonSchema, ModelName, PicoUsd, Request, ResponseFormat};
use crate::proto;
use crate::proto::response_format::{Format, JsonSchemaFormat};

/// The longest name of a model, in characters.
const MAX_MODEL_CHARS: usize = 512;
/// The longest id of an end user, in characters.
const MAX_USER_CHARS: usize = 512;
/// The longest id of a conversation, in characters.
const MAX_CONVERSATION_CHARS: usize = 256;
/// The most labels.
const MAX_LABELS: usize = 16;
/// The longest key of a label, in characters.
const MAX_LABEL_KEY_CHARS: usize = 63;
/// The longest value of a label, in characters.
const MAX_LABEL_CHARS: usize = 256;
/// The most models to fall back to.
const MAX_FALLBACK_MODELS: usize = 8;
/// The most stop sequences.
const MAX_STOP_SEQUENCES: usize = 16;

/// Checks a request and takes it over; bytes and texts are moved, not copied.
///
/// # Errors
/// `INVALID_REQUEST` with every field that is wrong, 20 at most, and the rule that it breaks.
pub fn request(mut message: proto::CompleteRequest, rules: &RequestRules) -> Result<Box<Request>, Error> {
    let mut all = Violations::default();
    let found = &mut all;
    let sampling = parameter::sampling(&message, found);
    let reasoning = parameter::reasoning(message.reasoning.take(), message.max_tokens, found);
    let tool_choice = tool::choice(message.tool_choice.take(), &message.tools, found);
    let request_id = reuse::request_id(&message.request_id, found);
    let request = Box::new(Request {
        model: model(&message.model, &Path::ROOT.field("model"), found),
        fallback_models: fallback_models(&message.fallback_models, found),
        system: system(message.system, message.system_blocks, found),
        messages: conversation::messages(message.messages, message.prompt, found),
        max_tokens: parameter::max_tokens(message.max_tokens, found),
        sampling,
        stop_sequences: stop_sequences(message.stop_sequences, found),
        tools: tool::tools(message.tools, found),
        tool_choice,
        parallel_tool_calls: message.parallel_tool_calls,
        response_format: response_format(message.response_format, found),
        reasoning,
        service_tier: Some(message.service_tier).filter(|tier| !tier.is_empty()),
        user: user(message.user, found),
        labels: labels(message.labels, found),
        max_cost: max_cost(message.max_cost_pico_usd, found),
        conversation_id: conversation_id(message.conversation_id, found),
        unsupported: parameter::unsupported(message.unsupported_parameters, found),
        provider_options: options::of_request(message.provider_options, rules, found),
        restart_on_interruption: message.restart_on_interruption,
        request_id,
        on_disconnect: reuse::on_disconnect(message.on_disconnect, !message.request_id.is_empty(), found),
        cache: reuse::cache(message.cache, found),
        prompt_cache: parameter::prompt_cache(message.prompt_cache, found),
    });
    all.judge().map(|()| request)
}

/// Names of models are a provider's business, but none is a sentence.
fn model(name: &str, path: &Path<'_>, found: &mut Violations) -> Option<ModelName> {
    let is_word = name.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let right = is_word && name.chars().count() <= MAX_MODEL_CHARS;
    found.check(right, path, "must be at most 512 characters, none of them a space");
    (!name.is_empty()).then(|| ModelName::new(name))
}

fn fallback_models(names: &[String], found: &mut Violations) -> Vec<ModelName> {
    let root = Path::ROOT;
    found.check_len(names.len(), MAX_FALLBACK_MODELS, &root.field("fallback_models"));
    let mut models = Vec::new();
    for (index, name) in names.iter().enumerate().take(MAX_FALLBACK_MODELS) {
        let path = root.item("fallback_models", index);
        found.check(!name.is_empty(), &path, "must not be empty");
        models.extend(model(name, &path, found));
    }
    models
}

fn conversation_id(id: String, found: &mut Violations) -> Option<String> {
    let right = id.chars().count() <= MAX_CONVERSATION_CHARS;
    found.check(right, &Path::ROOT.field("conversation_id"), "must be at most 256 characters");
    Some(id).filter(|id| !id.is_empty())
}

fn system(text: String, blocks: Vec<proto::ContentBlock>, found: &mut Violations) -> Vec<Block> {
    let root = Path::ROOT;
    let shorthand = Some(text).filter(|text| !text.is_empty()).map(Block::text);
    let blocks = content::blocks(blocks, Some(Place::System), ("system_blocks", &root), found);
    shorthand.into_iter().chain(blocks).collect()
}

fn stop_sequences(sequences: Vec<String>, found: &mut Violations) -> Vec<String> {
    let root = Path::ROOT;
    found.check_len(sequences.len(), MAX_STOP_SEQUENCES, &root.field("stop_sequences"));
    for (index, sequence) in sequences.iter().enumerate() {
        found.check(!sequence.is_empty(), &root.item("stop_sequences", index), "must not be empty");
    }
    sequences
}

fn user(user: String, found: &mut Violations) -> Option<String> {
    let right = user.chars().count() <= MAX_USER_CHARS;
    found.check(right, &Path::ROOT.field("user"), "must be at most 512 characters");
    Some(user).filter(|user| !user.is_empty())
}

/// Labels are of the caller's making, and names of metrics and sums: short ones.
fn labels(labels: HashMap<String, String>, found: &mut Violations) -> BTreeMap<String, String> {
    let path = Path::ROOT.field("labels");
    found.check_len(labels.len(), MAX_LABELS, &path);
    let is_key = |key: &String| (1..=MAX_LABEL_KEY_CHARS).contains(&key.chars().count());
    found.check(labels.keys().all(is_key), &path, "must have keys of 1 to 63 characters");
    let is_short = |value: &String| value.chars().count() <= MAX_LABEL_CHARS;
    found.check(labels.values().all(is_short), &path, "must have values of at most 256 characters");
    labels.into_iter().collect()
}

fn max_cost(pico_usd: Option<i64>, found: &mut Violations) -> Option<PicoUsd> {
    let right = pico_usd.is_none_or(|pico_usd| pico_usd > 0);
    found.check(right, &Path::ROOT.field("max_cost_pico_usd"), "must be at least 1");
    pico_usd.map(PicoUsd::new)
}

fn response_format(message: Option<proto::ResponseFormat>, found: &mut Violations) -> ResponseFormat {
    match message.and_then(|message| message.format) {
        None | Some(Format::Text(_)) => ResponseFormat::Text,
        Some(Format::JsonObject(_)) => ResponseFormat::JsonObject,
        Some(Format::JsonSchema(schema)) => {
            json_schema(schema, found).map_or(ResponseFormat::Text, ResponseFormat::JsonSchema)
        }
    }
}

fn json_schema(message: JsonSchemaFormat, found: &mut Violations) -> Option<JsonSchema> {
    let root = Path::ROOT;
    let format = root.field("response_format");
    let path = format.field("json_schema");
    let name = if message.name.is_empty() { "response".to_owned() } else { message.name };
    found.check(tool::is_name(&name), &path.field("name"), tool::NAME_RULE);
    let schema = json::object(message.schema_json, &path.field("schema_json"), found)?;
    Some(JsonSchema { name, description: message.description, schema, strict: message.strict })
}
