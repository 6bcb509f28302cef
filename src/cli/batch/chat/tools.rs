//! The tools of a chat body, and which of them may be called.

use super::UNKNOWN;
use crate::cli::batch::faults::Faults;
use crate::cli::batch::raw::{Object, Value};
use crate::proto::custom_tool::Grammar;
use crate::proto::tool::Tool as Kind;
use crate::proto::{CompleteRequest, CustomTool, FunctionTool, Tool, ToolChoice, ToolChoiceMode};

/// Takes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn read(body: &mut Object<'_>, request: &mut CompleteRequest, faults: &mut Faults) {
    for (old, new) in [("functions", "tools"), ("function_call", "tool_choice")] {
        if let Some(value) = body.take(old) {
            faults.report(&value.path, format!("is no longer taken: write `{new}`"));
        }
    }
    for tool in body.take("tools").and_then(|tools| tools.list(faults)).unwrap_or_default() {
        request.tools.extend(tool.object(faults).and_then(|tool| one(tool, faults)));
    }
    request.tool_choice = body.take("tool_choice").and_then(|choice| self::choice(&choice, faults));
    request.parallel_tool_calls = body.take("parallel_tool_calls").and_then(|value| value.truth(faults));
}

fn one(mut tool: Object<'_>, faults: &mut Faults) -> Option<Tool> {
    let kind = tool.need("type", faults)?;
    let kind = match kind.text(faults)?.as_str() {
        "function" => Kind::Function(function(tool.need("function", faults)?.object(faults)?, faults)?),
        "custom" => Kind::Custom(custom(tool.need("custom", faults)?.object(faults)?, faults)?),
        _ => {
            faults.report(&kind.path, "must be function or custom");
            return None;
        }
    };
    tool.end(UNKNOWN, faults);
    Some(Tool { tool: Some(kind), ..Tool::default() })
}

fn function(mut function: Object<'_>, faults: &mut Faults) -> Option<FunctionTool> {
    let name = function.need("name", faults).and_then(|name| name.text(faults));
    let description = function.take("description").and_then(|text| text.text(faults)).unwrap_or_default();
    let parameters_json = function.take("parameters").and_then(|schema| object_text(&schema, faults));
    let strict = function.take("strict").and_then(|strict| strict.truth(faults));
    function.end(UNKNOWN, faults);
    let parameters_json = parameters_json.unwrap_or_default();
    Some(FunctionTool { name: name?, description, parameters_json, strict, ..FunctionTool::default() })
}

fn custom(mut custom: Object<'_>, faults: &mut Faults) -> Option<CustomTool> {
    let name = custom.need("name", faults).and_then(|name| name.text(faults));
    let description = custom.take("description").and_then(|text| text.text(faults)).unwrap_or_default();
    let format = custom.take("format").and_then(|format| format.object(faults));
    let grammar = format.and_then(|format| grammar(format, faults));
    custom.end(UNKNOWN, faults);
    Some(CustomTool { name: name?, description, grammar })
}

fn grammar(mut format: Object<'_>, faults: &mut Faults) -> Option<Grammar> {
    let kind = format.need("type", faults)?;
    let grammar = match kind.text(faults)?.as_str() {
        "text" => None,
        "grammar" => {
            let mut grammar = format.need("grammar", faults)?.object(faults)?;
            let syntax = grammar.need("syntax", faults).and_then(|syntax| syntax.text(faults));
            let definition = grammar.need("definition", faults).and_then(|definition| definition.text(faults));
            grammar.end(UNKNOWN, faults);
            Some(Grammar { syntax: syntax?, definition: definition? })
        }
        _ => {
            faults.report(&kind.path, "must be text or grammar");
            None
        }
    };
    format.end(UNKNOWN, faults);
    grammar
}

/// A schema as it was written: the order of its keys matters to some models.
pub(super) fn object_text(value: &Value<'_>, faults: &mut Faults) -> Option<String> {
    if !value.is_object() {
        faults.report(&value.path, "must be an object");
        return None;
    }
    Some(value.json().to_owned())
}

fn choice(value: &Value<'_>, faults: &mut Faults) -> Option<ToolChoice> {
    use ToolChoiceMode::{Auto, None as Nothing, Required};
    if value.is_text() {
        let mode = match value.text(faults)?.as_str() {
            "auto" => Auto,
            "none" => Nothing,
            "required" => Required,
            _ => {
                faults.report(&value.path, "must be none, auto, required or an object");
                return None;
            }
        };
        return Some(ToolChoice { mode: mode.into(), names: Vec::new() });
    }
    let mut choice = value.object(faults)?;
    let kind = choice.take("type");
    if kind.as_ref().is_none_or(|kind| kind.is_text() && kind.json() != "\"allowed_tools\"") {
        let name = named(choice, kind.as_ref(), faults)?;
        return Some(ToolChoice { mode: Required.into(), names: vec![name] });
    }
    let mut allowed = choice.need("allowed_tools", faults)?.object(faults)?;
    choice.end(UNKNOWN, faults);
    let mode = allowed.need("mode", faults)?;
    let mode_named = match mode.text(faults)?.as_str() {
        "auto" => Auto,
        "required" => Required,
        _ => {
            faults.report(&mode.path, "must be auto or required");
            return None;
        }
    };
    let tools = allowed.need("tools", faults)?.list(faults)?;
    allowed.end(UNKNOWN, faults);
    let names = tools.into_iter().filter_map(|tool| {
        let mut tool = tool.object(faults)?;
        let kind = tool.take("type");
        named(tool, kind.as_ref(), faults)
    });
    Some(ToolChoice { mode: mode_named.into(), names: names.collect() })
}

/// The name in `{"type": "function", "function": {"name": "..."}}`, or in the same of a custom tool.
fn named(mut choice: Object<'_>, kind: Option<&Value<'_>>, faults: &mut Faults) -> Option<String> {
    let Some(kind) = kind else {
        faults.report(&choice.path_of("type"), "is missing");
        return None;
    };
    let word = kind.text(faults)?;
    if !matches!(word.as_str(), "function" | "custom") {
        faults.report(&kind.path, "must be function, custom or, for a choice as a whole, allowed_tools");
        return None;
    }
    let mut tool = choice.need(&word, faults)?.object(faults)?;
    choice.end(UNKNOWN, faults);
    let name = tool.need("name", faults).and_then(|name| name.text(faults));
    tool.end(UNKNOWN, faults);
    name
}
