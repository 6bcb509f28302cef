//! What happens while an answer arrives.

use bytes::Bytes;

use super::{Block, Citation, Finish, ModelId, Origin, Outcome, ProviderId, ProviderState, TokenLogprob, Usage};

/// One event. Decoders end theirs with a [`Finish`], calls with an [`Outcome`].
///
/// A valid sequence: `Started` once and first; then blocks with ascending indexes, each started before its deltas and
/// finished once; `Completed` once and last, when every block is finished. `Restarted` voids what came since `Started`,
/// open blocks included, and blocks begin again.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<End = Outcome> {
    /// Somebody is answering.
    Started(Started),
    /// A block begins.
    BlockStarted {
        /// Its place in the message.
        index: u32,
        /// The block so far.
        block: Box<Block>,
    },
    /// A block grows.
    BlockDelta {
        /// Which block.
        index: u32,
        /// By what.
        delta: Delta,
        /// Log probabilities of the text in this delta.
        logprobs: Vec<TokenLogprob>,
    },
    /// A block is done.
    BlockFinished {
        /// Which block.
        index: u32,
        /// The block's opaque state.
        state: Option<ProviderState>,
        /// A tool call whose input was cut short.
        incomplete: bool,
    },
    /// What has been used so far.
    Usage(Usage),
    /// The answer begins anew elsewhere: everything before is void. Never made by a decoder.
    Restarted(Restarted),
    /// Nothing happened for a while; the call is alive. Never made by a decoder.
    Heartbeat,
    /// The end.
    Completed(Box<End>),
}

/// What a decoder says.
pub type Decoded = Event<Finish>;

/// Somebody is answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Who.
    pub provider: ProviderId,
    /// With which model, as the provider names it; the model that was asked for where it does not.
    pub model: ModelId,
    /// Where the answer comes from.
    pub origin: Origin,
}

impl Started {
    /// Somebody who makes an answer.
    pub fn new(provider: ProviderId, model: ModelId) -> Self {
        Self { provider, model, origin: Origin::default() }
    }
}

/// Somebody else is answering, from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarted {
    /// Who, as in the `Started` that this stands for.
    pub by: Started,
    /// Which attempt of the call it is, from 1.
    pub attempt: u32,
}

/// By what a block grows.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// Text of a text block, of a refusal, or of an audio's transcript.
    Text(String),
    /// Text of a reasoning block.
    Reasoning(String),
    /// Input of a tool call.
    ToolInput(String),
    /// A citation of a text block.
    Citation(Box<Citation>),
    /// Bytes of an audio block.
    Audio(Bytes),
}

impl<End> Event<End> {
    /// A delta without log probabilities.
    pub fn delta(index: u32, delta: Delta) -> Self {
        Self::BlockDelta { index, delta, logprobs: Vec::new() }
    }

    /// The bytes of text in it: of answers and tool calls, but neither of reasoning nor of media.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::BlockStarted { block, .. } => block.text_bytes(),
            Self::BlockDelta { delta: Delta::Text(text) | Delta::ToolInput(text), .. } => text.len(),
            _ => 0,
        }
    }

    /// The same event with its end, if it is one, replaced.
    pub fn map_end<Other>(self, end: impl FnOnce(End) -> Other) -> Event<Other> {
        match self {
            Self::Started(started) => Event::Started(started),
            Self::BlockStarted { index, block } => Event::BlockStarted { index, block },
            Self::BlockDelta { index, delta, logprobs } => Event::BlockDelta { index, delta, logprobs },
            Self::BlockFinished { index, state, incomplete } => Event::BlockFinished { index, state, incomplete },
            Self::Usage(usage) => Event::Usage(usage),
            Self::Restarted(restarted) => Event::Restarted(restarted),
            Self::Heartbeat => Event::Heartbeat,
            Self::Completed(finish) => Event::Completed(Box::new(end(*finish))),
        }
    }
}
