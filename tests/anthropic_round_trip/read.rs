//! The way back: from the wire to a request. It shares no code with the encoder.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use completiond::domain::{
    Block, BlockKind, CacheBreakpoint, Document, Effort, FileRef, FunctionTool, Image, JsonSchema, Media, MediaSource,
    Message, ProviderBlock, ProviderId, ProviderOptions, ProviderState, ProviderTool, Reasoning, ReasoningAmount,
    ReasoningText, Request, ResponseFormat, Role, Sampling, Text, Tokens, Tool, ToolCall, ToolChoice, ToolChoiceMode,
    ToolInput, ToolKind, ToolResult, Vendor, VendorJson,
};
use completiond::protocol::Delivery;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::identity;

type Object = BTreeMap<String, Box<RawValue>>;

/// What was read.
pub(crate) struct Read {
    pub(crate) request: Request,
    pub(crate) model: String,
    pub(crate) max_tokens: Tokens,
    pub(crate) delivery: Delivery,
}

pub(crate) fn request(body: &[u8], headers: &http::HeaderMap) -> Read {
    let mut body: Object = serde_json::from_slice(body).unwrap();
    let streams = take::<bool>(&mut body, "stream").unwrap_or(false);
    let model = take(&mut body, "model").unwrap();
    let max_tokens = Tokens::new(take(&mut body, "max_tokens").unwrap());
    let blocks = |objects: Option<Vec<Object>>| objects.unwrap_or_default().into_iter().map(block).collect();
    let (tool_choice, parallel_tool_calls) = choice(take(&mut body, "tool_choice"));
    let mut output: Object = take(&mut body, "output_config").unwrap_or_default();
    let request = Request {
        system: blocks(take(&mut body, "system")),
        messages: take::<Vec<Object>>(&mut body, "messages").unwrap().into_iter().flat_map(turn).collect(),
        stop_sequences: take(&mut body, "stop_sequences").unwrap_or_default(),
        service_tier: take(&mut body, "service_tier"),
        user: take::<Object>(&mut body, "metadata").and_then(|mut metadata| take(&mut metadata, "user_id")),
        sampling: Sampling {
            temperature: number(&mut body, "temperature"),
            top_p: number(&mut body, "top_p"),
            top_k: take(&mut body, "top_k"),
            ..Sampling::default()
        },
        tools: take::<Vec<Object>>(&mut body, "tools").unwrap_or_default().into_iter().map(tool).collect(),
        tool_choice,
        parallel_tool_calls,
        response_format: format(take(&mut output, "format")),
        reasoning: reasoning(take(&mut body, "thinking"), take(&mut output, "effort")),
        ..Request::default()
    };
    let headers = headers.get("anthropic-beta").map(|beta| beta.to_str().unwrap().to_owned());
    let options = ProviderOptions {
        body: body.into_iter().map(|(key, value)| (key, serde_json::from_str(value.get()).unwrap())).collect(),
        headers: headers.map(|beta| ("anthropic-beta".to_owned(), beta)).into_iter().collect(),
    };
    let said = options != ProviderOptions::default();
    let provider_options = said.then(|| (Vendor::new("anthropic"), options)).into_iter().collect();
    let delivery = if streams { Delivery::Stream } else { Delivery::Whole };
    Read { request: Request { provider_options, ..request }, model, max_tokens, delivery }
}

fn take<T: DeserializeOwned>(object: &mut Object, name: &str) -> Option<T> {
    object.remove(name).map(|value| serde_json::from_str(value.get()).unwrap())
}

/// A number to its last bit, which `serde_json` does not promise by default.
fn number(object: &mut Object, name: &str) -> Option<f64> {
    object.remove(name).map(|value| value.get().parse().unwrap())
}

fn raw(object: &mut Object, name: &str) -> String {
    object.remove(name).unwrap().get().to_owned()
}

/// The messages of a turn: results first, in a message of their own.
fn turn(mut turn: Object) -> Vec<Message> {
    let by_model = take::<String>(&mut turn, "role").unwrap() == "assistant";
    let blocks: Vec<Block> = take::<Vec<Object>>(&mut turn, "content").unwrap().into_iter().map(block).collect();
    let (results, others): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|block| matches!(block.kind, BlockKind::ToolResult(_)));
    let role = if by_model { Role::Assistant } else { Role::User };
    let messages = [(Role::Tool, results), (role, others)].into_iter();
    messages
        .filter(|(_, content)| !content.is_empty())
        .map(|(role, content)| Message { role, content, state: None })
        .collect()
}

