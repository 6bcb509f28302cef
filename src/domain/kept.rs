//! A whole answer as it is kept, without what belongs to the one call that it was made for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Answer, Block, BlockKind, CallId, Cost, Event, Finish, Message, ModelId, Origin, Outcome, PicoUsd, ProviderId,
    Saved, Started, TokenLogprob, Tokens,
};

/// A whole answer that other calls can be given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptAnswer {
    message: Message,
    model: ModelId,
    provider: ProviderId,
    finish: Finish,
    cost: Option<Cost>,
    ignored_parameters: Vec<String>,
    max_tokens: Tokens,
    prompt_cache_ttl: Option<Duration>,
    simulated: bool,
}

impl KeptAnswer {
    /// What of `answer` is the same for every call.
    pub fn of(answer: &Answer) -> Self {
        let Answer { message, end } = answer;
        Self {
            message: message.clone(),
            model: end.model.clone(),
            provider: end.provider.clone(),
            finish: end.finish.clone(),
            cost: end.cost.clone(),
            ignored_parameters: end.ignored_parameters.clone(),
            max_tokens: end.max_tokens,
            prompt_cache_ttl: end.prompt_cache_ttl,
            simulated: end.simulated,
        }
    }

    /// What it takes in memory, in bytes: about. What is small when it is written need not be small here.
    pub fn bytes(&self) -> usize {
        let text = postcard::experimental::serialized_size(self).unwrap_or(usize::MAX);
        text.saturating_add(size_of::<Self>()).saturating_add(around(&self.message.content))
    }

    /// What it would have cost again; none: no price was known.
    pub fn cost(&self) -> Option<&Cost> {
        self.cost.as_ref()
    }

    /// The same answer for the call `id`, which it costs nothing.
    pub fn events(self, id: CallId, origin: Origin) -> Vec<Event> {
        let started = Started { provider: self.provider.clone(), model: self.model.clone(), origin };
        self.answer(id, origin).into_events(started)
    }

    /// The same as a whole.
    pub fn answer(self, id: CallId, origin: Origin) -> Answer {
        let outcome = Outcome {
            id,
            model: self.model,
            provider: self.provider,
            finish: self.finish,
            cost: self.cost,
            attempts: Vec::new(),
            ignored_parameters: self.ignored_parameters,
            max_tokens: self.max_tokens,
            prompt_cache_ttl: self.prompt_cache_ttl,
            simulated: self.simulated,
            origin,
            saved: None,
        };
        Answer { message: self.message, end: outcome.spared(id, origin) }
    }
}

/// What blocks take beside their texts, in bytes.
fn around(content: &[Block]) -> usize {
    let within = |block: &Block| match &block.kind {
        BlockKind::Text(text) => {
            let logprobs = text.logprobs.iter().map(TokenLogprob::footprint).sum::<usize>();
            logprobs + size_of_val(text.citations.as_slice())
        }
        BlockKind::ToolResult(result) => around(&result.content),
        _ => 0,
    };
    size_of_val(content) + content.iter().map(within).sum::<usize>()
}

impl Outcome {
    /// The outcome of the call `id`, whose answer was there already.
    #[must_use]
    pub fn spared(mut self, id: CallId, origin: Origin) -> Self {
        let nothing = self.cost.as_ref().map(|cost| Cost { amount: PicoUsd::default(), ..cost.clone() });
        let cost = std::mem::replace(&mut self.cost, nothing);
        self.saved = Some(Saved { usage: self.finish.usage.clone(), cost });
        self.attempts.clear();
        self.id = id;
        self.origin = origin;
        self
    }
}
