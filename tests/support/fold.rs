//! From the events of a stream to the response that `Complete` would have given, as the contract tells clients to do
//! it. Written from the contract alone, so that it does not share a mistake with the server.

use completiond::proto::content_block::Block;
use completiond::proto::media::Source;
use completiond::proto::stream_complete_response::block_delta::Delta;
use completiond::proto::stream_complete_response::{BlockDelta, BlockFinished, BlockStarted, Event};
use completiond::proto::tool_call::Input;
use completiond::proto::{
    CompleteResponse, CompletionOutcome, ContentBlock, Message, Role, StreamCompleteResponse, TokenLogprob,
};

/// Folds a whole stream.
///
/// # Errors
/// What is wrong with the sequence.
pub(crate) fn fold(events: &[StreamCompleteResponse]) -> Result<CompleteResponse, String> {
    let mut folding = Folding::default();
    for (place, event) in events.iter().enumerate() {
        if usize::try_from(event.sequence) != Ok(place) {
            return Err(format!("number {} stands at place {place}", event.sequence));
        }
        folding.push(event.event.clone().ok_or("an event without a kind")?)?;
    }
    folding.finish()
}

#[derive(Default)]
struct Folding {
    started: bool,
    blocks: Vec<ContentBlock>,
    open: Vec<bool>,
    outcome: Option<CompletionOutcome>,
}

impl Folding {
    fn push(&mut self, event: Event) -> Result<(), String> {
        if self.outcome.is_some() {
            return Err("something follows `completed`".into());
        }
        if self.started == matches!(event, Event::Started(_)) {
            return Err("`started` is not the first event, or not the only one".into());
        }
        match event {
            Event::Started(_) => self.started = true,
            Event::BlockStarted(started) => self.start(started)?,
            Event::BlockDelta(delta) => self.grow(delta)?,
            Event::BlockFinished(finished) => self.close(finished)?,
            Event::Restarted(_) => (self.blocks, self.open) = Default::default(),
            Event::Usage(_) | Event::Heartbeat(_) => {}
            Event::Completed(outcome) if self.open.contains(&true) => {
                return Err(format!("a block is open at the end: {outcome:?}"));
            }
            Event::Completed(outcome) => self.outcome = Some(*outcome),
        }
        Ok(())
    }

    fn start(&mut self, started: BlockStarted) -> Result<(), String> {
        if usize::try_from(started.index) != Ok(self.blocks.len()) {
            return Err(format!("block {} begins out of order", started.index));
        }
        self.blocks.push(started.block.ok_or("a block without content")?);
        self.open.push(true);
        Ok(())
    }

    fn block(&mut self, index: i32) -> Result<&mut ContentBlock, String> {
        let place = usize::try_from(index).map_err(|_| "an index below 0")?;
        if self.open.get(place) != Some(&true) {
            return Err(format!("block {index} is not open"));
        }
        Ok(&mut self.blocks[place])
    }

    fn grow(&mut self, grown: BlockDelta) -> Result<(), String> {
        let block = self.block(grown.index)?.block.as_mut().ok_or("a block without a kind")?;
        apply(block, grown.delta.ok_or("a delta without a kind")?, grown.logprobs)
    }

    fn close(&mut self, finished: BlockFinished) -> Result<(), String> {
        let block = self.block(finished.index)?;
        if !finished.provider_state.is_empty() {
            block.provider_state = finished.provider_state;
        }
        if let Some(Block::ToolCall(call)) = &mut block.block {
            call.incomplete = finished.incomplete;
        }
        self.open[usize::try_from(finished.index).map_err(|_| "an index below 0")?] = false;
        Ok(())
    }

    fn finish(self) -> Result<CompleteResponse, String> {
        let outcome = self.outcome.ok_or("there is no `completed`")?;
        let text = self.blocks.iter().filter_map(|block| match &block.block {
            Some(Block::Text(text)) => Some(text.text.as_str()),
            _ => None,
        });
        let text = text.collect();
        let provider_state = outcome.message_state.clone();
        let message = Message { role: Role::Assistant.into(), content: self.blocks, provider_state };
        Ok(CompleteResponse { outcome: Some(Box::new(outcome)), message: Some(message), text })
    }
}

fn apply(block: &mut Block, delta: Delta, logprobs: Vec<TokenLogprob>) -> Result<(), String> {
    match (block, delta) {
        (Block::Text(text), Delta::Text(more)) => {
            text.text.push_str(&more);
            text.logprobs.extend(logprobs);
        }
        (Block::Text(text), Delta::Citation(citation)) => text.citations.push(citation),
        (Block::Refusal(refusal), Delta::Text(more)) => refusal.text.push_str(&more),
        (Block::Reasoning(reasoning), Delta::Reasoning(more)) => reasoning.text.push_str(&more),
        (Block::Audio(audio), Delta::Text(more)) => audio.transcript.push_str(&more),
        (Block::Audio(audio), Delta::Audio(more)) => match audio.media.as_mut().and_then(|media| media.source.as_mut())
        {
            Some(Source::Data(bytes)) => *bytes = [&bytes[..], &more[..]].concat().into(),
            _ => return Err("sound grows where none is".into()),
        },
        (Block::ToolCall(call), Delta::ToolInput(more)) => match &mut call.input {
            Some(Input::ArgumentsJson(text) | Input::Text(text)) => text.push_str(&more),
            None => return Err("the call does not say what its input is".into()),
        },
        (block, delta) => return Err(format!("{delta:?} does not fit {block:?}")),
    }
    Ok(())
}
