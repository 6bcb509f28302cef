//! Pieces of the prompt: what is sent of a block or a tool, what the caller's own fields add to it, and what the prompt
//! cache is told behind it.

use serde::{Serialize, Serializer};

use super::super::fields::Fields;
use super::wire::{Block, CacheControl, Function, Turn};
use crate::protocol::place::Place;
use crate::protocol::prompt_cache::{Slot, Takes};

/// A piece of content.
pub(super) type Content<'a> = Piece<Block<'a>>;

/// A piece of the prompt. It becomes JSON at the very end, so that marks can be placed when all of it is there.
pub(super) struct Piece<T> {
    form: Form<T>,
    /// Where it stands in the request.
    pub(super) place: Place,
    /// What the prompt cache has to know about it.
    pub(super) slot: Slot,
}

enum Form<T> {
    /// A piece of a known kind, and the caller's own fields, which win.
    Typed(T, Option<Fields>),
    /// A piece that passes through.
    Own(Fields),
}

/// What has a field for a mark.
pub(super) trait Markable: Serialize {
    fn cache_control(&mut self) -> &mut Option<CacheControl>;
}

impl Markable for Block<'_> {
    fn cache_control(&mut self) -> &mut Option<CacheControl> {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::ToolUse { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => cache_control,
        }
    }
}

impl Markable for Function<'_> {
    fn cache_control(&mut self) -> &mut Option<CacheControl> {
        &mut self.cache_control
    }
}

/// A piece whose kind does not matter.
pub(super) trait Marked {
    fn place(&self) -> Place;
    fn slot(&self) -> Slot;
    fn mark(&mut self, control: CacheControl);
}

impl<T: Markable> Piece<T> {
    /// A piece of a known kind with more fields, the last of which win.
    pub(super) fn typed(typed: T, more: impl IntoIterator<Item = Fields>, place: Place, slot: Slot) -> Self {
        let more = more.into_iter().reduce(|mut all, more| {
            all.extend(more);
            all
        });
        let slot = more.as_ref().map_or(slot, |more| marked_already(slot, more));
        Self { form: Form::Typed(typed, more), place, slot }
    }

    /// A piece that passes through.
    pub(super) fn own(fields: Fields, place: Place, slot: Slot) -> Self {
        let slot = marked_already(slot, &fields);
        // Reasoning takes no mark, whoever wrote the block down.
        let is_reasoning = matches!(fields.text("type").as_deref(), Some("thinking" | "redacted_thinking"));
        let slot = if is_reasoning { Slot { takes: Takes::None, ..slot } } else { slot };
        Self { form: Form::Own(fields), place, slot }
    }
}

/// A mark in the caller's own fields stays as it is; beside a breakpoint it is one and the same.
fn marked_already(slot: Slot, fields: &Fields) -> Slot {
    if fields.get("cache_control").is_some() { Slot { takes: Takes::Marked, breakpoint: None, ..slot } } else { slot }
}

impl<T: Markable> Marked for Piece<T> {
    fn place(&self) -> Place {
        self.place
    }

    fn slot(&self) -> Slot {
        self.slot
    }

    fn mark(&mut self, control: CacheControl) {
        match &mut self.form {
            Form::Typed(typed, _) => *typed.cache_control() = Some(control),
            Form::Own(fields) => {
                if let Ok(control) = serde_json::value::to_raw_value(&control) {
                    fields.set("cache_control", control);
                }
            }
        }
    }
}

impl<T: Serialize> Serialize for Piece<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.form {
            Form::Typed(typed, None) => typed.serialize(serializer),
            Form::Typed(typed, Some(more)) => {
                let mut fields = Fields::of(typed);
                fields.extend(more.clone());
                fields.serialize(serializer)
            }
            Form::Own(fields) => fields.serialize(serializer),
        }
    }
}

/// The prompt, whose pieces are visited in the provider's order.
pub(super) struct Prompt<'a> {
    pub(super) tools: Vec<Piece<Function<'a>>>,
    pub(super) system: Vec<Content<'a>>,
    pub(super) messages: Vec<Turn<'a>>,
}

impl Prompt<'_> {
    pub(super) fn visit(&mut self, visit: &mut impl FnMut(&mut dyn Marked)) {
        for tool in &mut self.tools {
            visit(tool);
        }
        let turns = self.messages.iter_mut().flat_map(|turn| &mut turn.content);
        for content in self.system.iter_mut().chain(turns) {
            if let Form::Typed(Block::ToolResult { content, .. }, _) = &mut content.form {
                for inner in content {
                    visit(inner);
                }
            }
            visit(content);
        }
    }
}
