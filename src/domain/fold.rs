//! From events to a whole answer, and from a whole answer to events.

use super::{
    Audio, Block, BlockKind, Delta, Event, MediaSource, Message, Outcome, ProviderState, Role, Started, TokenLogprob,
    ToolInput,
};

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<End = Outcome> {
    /// What was said.
    pub message: Message,
    /// How it ended.
    pub end: End,
}

/// Events that are no valid sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Something came before `Started`, or `Started` came twice.
    #[error("the answer does not begin with exactly one start")]
    Start,
    /// A block began under an index that was not the next.
    #[error("a block began out of order")]
    BlockOrder,
    /// A delta or an end was for a block that is not open.
    #[error("an event was for a block that is not open")]
    NotOpen,
    /// A delta does not fit its block.
    #[error("a delta does not fit its block")]
    Misfit,
    /// The end came while a block was open, or something came after it.
    #[error("the answer did not end in order")]
    End,
}

/// Folds events into an [`Answer`] and refuses every sequence that is not valid.
#[derive(Debug)]
pub struct Fold<End = Outcome> {
    started: bool,
    content: Vec<Folding>,
    end: Option<End>,
}

/// A block and whether it may still grow.
#[derive(Debug)]
struct Folding {
    block: Block,
    open: bool,
}

impl<End> Default for Fold<End> {
    fn default() -> Self {
        Self { started: false, content: Vec::new(), end: None }
    }
}

impl<End> Fold<End> {
    /// Takes the next event.
    ///
    /// # Errors
    /// [`SequenceError`] when it cannot come here.
    pub fn push(&mut self, event: Event<End>) -> Result<(), SequenceError> {
        if self.end.is_some() {
            return Err(SequenceError::End);
        }
        if self.started == matches!(event, Event::Started(_)) {
            return Err(SequenceError::Start);
        }
        match event {
            Event::Started(_) => self.started = true,
            Event::Restarted(_) => self.content.clear(),
            Event::Usage(_) | Event::Heartbeat => {}
            Event::BlockStarted { index, block } => self.start(index, *block)?,
            Event::BlockDelta { index, delta, logprobs } => grow(self.open(index)?, delta, logprobs)?,
            Event::BlockFinished { index, state, incomplete } => self.finish_block(index, state, incomplete)?,
            Event::Completed(end) => self.complete(*end)?,
        }
        Ok(())
    }

    /// The answer, once `Completed` has come.
    pub fn finish(self) -> Option<Answer<End>> {
        let content = self.content.into_iter().map(|folding| folding.block).collect();
        let message = Message { role: Role::Assistant, content, state: None };
        self.end.map(|end| Answer { message, end })
    }

    fn start(&mut self, index: u32, block: Block) -> Result<(), SequenceError> {
        if usize::try_from(index) != Ok(self.content.len()) {
            return Err(SequenceError::BlockOrder);
        }
        self.content.push(Folding { block, open: true });
        Ok(())
    }

    fn slot(&mut self, index: u32) -> Result<&mut Folding, SequenceError> {
        let slot = usize::try_from(index).ok().and_then(|index| self.content.get_mut(index));
        slot.filter(|folding| folding.open).ok_or(SequenceError::NotOpen)
    }

    fn open(&mut self, index: u32) -> Result<&mut Block, SequenceError> {
        self.slot(index).map(|folding| &mut folding.block)
    }

    fn finish_block(&mut self, index: u32, state: Option<ProviderState>, cut: bool) -> Result<(), SequenceError> {
        let folding = self.slot(index)?;
        folding.open = false;
        if state.is_some() {
            folding.block.state = state;
        }
        if let BlockKind::ToolCall(call) = &mut folding.block.kind {
            call.incomplete = cut;
        }
        Ok(())
    }

    fn complete(&mut self, end: End) -> Result<(), SequenceError> {
        if self.content.iter().any(|folding| folding.open) {
            return Err(SequenceError::End);
        }
        self.end = Some(end);
        Ok(())
    }
}

/// Applies a delta to its block.
fn grow(block: &mut Block, delta: Delta, logprobs: Vec<TokenLogprob>) -> Result<(), SequenceError> {
    match (&mut block.kind, delta) {
        (BlockKind::Text(text), Delta::Text(more)) => {
            text.text.push_str(&more);
            text.logprobs.extend(logprobs);
        }
        (BlockKind::Text(text), Delta::Citation(citation)) => text.citations.push(*citation),
        (BlockKind::Refusal(refusal), Delta::Text(more)) => refusal.text.push_str(&more),
        (BlockKind::Reasoning(reasoning), Delta::Reasoning(more)) => reasoning.text.push_str(&more),
        (BlockKind::ToolCall(call), Delta::ToolInput(more)) => match &mut call.input {
            ToolInput::Json(text) | ToolInput::Text(text) => text.push_str(&more),
        },
        (BlockKind::Audio(audio), Delta::Text(more)) => audio.transcript.push_str(&more),
        (BlockKind::Audio(audio), Delta::Audio(more)) => append(audio, &more)?,
        _ => return Err(SequenceError::Misfit),
    }
    Ok(())
}

fn append(audio: &mut Audio, more: &[u8]) -> Result<(), SequenceError> {
    let MediaSource::Inline(bytes) = &mut audio.media.source else { return Err(SequenceError::Misfit) };
    *bytes = [bytes, more].concat().into();
    Ok(())
}

