//! The bound on what one attempt may cost, and how an answer ends that reaches it.

use std::collections::BTreeMap;

use super::meter::Said;
use crate::domain::{BlockKind, Decoded, Event, Finish, ModelId, PicoUsd, Tokens, Usage, UsageItem, UsageKind};
use crate::tokens::Learned;

/// So many tokens show what one costs, and so many bytes how many tokens they are.
const SAMPLE: u32 = 1_000_000;

/// A bound on an attempt, and what of the answer is open: whoever ends it must finish that.
#[derive(Debug)]
pub(super) struct Bound {
    spend: PicoUsd,
    /// With so much said the cost has to be looked at again.
    due: usize,
    /// Who answers; none: nobody has begun.
    answering: Option<ModelId>,
    /// The blocks that are not finished, and whether they are calls.
    open: BTreeMap<u32, bool>,
}

impl Bound {
    pub(super) const fn new(spend: PicoUsd) -> Self {
        Self { spend, due: 0, answering: None, open: BTreeMap::new() }
    }

    pub(super) fn observe(&mut self, event: &Decoded) {
        match event {
            Event::Started(started) => self.answering = Some(started.model.clone()),
            Event::BlockStarted { index, block } => {
                self.open.insert(*index, matches!(block.kind, BlockKind::ToolCall(_)));
            }
            Event::BlockFinished { index, .. } => {
                self.open.remove(index);
            }
            // The provider's own numbers may be higher than what was thought until now.
            Event::Usage(_) => self.due = 0,
            _ => {}
        }
    }

    /// Whether so much was said that the cost has to be looked at. An answer cannot end before it has begun.
    pub(super) const fn is_due(&self, said: Said) -> bool {
        said.bytes() >= self.due && self.answering.is_some()
    }

    /// Whether `used` costs as much as the attempt may; if not, when to look again.
    pub(super) fn is_reached(
        &mut self,
        used: &Usage,
        said: Said,
        learned: &Learned,
        price: impl Fn(&Usage) -> Option<PicoUsd>,
    ) -> bool {
        let Some(cost) = price(used) else {
            self.due = usize::MAX;
            return false;
        };
        let left = i128::from(self.spend.get()) - i128::from(cost.get());
        let dearest = [UsageKind::Output, UsageKind::Reasoning].into_iter().filter_map(|kind| {
            let more = UsageItem::tokens(kind, Tokens::new(SAMPLE));
            let more = Usage { source: used.source, items: used.items.iter().cloned().chain([more]).collect() };
            Some(i128::from(price(&more)?.get()) - i128::from(cost.get()))
        });
        let per_sample = dearest.max().unwrap_or_default();
        // Half-way: what is learned about the model may change in the meantime.
        let half = |bytes: usize| said.bytes().saturating_add(bytes.div_ceil(2));
        self.due = bytes_left(left, per_sample, learned).map_or(usize::MAX, half);
        left <= 0
    }

    /// The ends of all that is open, and of the answer.
    pub(super) fn ends(&mut self, mut finish: Finish) -> Vec<Decoded> {
        finish.model = self.answering.take();
        let open = std::mem::take(&mut self.open).into_iter();
        let ended = open.map(|(index, is_call)| Event::BlockFinished { index, state: None, incomplete: is_call });
        ended.chain([Event::Completed(Box::new(finish))]).collect()
    }
}

/// How many more bytes an answer has for `left` pico-dollars; none: as many as it likes.
fn bytes_left(left: i128, per_sample: i128, learned: &Learned) -> Option<usize> {
    let tokens = left.max(0).checked_mul(SAMPLE.into())?.checked_div(per_sample.max(0))?;
    // A token that has begun counts as a whole one, of the text and of the reasoning: these two come early.
    let tokens = (tokens - 2).max(0);
    let in_sample = learned.of_answer(usize::try_from(SAMPLE).ok()?).get().max(1);
    let bytes = tokens.checked_mul(SAMPLE.into())?.checked_div(in_sample.into())?;
    // At least one, so that what is due is new.
    usize::try_from(bytes.max(1)).ok()
}
