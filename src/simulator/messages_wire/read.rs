//! Messages from the side that answers: what a request asks for, and what a provider would refuse.

use serde_json::Value;

use super::signature;
use crate::simulator::ask::{Ask, Choice, Format, Mode, Reasoning, Tool, ToolInput, estimate, list, text, texts};
use crate::simulator::failure::Failure;
use crate::simulator::prompt_cache::prefixes;

pub(super) fn read(body: &Value) -> Result<Ask, Failure> {
    let messages = list(body, "messages");
    let max_tokens = check(body, messages)?;
    let nothing = Value::Null;
    let choice = body.get("tool_choice").unwrap_or(&nothing);
    let blocks = || messages.iter().flat_map(|message| list(message, "content"));
    let of_kind = |kind: &str| blocks().filter(|block| text(block, "type") == kind).count();
    let tools: Vec<Tool> = list(body, "tools").iter().filter_map(tool).collect();
    let ask = Ask {
        model: text(body, "model").to_owned(),
        stream: body.get("stream") == Some(&Value::Bool(true)),
        include_usage: true,
        logprobs: None,
        max_tokens: Some(max_tokens),
        stop: texts(list(body, "stop_sequences")),
        choice: tool_choice(choice)?,
        parallel: choice.get("disable_parallel_tool_use") != Some(&Value::Bool(true)),
        format: format(body.pointer("/output_config/format").unwrap_or(&nothing))?,
        reasoning: reasoning(body.get("thinking").unwrap_or(&nothing), max_tokens)?,
        user_text: messages
            .iter()
            .rev()
            .filter(|message| text(message, "role") == "user")
            .map(words)
            .find(|words| !words.is_empty())
            .unwrap_or_default(),
        images: of_kind("image"),
        documents: of_kind("document"),
        tool_results: messages.last().map_or(0, |message| results(message).count()),
        input_tokens: estimate(body),
        prefixes: prefixes(pieces(body, messages), "cache_control"),
        tools,
    };
    let manual = body.pointer("/thinking/type").and_then(Value::as_str) == Some("enabled");
    if ask.choice.mode == Mode::Required && (ask.tools.is_empty() || manual) {
        return Err(Failure::rejected("tool_choice: a forced call needs tools, and no manual thinking"));
    }
    Ok(ask)
}

/// The prompt piece by piece, each with whose it is: the tools, the system prompt, the messages.
fn pieces<'a>(body: &'a Value, messages: &'a [Value]) -> impl Iterator<Item = (&'a str, Value)> {
    let of = |whose, key| list(body, key).iter().map(move |piece| (whose, piece.clone()));
    let blocks = |message| list(message, "content").iter().map(move |block| (text(message, "role"), block.clone()));
    of("tools", "tools").chain(of("system", "system")).chain(messages.iter().flat_map(blocks))
}

/// Holds a request against the rules of the format. The bound on the answer, which one of them demands.
fn check(body: &Value, messages: &[Value]) -> Result<u32, Failure> {
    let max_tokens = body.get("max_tokens").and_then(Value::as_u64);
    let in_range = |key: &str| body.get(key).and_then(Value::as_f64).is_none_or(|value| (0.0..=1.0).contains(&value));
    let rule = if text(body, "model").is_empty() {
        "model: field required"
    } else if messages.is_empty() {
        "messages: at least one message is required"
    } else if max_tokens.is_none() {
        "max_tokens: field required"
    } else if !in_range("temperature") || !in_range("top_p") {
        "temperature, top_p: must be from 0 to 1"
    } else if messages.iter().any(|message| !["user", "assistant", "system"].contains(&text(message, "role"))) {
        "messages: a role is not known"
    } else if list(body, "system")
        .iter()
        .chain(messages.iter().flat_map(|message| list(message, "content")))
        .any(is_empty_text)
    {
        "messages: text content blocks must be non-empty"
    } else if messages.iter().any(has_changed_reasoning) {
        "messages: thinking blocks cannot be modified"
    } else if has_open_calls(messages) {
        "messages: each tool_use block must have a tool_result block at the beginning of the next message, and no other"
    } else {
        return Ok(max_tokens.and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX));
    };
    Err(Failure::rejected(rule))
}

fn is_empty_text(block: &Value) -> bool {
    text(block, "type") == "text" && text(block, "text").is_empty()
}

fn has_changed_reasoning(message: &Value) -> bool {
    list(message, "content").iter().any(|block| {
        text(block, "type") == "thinking" && text(block, "signature") != signature(text(block, "thinking"))
    })
}

/// Whether calls and results do not pair up.
fn has_open_calls(messages: &[Value]) -> bool {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        let mut answered: Vec<&str> = results(message).map(|block| text(block, "tool_use_id")).collect();
        answered.sort_unstable();
        open.sort_unstable();
        let leading = list(message, "content").iter().take_while(|block| text(block, "type") == "tool_result").count();
        if open != answered || leading < answered.len() {
            return true;
        }
        let calls = list(message, "content").iter().filter(|block| text(block, "type") == "tool_use");
        open = calls.map(|block| text(block, "id")).collect();
    }
    !open.is_empty()
}

fn results(message: &Value) -> impl Iterator<Item = &Value> {
    list(message, "content").iter().filter(|block| text(block, "type") == "tool_result")
}

/// A tool that the caller runs; none: the provider would run it.
fn tool(tool: &Value) -> Option<Tool> {
    let schema = tool.get("input_schema")?;
    Some(Tool { name: text(tool, "name").to_owned(), input: ToolInput::Json(schema.clone()) })
}

fn tool_choice(choice: &Value) -> Result<Choice, Failure> {
    let names = match text(choice, "name") {
        "" => Vec::new(),
        name => vec![name.to_owned()],
    };
    let mode = match text(choice, "type") {
        "" | "auto" => Mode::Auto,
        "any" => Mode::Required,
        "tool" if !names.is_empty() => Mode::Required,
        "none" => Mode::None,
        _ => return Err(Failure::rejected("tool_choice is not known")),
    };
    Ok(Choice { mode, names })
}

fn format(format: &Value) -> Result<Format, Failure> {
    match (text(format, "type"), format.get("schema")) {
        ("", _) => Ok(Format::Text),
        ("json_schema", Some(schema)) => Ok(Format::Schema(schema.clone())),
        _ => Err(Failure::rejected("output_config.format is not known")),
    }
}

fn reasoning(thinking: &Value, max_tokens: u32) -> Result<Reasoning, Failure> {
    let shown = if text(thinking, "display") == "omitted" { Reasoning::Hidden } else { Reasoning::Shown };
    match text(thinking, "type") {
        "" | "disabled" | "between_tools" => Ok(Reasoning::Off),
        "adaptive" => Ok(shown),
        "enabled" => {
            let budget = thinking.get("budget_tokens").and_then(Value::as_u64).unwrap_or(0);
            let fits = (1024..u64::from(max_tokens)).contains(&budget);
            if fits {
                Ok(shown)
            } else {
                Err(Failure::rejected("thinking.budget_tokens: from 1024 to below max_tokens"))
            }
        }
        _ => Err(Failure::rejected("thinking.type is not known")),
    }
}

/// The text of a message, its tool results aside.
fn words(message: &Value) -> String {
    let texts: Vec<&str> = list(message, "content").iter().map(|block| text(block, "text")).collect();
    if texts.is_empty() { text(message, "content").to_owned() } else { texts.join("\n").trim().to_owned() }
}
