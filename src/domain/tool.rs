//! Tools that a model may call.

use serde::{Deserialize, Serialize};

use super::{CacheBreakpoint, Vendor, VendorJson};

/// A tool, with the place where a prompt cache may end its prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// What kind.
    pub kind: ToolKind,
    /// The provider's prompt cache ends its prefix after this tool. It shapes no answer and is left out of what is written.
    #[serde(skip)]
    pub cache_breakpoint: Option<CacheBreakpoint>,
}

impl Tool {
    /// The bytes of what a model reads of it.
    pub fn text_bytes(&self) -> usize {
        match &self.kind {
            ToolKind::Function(tool) => {
                tool.name.len() + tool.description.len() + tool.parameters.as_ref().map_or(0, String::len)
            }
            ToolKind::Custom(tool) => {
                let grammar = tool.grammar.as_ref().map_or(0, |grammar| grammar.definition.len());
                tool.name.len() + tool.description.len() + grammar
            }
            ToolKind::Provider(tool) => tool.json.len(),
        }
    }
}

/// What kind of tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolKind {
    /// A function with JSON arguments, run by the caller.
    Function(FunctionTool),
    /// A tool that takes free text, run by the caller.
    Custom(CustomTool),
    /// A tool that a vendor defines.
    Provider(ProviderTool),
}

/// A function with JSON arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionTool {
    /// Its name.
    pub name: String,
    /// What it does; empty: nothing said.
    pub description: String,
    /// A JSON Schema as checked JSON text of an object; none: no parameters.
    pub parameters: Option<String>,
    /// Whether the provider shall enforce the schema; none: its default.
    pub strict: Option<bool>,
    /// What only one vendor knows about it.
    pub provider_options: VendorJson,
}

/// A tool that takes free text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomTool {
    /// Its name.
    pub name: String,
    /// What it does; empty: nothing said.
    pub description: String,
    /// What the text must look like; none: any text.
    pub grammar: Option<Grammar>,
}

/// What a custom tool's text must look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grammar {
    /// `lark` or `regex`.
    pub syntax: String,
    /// The grammar itself.
    pub definition: String,
}

/// A tool that a vendor defines and most often runs itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderTool {
    /// The vendor.
    pub vendor: Vendor,
    /// The tool as checked JSON text of an object, verbatim.
    pub json: String,
}

/// Which tools may or must be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolChoice {
    /// What is asked of the model.
    pub mode: ToolChoiceMode,
    /// Only these tools, each among the request's; empty: all.
    pub names: Vec<String>,
}

/// What is asked of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolChoiceMode {
    /// It decides.
    Auto,
    /// It calls none.
    None,
    /// It calls at least one.
    Required,
}
