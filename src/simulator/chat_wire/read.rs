//! Chat Completions from the side that answers: what a request asks for, and what a provider would refuse.

use serde_json::{Value, json};

use crate::simulator::answer::Usage;
use crate::simulator::ask::{Ask, Choice, Format, Mode, Reasoning, Tool, ToolInput, estimate, list, text, texts};
use crate::simulator::failure::Failure;
use crate::simulator::prompt_cache::prefixes;

pub(super) fn read(body: &Value) -> Result<Ask, Failure> {
    let messages = list(body, "messages");
    check(body, messages)?;
    let number = |key: &str| body.get(key).and_then(Value::as_u64);
    let max_tokens = number("max_completion_tokens").or_else(|| number("max_tokens"));
    let tools = list(body, "tools").iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    let choice = choice(body.get("tool_choice").unwrap_or(&Value::Null))?;
    if choice.mode == Mode::Required && tools.is_empty() {
        return Err(Failure::rejected("tool_choice needs tools"));
    }
    let parts = || messages.iter().flat_map(|message| list(message, "content"));
    let of_kind = |kind: &str| parts().filter(|part| text(part, "type") == kind).count();
    let effort = text(body, "reasoning_effort");
    Ok(Ask {
        model: text(body, "model").to_owned(),
        stream: body.get("stream") == Some(&Value::Bool(true)),
        include_usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
        logprobs: logprobs(body),
        max_tokens: max_tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
        stop: body.get("stop").map(stop).unwrap_or_default(),
        tools,
        choice,
        parallel: body.get("parallel_tool_calls") != Some(&Value::Bool(false)),
        format: format(body.get("response_format").unwrap_or(&Value::Null))?,
        reasoning: if matches!(effort, "" | "none") { Reasoning::Off } else { Reasoning::Shown },
        user_text: messages
            .iter()
            .rev()
            .filter(|message| text(message, "role") == "user")
            .map(words)
            .find(|words| !words.is_empty())
            .unwrap_or_default(),
        images: of_kind("image_url"),
        documents: of_kind("file"),
        tool_results: messages.iter().rev().take_while(|message| text(message, "role") == "tool").count(),
        input_tokens: estimate(body),
        prefixes: prefixes(pieces(body, messages).into_iter(), "prompt_cache_breakpoint"),
    })
}

/// The prompt piece by piece, each with whose it is: the tools, then the parts of each message and the rest of it. A
/// text is the same whether it stands alone or as a part.
fn pieces<'a>(body: &'a Value, messages: &'a [Value]) -> Vec<(&'a str, Value)> {
    let mut pieces: Vec<_> = list(body, "tools").iter().map(|tool| ("tools", tool.clone())).collect();
    for message in messages {
        let role = text(message, "role");
        if let Some(text) = message.get("content").and_then(Value::as_str) {
            pieces.push((role, json!({ "type": "text", "text": text })));
        }
        pieces.extend(list(message, "content").iter().map(|part| (role, part.clone())));
        let rest =
            message.as_object().into_iter().flatten().filter(|(key, _)| !["role", "content"].contains(&key.as_str()));
        let rest: serde_json::Map<_, _> = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !rest.is_empty() {
            pieces.push((role, rest.into()));
        }
    }
    pieces
}