impl<End> Answer<End> {
    /// All text blocks joined.
    pub fn text(&self) -> String {
        self.message
            .content
            .iter()
            .filter_map(|block| match &block.kind {
                BlockKind::Text(text) => Some(text.text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// A valid sequence of events that folds to this answer again.
    pub fn into_events(self, started: Started) -> Vec<Event<End>> {
        let mut events = vec![Event::Started(started)];
        for (index, block) in (0..).zip(self.message.content) {
            replay(index, block, &mut events);
        }
        events.push(Event::Completed(Box::new(self.end)));
        events
    }
}

/// The events of one block: what can arrive as deltas does, everything else comes whole.
fn replay<End>(index: u32, mut block: Block, events: &mut Vec<Event<End>>) {
    let state = block.state.take();
    let mut incomplete = false;
    let mut deltas = Vec::new();
    let mut logprobs = Vec::new();
    match &mut block.kind {
        BlockKind::Text(text) => {
            // Those of a text that is empty come with the block: there is no piece for them to come with.
            if !text.text.is_empty() {
                logprobs = std::mem::take(&mut text.logprobs);
            }
            let (text, citations) = (std::mem::take(&mut text.text), std::mem::take(&mut text.citations));
            deltas.push(Delta::Text(text));
            deltas.extend(citations.into_iter().map(|citation| Delta::Citation(Box::new(citation))));
        }
        BlockKind::Refusal(refusal) => deltas.push(Delta::Text(std::mem::take(&mut refusal.text))),
        BlockKind::Reasoning(reasoning) => deltas.push(Delta::Reasoning(std::mem::take(&mut reasoning.text))),
        BlockKind::ToolCall(call) => {
            incomplete = std::mem::take(&mut call.incomplete);
            match &mut call.input {
                ToolInput::Json(text) | ToolInput::Text(text) => deltas.push(Delta::ToolInput(std::mem::take(text))),
            }
        }
        _ => {}
    }
    events.push(Event::BlockStarted { index, block: Box::new(block) });
    for delta in deltas.into_iter().filter(|delta| !is_empty(delta)) {
        events.push(Event::BlockDelta { index, delta, logprobs: std::mem::take(&mut logprobs) });
    }
    events.push(Event::BlockFinished { index, state, incomplete });
}

fn is_empty(delta: &Delta) -> bool {
    match delta {
        Delta::Text(text) | Delta::Reasoning(text) | Delta::ToolInput(text) => text.is_empty(),
        Delta::Audio(bytes) => bytes.is_empty(),
        Delta::Citation(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Citation, Finish, FinishReason, ModelId, ProviderId, ReasoningText, Text, ToolCall};

    fn started() -> Started {
        Started::new(ProviderId::new("p"), ModelId::new("m"))
    }

    fn call(input: &str, incomplete: bool) -> Block {
        BlockKind::ToolCall(ToolCall {
            id: "1".into(),
            name: "f".into(),
            input: ToolInput::Json(input.into()),
            incomplete,
            namespace: String::new(),
        })
        .into()
    }

    fn answer() -> Answer<Finish> {
        let reasoning = BlockKind::Reasoning(ReasoningText { text: "hm".into(), redacted: false }).into();
        let logprobs = vec![TokenLogprob::default()];
        let unsaid = BlockKind::Text(Text { logprobs, citations: vec![Citation::default()], ..Text::default() }).into();
        let content =
            vec![reasoning, Block::text("yes"), Block::text(""), unsaid, call("{\"a\":1}", false), call("{\"b", true)];
        let message = Message { role: Role::Assistant, content, state: None };
        Answer { message, end: Finish::new(FinishReason::Stop, "stop") }
    }

    #[test]
    fn an_answer_survives_being_replayed() -> Result<(), SequenceError> {
        let mut fold = Fold::default();
        for event in answer().into_events(started()) {
            fold.push(event)?;
        }
        assert_eq!(fold.finish(), Some(answer()));
        Ok(())
    }

    #[test]
    fn without_an_end_there_is_no_answer() -> Result<(), SequenceError> {
        let mut fold = Fold::default();
        let events = answer().into_events(started());
        for event in events.into_iter().filter(|event| !matches!(event, Event::Completed(_))) {
            fold.push(event)?;
        }
        assert_eq!(fold.finish(), None);
        Ok(())
    }

    #[test]
    fn sequences_that_are_not_valid_are_refused() {
        let block = || Event::BlockStarted { index: 0, block: Box::new(Block::text("")) };
        let delta = |index| Event::delta(index, Delta::Text("a".into()));
        let end = || Event::Completed(Box::new(Finish::new(FinishReason::Stop, "")));
        let start = || Event::Started(started());
        let cases = [
            (vec![block()], SequenceError::Start),
            (vec![start(), start()], SequenceError::Start),
            (vec![start(), block(), block()], SequenceError::BlockOrder),
            (vec![start(), delta(0)], SequenceError::NotOpen),
            (vec![start(), block(), end()], SequenceError::End),
            (vec![start(), end(), end()], SequenceError::End),
            (vec![start(), block(), Event::delta(0, Delta::Reasoning("a".into()))], SequenceError::Misfit),
        ];
        for (events, expected) in cases {
            let mut fold = Fold::default();
            assert_eq!(events.into_iter().try_for_each(|event| fold.push(event)), Err(expected));
        }
    }
}
