//! Turns: who speaks, what stands first in a turn, and how a conversation may end.

use super::super::fields::Fields;
use super::piece::Content;
use super::wire::Turn;
use super::{Encoding, lacks};
use crate::domain::{BlockKind, Message, Role};
use crate::protocol::Unfit;
use crate::protocol::place::Place;

impl<'a> Encoding<'a> {
    pub(super) fn system(&mut self) -> Result<Vec<Content<'a>>, Unfit> {
        let blocks = self.order.request.system.iter().enumerate();
        let mut content = Vec::new();
        for (block, what) in blocks {
            content.extend(self.block(what, Role::User, Place::System { block })?);
        }
        Ok(content)
    }

    /// Messages that follow each other and all go to the user's side are one turn when one of them has tool results:
    /// results must come first in the turn behind the calls.
    pub(super) fn messages(&mut self) -> Result<Vec<Turn<'a>>, Unfit> {
        let request = self.order.request;
        self.check_end()?;
        let mut turns = Vec::new();
        let mut index = 0;
        for run in request.messages.chunk_by(|left, right| is_model(left) == is_model(right)) {
            let has_results = run.iter().any(|message| message.role == Role::Tool);
            let mut turn = Gathered::default();
            for message in run {
                self.message(index, message, &mut turn)?;
                index += 1;
                if !has_results {
                    turns.extend(std::mem::take(&mut turn).turn(message.role));
                }
            }
            turns.extend(turn.turn(Role::User));
        }
        Ok(turns)
    }

    fn message(&mut self, index: usize, message: &'a Message, turn: &mut Gathered<'a>) -> Result<(), Unfit> {
        let last = message.content.len().checked_sub(1);
        for (block, what) in message.content.iter().enumerate() {
            let place = Place::Message { message: index, block };
            let content = match &what.kind {
                BlockKind::Reasoning(reasoning) => self.reasoning(what, reasoning, Some(block) == last, place),
                _ => self.block(what, message.role, place)?,
            };
            let is_result = matches!(what.kind, BlockKind::ToolResult(_));
            if is_result { &mut turn.results } else { &mut turn.others }.extend(content);
        }
        Ok(())
    }

    /// A conversation that ends in the model's own words is continued after a pause; elsewhere that is a prefill,
    /// which newer models do not take.
    fn check_end(&self) -> Result<(), Unfit> {
        let takes_prefill = self.order.facts.and_then(|facts| facts.constraints.prefill) != Some(false);
        match self.order.request.messages.last() {
            Some(last) if is_model(last) && !takes_prefill && !self.is_paused(last) => lacks(
                format_args!("messages[{}]", self.order.request.messages.len() - 1),
                "cannot continue a message of the model",
            ),
            _ => Ok(()),
        }
    }

    fn is_paused(&self, last: &Message) -> bool {
        let ends_in_provider_block = matches!(
            last.content.last().map(|block| &block.kind),
            Some(BlockKind::Provider(block)) if block.vendor == self.identity().vendor
        );
        ends_in_provider_block || self.message_state(last).is_some()
    }

    /// What a paused message carries, if this account made it.
    fn message_state(&self, message: &Message) -> Option<Fields> {
        let state = message.state.as_ref().filter(|state| state.is_of(self.identity()))?;
        Fields::parse(state.payload.get()).filter(|fields| fields.text("stop_reason").as_deref() == Some("pause_turn"))
    }

    /// A paused turn goes on where its tools ran.
    pub(super) fn container(&self) -> Option<String> {
        let last = self.order.request.messages.last().filter(|last| is_model(last))?;
        self.message_state(last)?.text("container").map(std::borrow::Cow::into_owned)
    }
}

fn is_model(message: &Message) -> bool {
    message.role == Role::Assistant
}

/// The content of a turn.
#[derive(Default)]
struct Gathered<'a> {
    results: Vec<Content<'a>>,
    others: Vec<Content<'a>>,
}

impl<'a> Gathered<'a> {
    /// The turn; none when nothing of it is left.
    fn turn(self, role: Role) -> Option<Turn<'a>> {
        let mut content = self.results;
        content.extend(self.others);
        let role = if role == Role::Assistant { "assistant" } else { "user" };
        (!content.is_empty()).then_some(Turn { role, content })
    }
}
