//! Tools, and which of them may or must be called.

use serde_json::value::RawValue;

use super::super::fields::Fields;
use super::piece::Piece;
use super::wire::{Choice, Function, Thinking};
use super::{Encoding, lacks};
use crate::domain::{FunctionTool, ProviderTool, Tool, ToolChoiceMode, ToolKind};
use crate::protocol::Unfit;
use crate::protocol::place::Place;

/// The schema of a function without parameters.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

impl<'a> Encoding<'a> {
    /// The tools; where the caller named some, only these, since the protocol has no other way to say so.
    pub(super) fn tools(&mut self) -> Result<Vec<Piece<Function<'a>>>, Unfit> {
        let request = self.order.request;
        if !request.tools.is_empty() && self.order.facts.and_then(|facts| facts.capabilities.tools) == Some(false) {
            return lacks("tools", "cannot call tools");
        }
        let named = request.tool_choice.as_ref().filter(|choice| choice.mode != ToolChoiceMode::None);
        let names = named.map_or(&[][..], |choice| &choice.names);
        let mut tools = Vec::new();
        for (index, tool) in request.tools.iter().enumerate() {
            let place = Place::Tool { tool: index };
            let (name, piece) = match &tool.kind {
                ToolKind::Function(function) => (function.name.clone(), self.function(tool, function, place)?),
                ToolKind::Provider(provider) => self.provider_tool(tool, provider, place)?,
                ToolKind::Custom(_) => return lacks(place, "cannot call tools with free text"),
            };
            if names.is_empty() || names.contains(&name) {
                tools.push(piece);
            }
        }
        Ok(tools)
    }

    fn function(&self, tool: &Tool, function: &'a FunctionTool, place: Place) -> Result<Piece<Function<'a>>, Unfit> {
        let schema = function.parameters.as_deref().unwrap_or(NO_PARAMETERS);
        let Ok(input_schema) = serde_json::from_str::<&RawValue>(schema) else {
            return lacks(place, "cannot take a schema that is not JSON");
        };
        let options = function.provider_options.get(&self.identity().vendor).and_then(|json| Fields::parse(json));
        let (name, description, strict) = (function.name.as_str(), function.description.as_str(), function.strict);
        let typed = Function { name, description, input_schema, strict, cache_control: None };
        let slot = self.slot(place, tool.cache_breakpoint, Some(tool.text_bytes()));
        Ok(Piece::typed(typed, options, place, slot))
    }

    fn provider_tool(
        &self,
        tool: &Tool,
        provider: &'a ProviderTool,
        place: Place,
    ) -> Result<(String, Piece<Function<'a>>), Unfit> {
        let own = Some(provider).filter(|provider| provider.vendor == self.identity().vendor);
        let Some(fields) = own.and_then(|provider| Fields::parse(&provider.json)) else {
            return lacks(place, "does not know another vendor's tools");
        };
        let name = fields.text("name").unwrap_or_default().into_owned();
        // What the provider itself says about its tool is not known.
        Ok((name, Piece::own(fields, place, self.slot(place, tool.cache_breakpoint, None))))
    }

    pub(super) fn tool_choice(&mut self, thinking: Option<Thinking>, has_tools: bool) -> Option<Choice<'a>> {
        let request = self.order.request;
        if !has_tools {
            return None;
        }
        let disable_parallel_tool_use = request.parallel_tool_calls == Some(false);
        let auto = Choice { mode: "auto", name: None, disable_parallel_tool_use };
        let Some(choice) = &request.tool_choice else {
            return disable_parallel_tool_use.then_some(auto);
        };
        // A model that reasons by a number of tokens cannot be forced at the same time.
        let forced = self.order.facts.and_then(|facts| facts.constraints.forced_tool_choice);
        let can_force = forced != Some(false) && thinking.is_none_or(|thinking| thinking.mode != "enabled");
        match (choice.mode, choice.names.as_slice()) {
            (ToolChoiceMode::None, _) => Some(Choice { mode: "none", name: None, disable_parallel_tool_use: false }),
            (ToolChoiceMode::Auto, _) => Some(auto),
            (ToolChoiceMode::Required, _) if !can_force => {
                self.left_out.unsupported("tool_choice.mode");
                Some(auto)
            }
            (ToolChoiceMode::Required, [name]) => Some(Choice { mode: "tool", name: Some(name), ..auto }),
            (ToolChoiceMode::Required, _) => Some(Choice { mode: "any", ..auto }),
        }
    }
}