/// An answer's usage in the format's shape.
pub(super) fn usage(usage: Usage) -> Value {
    let cached = usage.cached;
    let mut details = json!({ "cached_tokens": cached.read, "audio_tokens": 0 });
    if cached.written() > 0 {
        details = json!({ "cached_tokens": cached.read, "cache_write_tokens": cached.written(), "audio_tokens": 0 });
    }
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": u64::from(usage.input) + u64::from(usage.output),
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

fn check(body: &Value, messages: &[Value]) -> Result<(), Failure> {
    let present = |key: &str| body.get(key).is_some_and(|value| !value.is_null());
    let rule = if text(body, "model").is_empty() {
        "you must provide a model parameter"
    } else if messages.is_empty() {
        "messages: at least one is needed"
    } else if present("stream_options") && body.get("stream") != Some(&Value::Bool(true)) {
        "stream_options is only allowed when stream is true"
    } else if present("max_tokens") && present("max_completion_tokens") {
        "max_tokens and max_completion_tokens cannot both be set"
    } else if present("n") && body.get("n") != Some(&json!(1)) {
        "n: the simulator answers once"
    } else {
        return check_calls(messages);
    };
    Err(Failure::rejected(rule))
}

/// Each call is answered right behind the message that it stands in, and nothing else is.
fn check_calls(messages: &[Value]) -> Result<(), Failure> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        let role = text(message, "role");
        if !["system", "developer", "user", "assistant", "tool"].contains(&role) {
            return Err(Failure::rejected("messages: a role is not known"));
        }
        if role == "tool" {
            let id = text(message, "tool_call_id");
            let Some(place) = open.iter().position(|open| *open == id) else {
                return Err(Failure::rejected("messages with role tool must answer a call of the message before them"));
            };
            open.remove(place);
        } else if !open.is_empty() {
            return Err(Failure::rejected("messages: a tool call has no result"));
        }
        open.extend(list(message, "tool_calls").iter().map(|call| text(call, "id")));
    }
    if open.is_empty() { Ok(()) } else { Err(Failure::rejected("messages: a tool call has no result")) }
}

fn tool(tool: &Value) -> Result<Tool, Failure> {
    let (definition, input) = match text(tool, "type") {
        "function" => {
            let definition = tool.get("function").unwrap_or(&Value::Null);
            let schema = definition.get("parameters").cloned().unwrap_or_else(|| json!({ "type": "object" }));
            (definition, ToolInput::Json(schema))
        }
        "custom" => (tool.get("custom").unwrap_or(&Value::Null), ToolInput::Text),
        _ => return Err(Failure::rejected("tools: a type is neither function nor custom")),
    };
    match text(definition, "name") {
        "" => Err(Failure::rejected("tools: a name is missing")),
        name => Ok(Tool { name: name.to_owned(), input }),
    }
}

fn choice(choice: &Value) -> Result<Choice, Failure> {
    let mode = |word: &str| match word {
        "auto" => Ok(Mode::Auto),
        "none" => Ok(Mode::None),
        "required" => Ok(Mode::Required),
        _ => Err(Failure::rejected("tool_choice is not known")),
    };
    let named = |tool: &Value| {
        let definition = tool.get("function").or_else(|| tool.get("custom"));
        definition.map(|definition| text(definition, "name").to_owned()).unwrap_or_default()
    };
    match choice {
        Value::Null => Ok(Choice::default()),
        Value::String(word) => Ok(Choice { mode: mode(word)?, names: Vec::new() }),
        allowed if text(allowed, "type") == "allowed_tools" => {
            let allowed = allowed.get("allowed_tools").unwrap_or(&Value::Null);
            let names = list(allowed, "tools").iter().map(named).collect();
            Ok(Choice { mode: mode(text(allowed, "mode"))?, names })
        }
        tool => Ok(Choice { mode: Mode::Required, names: vec![named(tool)] }),
    }
}

fn format(format: &Value) -> Result<Format, Failure> {
    match text(format, "type") {
        "" | "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Object),
        "json_schema" => {
            let schema = format.pointer("/json_schema/schema").cloned();
            schema.map(Format::Schema).ok_or_else(|| Failure::rejected("response_format: the schema is missing"))
        }
        _ => Err(Failure::rejected("response_format: the type is not known")),
    }
}

fn logprobs(body: &Value) -> Option<usize> {
    let wanted = body.get("logprobs") == Some(&Value::Bool(true));
    let top = body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0).min(20);
    usize::try_from(top).ok().filter(|_| wanted)
}

fn stop(stop: &Value) -> Vec<String> {
    match stop {
        Value::String(one) => vec![one.clone()],
        several => several.as_array().map(|several| texts(several)).unwrap_or_default(),
    }
}

/// The text of a message.
fn words(message: &Value) -> String {
    let parts: Vec<&str> = list(message, "content").iter().map(|part| text(part, "text")).collect();
    if parts.is_empty() { text(message, "content").to_owned() } else { parts.join("\n").trim().to_owned() }
}