fn block(mut object: Object) -> Block {
    let kind: String = take(&mut object, "type").unwrap();
    let cache_breakpoint = cache(take(&mut object, "cache_control"));
    let provider_options = options(&mut object);
    let kind = match kind.as_str() {
        "text" => BlockKind::Text(Text { text: take(&mut object, "text").unwrap(), ..Text::default() }),
        "image" => BlockKind::Image(Image { media: media(&mut object), detail: String::new() }),
        "document" => BlockKind::Document(Document {
            media: media(&mut object),
            title: take(&mut object, "title").unwrap_or_default(),
            context: take(&mut object, "context").unwrap_or_default(),
            citations: take::<Object>(&mut object, "citations").map(|mut citing| take(&mut citing, "enabled").unwrap()),
            filename: String::new(),
        }),
        "tool_use" => BlockKind::ToolCall(ToolCall {
            id: take(&mut object, "id").unwrap(),
            name: take(&mut object, "name").unwrap(),
            input: ToolInput::Json(raw(&mut object, "input")),
            incomplete: false,
            namespace: take(&mut object, "toolset_name").unwrap_or_default(),
        }),
        "tool_result" => BlockKind::ToolResult(ToolResult {
            tool_call_id: take(&mut object, "tool_use_id").unwrap(),
            name: String::new(),
            content: take::<Vec<Object>>(&mut object, "content").unwrap_or_default().into_iter().map(block).collect(),
            is_error: take(&mut object, "is_error").unwrap_or(false),
        }),
        "thinking" => {
            let text = take(&mut object, "thinking").unwrap();
            object.insert("type".to_owned(), RawValue::from_string("\"thinking\"".to_owned()).unwrap());
            BlockKind::Reasoning(ReasoningText { text, redacted: false })
        }
        "redacted_thinking" => {
            object.insert("type".to_owned(), RawValue::from_string("\"redacted_thinking\"".to_owned()).unwrap());
            BlockKind::Reasoning(ReasoningText { text: String::new(), redacted: true })
        }
        _ => {
            object.insert("type".to_owned(), RawValue::from_string(format!("\"{kind}\"")).unwrap());
            let json = serde_json::to_string(&std::mem::take(&mut object)).unwrap();
            BlockKind::Provider(ProviderBlock { vendor: Vendor::new("anthropic"), kind, json })
        }
    };
    let state = (!object.is_empty()).then(|| {
        ProviderState::new(&identity(), RawValue::from_string(serde_json::to_string(&object).unwrap()).unwrap())
    });
    Block { kind, state, cache_breakpoint, provider_options }
}

fn options(object: &mut Object) -> VendorJson {
    let option = object.remove("opt").map(|value| format!(r#"{{"opt":{value}}}"#));
    option.map(|json| (Vendor::new("anthropic"), json)).into_iter().collect()
}

fn cache(control: Option<Object>) -> Option<CacheBreakpoint> {
    let mut control = control?;
    assert_eq!(take::<String>(&mut control, "type").unwrap(), "ephemeral");
    let ttl = take::<String>(&mut control, "ttl").map(|ttl| match ttl.as_str() {
        "5m" => Duration::from_secs(300),
        "1h" => Duration::from_secs(3600),
        other => panic!("no such lifetime: {other}"),
    });
    Some(CacheBreakpoint { ttl })
}

fn media(object: &mut Object) -> Media {
    let mut source: Object = take(object, "source").unwrap();
    let mime_type = take(&mut source, "media_type").unwrap_or_default();
    let source = match take::<String>(&mut source, "type").unwrap().as_str() {
        "base64" => {
            let data: String = take(&mut source, "data").unwrap();
            MediaSource::Inline(base64::engine::general_purpose::STANDARD.decode(data).unwrap().into())
        }
        "text" => MediaSource::Inline(take::<String>(&mut source, "data").unwrap().into()),
        "url" => MediaSource::Uri(take(&mut source, "url").unwrap()),
        "file" => {
            let id = take(&mut source, "file_id").unwrap();
            MediaSource::File(FileRef { provider: ProviderId::new("main"), id })
        }
        other => panic!("no such source: {other}"),
    };
    Media { source, mime_type }
}

fn tool(mut object: Object) -> Tool {
    let cache_breakpoint = cache(take(&mut object, "cache_control"));
    let kind = if object.contains_key("input_schema") {
        ToolKind::Function(FunctionTool {
            provider_options: options(&mut object),
            name: take(&mut object, "name").unwrap(),
            description: take(&mut object, "description").unwrap_or_default(),
            parameters: Some(raw(&mut object, "input_schema")),
            strict: take(&mut object, "strict"),
        })
    } else {
        let json = serde_json::to_string(&object).unwrap();
        ToolKind::Provider(ProviderTool { vendor: Vendor::new("anthropic"), json })
    };
    Tool { kind, cache_breakpoint }
}

fn choice(choice: Option<Object>) -> (Option<ToolChoice>, Option<bool>) {
    let Some(mut choice) = choice else { return (None, None) };
    let parallel = take::<bool>(&mut choice, "disable_parallel_tool_use").map(|disabled| !disabled);
    let (mode, names) = match take::<String>(&mut choice, "type").unwrap().as_str() {
        "auto" => (ToolChoiceMode::Auto, vec![]),
        "none" => (ToolChoiceMode::None, vec![]),
        "any" => (ToolChoiceMode::Required, vec![]),
        "tool" => (ToolChoiceMode::Required, vec![take(&mut choice, "name").unwrap()]),
        other => panic!("no such choice: {other}"),
    };
    (Some(ToolChoice { mode, names }), parallel)
}

fn format(format: Option<Object>) -> ResponseFormat {
    let Some(mut format) = format else { return ResponseFormat::Text };
    assert_eq!(take::<String>(&mut format, "type").unwrap(), "json_schema");
    let (name, description) = ("response".to_owned(), String::new());
    ResponseFormat::JsonSchema(JsonSchema { name, description, schema: raw(&mut format, "schema"), strict: None })
}

fn reasoning(thinking: Option<Object>, effort: Option<String>) -> Option<Reasoning> {
    let mut thinking = thinking?;
    let display = take::<String>(&mut thinking, "display").map(|display| display == "summarized");
    let mode: String = take(&mut thinking, "type").unwrap();
    let effort = effort.map(|effort| {
        let all = [Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];
        all.into_iter().find(|word| word.as_str() == effort).unwrap()
    });
    let effort = if mode == "disabled" { Some(Effort::None) } else { effort };
    Some(Reasoning { amount: effort.map(ReasoningAmount::Effort), display })
}
