//! Tools, and which of them may or must be called.

use super::parts::{merged, raw};
use super::wire::{
    Allowed, Custom, CustomFormat, Function, Grammar, Name, Named, Piece, Tool as WireTool, ToolChoice as Choice,
};
use super::{Encoder, lacks};
use crate::domain::{CustomTool, FunctionTool, Tool, ToolChoice, ToolChoiceMode, ToolKind};
use crate::protocol::Unfit;
use crate::protocol::place::Place;

/// The tools of the body.
pub(super) fn tools<'a>(encoder: &mut Encoder<'a>) -> Result<Vec<Piece<'a, WireTool<'a>>>, Unfit> {
    let request = encoder.order.request;
    let cannot = encoder.facts().is_some_and(|facts| facts.capabilities.tools == Some(false));
    if cannot && !request.tools.is_empty() {
        return Err(lacks("tools", "cannot call tools"));
    }
    // Where the choice cannot narrow the tools, those that may not be called are not shown.
    let choice = request.tool_choice.as_ref().filter(|choice| choice.mode != ToolChoiceMode::None);
    let only = choice.filter(|choice| !narrows_by_choice(encoder, choice)).map(|choice| &choice.names);
    let mut wire = Vec::with_capacity(request.tools.len());
    for (index, tool) in request.tools.iter().enumerate() {
        let hidden = only.is_some_and(|names| !names.is_empty() && !names.iter().any(|name| is_named(tool, name)));
        if !hidden {
            wire.push(one(encoder, index, tool)?);
        }
    }
    Ok(wire)
}

fn one<'a>(encoder: &mut Encoder<'a>, index: usize, tool: &'a Tool) -> Result<Piece<'a, WireTool<'a>>, Unfit> {
    let place = Place::Tool { tool: index };
    if tool.cache_breakpoint.is_some() {
        encoder.left_out.foreign(format!("{place}.cache_breakpoint"));
    }
    match &tool.kind {
        ToolKind::Function(tool) => {
            let options = tool.provider_options.get(&encoder.order.identity.vendor);
            let wire = function(tool, place)?;
            match options {
                Some(json) => merged(wire, json, place),
                None => Ok(Piece::Known(wire)),
            }
        }
        ToolKind::Custom(tool) if encoder.dialect.custom_tools => Ok(Piece::Known(custom(tool))),
        ToolKind::Custom(_) => Err(lacks(place, "cannot take tools whose input is free text")),
        ToolKind::Provider(tool) if tool.vendor == encoder.order.identity.vendor => {
            Ok(Piece::Borrowed(raw(&tool.json, place)?))
        }
        ToolKind::Provider(_) => Err(lacks(place, "cannot take a tool of another vendor")),
    }
}

fn function<'a>(tool: &'a FunctionTool, place: Place) -> Result<WireTool<'a>, Unfit> {
    let parameters = match &tool.parameters {
        Some(json) => Some(raw(json, format!("{place}.function.parameters_json"))?),
        None => None,
    };
    let function = Function { name: &tool.name, description: &tool.description, parameters, strict: tool.strict };
    Ok(WireTool { r#type: "function", function: Some(function), custom: None })
}

fn custom(tool: &CustomTool) -> WireTool<'_> {
    let format = tool.grammar.as_ref().map(|grammar| CustomFormat {
        r#type: "grammar",
        grammar: Grammar { syntax: &grammar.syntax, definition: &grammar.definition },
    });
    let custom = Custom { name: &tool.name, description: &tool.description, format };
    WireTool { r#type: "custom", function: None, custom: Some(custom) }
}

fn is_named(tool: &Tool, wanted: &str) -> bool {
    match &tool.kind {
        ToolKind::Function(tool) => tool.name == wanted,
        ToolKind::Custom(tool) => tool.name == wanted,
        // A provider's own tool has no name that the request could use.
        ToolKind::Provider(_) => false,
    }
}

/// Whether the choice itself says which tools are meant: one by name, or several where the dialect has a list.
fn narrows_by_choice(encoder: &Encoder<'_>, choice: &ToolChoice) -> bool {
    if !encoder.dialect.takes("tool_choice") {
        return false;
    }
    encoder.dialect.allowed_tools || (choice.mode == ToolChoiceMode::Required && choice.names.len() == 1)
}

/// The choice of the body; none where it would say what holds anyway.
pub(super) fn tool_choice<'a>(encoder: &mut Encoder<'a>) -> Option<Choice<'a>> {
    let request = encoder.order.request;
    let choice = request.tool_choice.as_ref()?;
    if request.tools.is_empty() {
        // Without tools there is nothing to choose, and some servers refuse the field then.
        encoder.left_out.foreign("tool_choice");
        return None;
    }
    let forced = choice.mode == ToolChoiceMode::Required;
    let unforced = forced && encoder.constraints().forced_tool_choice == Some(false);
    let plain = choice.mode == ToolChoiceMode::Auto && choice.names.is_empty();
    if plain && !encoder.dialect.takes("tool_choice") {
        return None;
    }
    if unforced || (!encoder.dialect.takes("tool_choice") && choice.mode != ToolChoiceMode::Auto) {
        encoder.left_out.unsupported("tool_choice");
        return None;
    }
    let word = match choice.mode {
        ToolChoiceMode::Auto => "auto",
        ToolChoiceMode::None => "none",
        ToolChoiceMode::Required => encoder.dialect.required_word,
    };
    if choice.names.is_empty() || choice.mode == ToolChoiceMode::None || !narrows_by_choice(encoder, choice) {
        return encoder.dialect.takes("tool_choice").then_some(Choice::Word(word));
    }
    let mut tools: Vec<_> = choice.names.iter().map(|name| named(&request.tools, name)).collect();
    match (forced, tools.pop()) {
        (true, Some(only)) if tools.is_empty() => Some(Choice::Named(only)),
        (_, last) => {
            tools.extend(last);
            Some(Choice::Allowed { r#type: "allowed_tools", allowed_tools: Allowed { mode: word, tools } })
        }
    }
}

fn named<'a>(tools: &'a [Tool], name: &'a str) -> Named<'a> {
    let is_custom = tools.iter().any(|tool| matches!(&tool.kind, ToolKind::Custom(tool) if tool.name == name));
    if is_custom {
        Named { r#type: "custom", function: None, custom: Some(Name { name }) }
    } else {
        Named { r#type: "function", function: Some(Name { name }), custom: None }
    }
}

/// Whether several calls may be made at once: said only where there are tools.
pub(super) fn parallel(encoder: &mut Encoder<'_>) -> Option<bool> {
    let asked = encoder.taken("parallel_tool_calls", encoder.order.request.parallel_tool_calls);
    if asked.is_some() && encoder.order.request.tools.is_empty() {
        encoder.left_out.foreign("parallel_tool_calls");
        return None;
    }
    asked
}
