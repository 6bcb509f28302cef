//! Tools, and which of them may or must be called.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::violations::{Path, Violations};
use super::{content, json, options};
use crate::domain::{CustomTool, FunctionTool, Grammar, ProviderTool, Tool, ToolChoice, ToolChoiceMode, ToolKind};
use crate::proto;
use crate::proto::tool::Tool as Kind;

/// The most tools of a request.
const MAX_TOOLS: usize = 512;
/// The longest name of a tool or a schema, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// What a name must be.
pub(super) const NAME_RULE: &str = "must be 1 to 64 letters, digits, `_` and `-`";

/// Whether every provider takes this name for a tool or a schema.
pub(super) fn is_name(name: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_alphanumeric() || b"_-".contains(&c);
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(is_word)
}

/// The tools of a request.
pub(super) fn tools(tools: Vec<proto::Tool>, found: &mut Violations) -> Vec<Tool> {
    let root = Path::ROOT;
    found.check_len(tools.len(), MAX_TOOLS, &root.field("tools"));
    let mut names = BTreeSet::new();
    let numbered = tools.into_iter().take(MAX_TOOLS).enumerate();
    numbered.filter_map(|(index, message)| tool(message, &mut names, &root.item("tools", index), found)).collect()
}

/// Which of `tools` may or must be called; none where the message says nothing.
pub(super) fn choice(
    message: Option<proto::ToolChoice>,
    tools: &[proto::Tool],
    found: &mut Violations,
) -> Option<ToolChoice> {
    use proto::ToolChoiceMode as Proto;
    let message = message.filter(|message| *message != proto::ToolChoice::default())?;
    let root = Path::ROOT;
    let path = root.field("tool_choice");
    found.check(!tools.is_empty(), &path, "must come with tools");
    let mode = match found.enum_value(message.mode, &path.field("mode"))? {
        Proto::Unspecified | Proto::Auto => ToolChoiceMode::Auto,
        Proto::None => ToolChoiceMode::None,
        Proto::Required => ToolChoiceMode::Required,
    };
    if mode == ToolChoiceMode::None {
        found.check(message.names.is_empty(), &path.field("names"), "must be empty with TOOL_CHOICE_MODE_NONE");
    }
    chosen(&message.names, tools, &path, found);
    Some(ToolChoice { mode, names: message.names })
}

fn chosen(names: &[String], tools: &[proto::Tool], path: &Path<'_>, found: &mut Violations) {
    if names.is_empty() || tools.is_empty() {
        return;
    }
    let known: BTreeSet<String> = tools.iter().filter_map(name_of).collect();
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate().take(MAX_TOOLS) {
        let path = path.item("names", index);
        found.check(known.contains(name), &path, "must be the name of a tool in `tools`");
        found.check(seen.insert(name), &path, "must be there once");
    }
    found.check_len(names.len(), MAX_TOOLS, &path.field("names"));
}

/// The name by which a tool is chosen. A vendor's own tool has one in its JSON, most often.
fn name_of(tool: &proto::Tool) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
        r#type: Option<String>,
    }
    match tool.tool.as_ref()? {
        Kind::Function(function) => Some(function.name.clone()),
        Kind::Custom(custom) => Some(custom.name.clone()),
        Kind::ProviderTool(tool) => {
            let named = serde_json::from_str::<Named>(&tool.json).ok()?;
            named.name.or(named.r#type)
        }
    }
}

fn tool(message: proto::Tool, names: &mut BTreeSet<String>, path: &Path<'_>, found: &mut Violations) -> Option<Tool> {
    let cache_breakpoint = content::cache_breakpoint(message.cache_breakpoint, path, found);
    let mut name = |name: &str, path: &Path<'_>, found: &mut Violations| {
        let path = path.field("name");
        found.check(is_name(name), &path, NAME_RULE);
        found.check(names.insert(name.to_owned()), &path, "must be unique among the tools");
    };
    let kind = match message.tool {
        None => {
            found.report(path, "must have a kind that this server knows");
            return None;
        }
        Some(Kind::Function(message)) => {
            let path = path.field("function");
            name(&message.name, &path, found);
            ToolKind::Function(function(message, &path, found)?)
        }
        Some(Kind::Custom(message)) => {
            let path = path.field("custom");
            name(&message.name, &path, found);
            ToolKind::Custom(custom(message, &path, found))
        }
        Some(Kind::ProviderTool(message)) => {
            ToolKind::Provider(provider_tool(message, &path.field("provider_tool"), found)?)
        }
    };
    Some(Tool { kind, cache_breakpoint })
}

fn function(message: proto::FunctionTool, path: &Path<'_>, found: &mut Violations) -> Option<FunctionTool> {
    let provider_options = options::of_part(message.provider_options, path, found);
    let parameters = match message.parameters_json {
        text if text.is_empty() => None,
        text => Some(json::object(text, &path.field("parameters_json"), found)?),
    };
    let (name, description, strict) = (message.name, message.description, message.strict);
    Some(FunctionTool { name, description, parameters, strict, provider_options })
}

fn custom(message: proto::CustomTool, path: &Path<'_>, found: &mut Violations) -> CustomTool {
    let grammar = message.grammar.map(|grammar| {
        let path = path.field("grammar");
        let known = ["lark", "regex"].contains(&grammar.syntax.as_str());
        found.check(known, &path.field("syntax"), "must be `lark` or `regex`");
        found.check(!grammar.definition.is_empty(), &path.field("definition"), "must not be empty");
        Grammar { syntax: grammar.syntax, definition: grammar.definition }
    });
    CustomTool { name: message.name, description: message.description, grammar }
}

fn provider_tool(message: proto::ProviderTool, path: &Path<'_>, found: &mut Violations) -> Option<ProviderTool> {
    let vendor = options::vendor(&message.vendor, &path.field("vendor"), found);
    let json = json::object(message.json, &path.field("json"), found)?;
    Some(ProviderTool { vendor: vendor?, json })
}
