//! The events of a stream, as they go out.

use super::answer::outcome;
use super::block::{block, citation, logprobs};
use super::reuse::cache_status;
use super::usage::usage;
use crate::callers::LedgerView;
use crate::domain::{CallId, Delta, Event, Origin};
use crate::proto;
use crate::proto::stream_complete_response::block_delta::Delta as ProtoDelta;
use crate::proto::stream_complete_response::{
    BlockDelta, BlockFinished, BlockStarted, Event as ProtoEvent, Heartbeat, Restarted, Started,
};

/// An event of the call `call`, the `sequence`th of its stream from 0.
pub(crate) fn event(call: &CallId, event: Event, sequence: i64, view: LedgerView) -> proto::StreamCompleteResponse {
    let event = match event {
        Event::Started(started) => ProtoEvent::Started(Started {
            id: known_as(call, started.origin).to_string(),
            provider: started.provider.to_string(),
            model: started.model.to_string(),
            cache_status: cache_status(started.origin).into(),
        }),
        Event::BlockStarted { index, block: begun } => {
            ProtoEvent::BlockStarted(BlockStarted { index: place(index), block: Some(block(*begun)) })
        }
        Event::BlockDelta { index, delta: grown, logprobs: of_delta } => ProtoEvent::BlockDelta(BlockDelta {
            index: place(index),
            delta: Some(delta(grown)),
            logprobs: logprobs(of_delta),
        }),
        Event::BlockFinished { index, state, incomplete } => ProtoEvent::BlockFinished(BlockFinished {
            index: place(index),
            provider_state: state.map(|state| state.to_bytes()).unwrap_or_default(),
            incomplete,
        }),
        Event::Usage(used) => ProtoEvent::Usage(usage(used)),
        Event::Restarted(restarted) => ProtoEvent::Restarted(Restarted {
            provider: restarted.by.provider.to_string(),
            model: restarted.by.model.to_string(),
            attempt: place(restarted.attempt),
        }),
        Event::Heartbeat => ProtoEvent::Heartbeat(Heartbeat {}),
        Event::Completed(end) => ProtoEvent::Completed(Box::new(outcome(*end, view))),
    };
    proto::StreamCompleteResponse { sequence, event: Some(event) }
}

/// What the caller knows the call as: a replayed answer keeps the id of the call that it was made for.
fn known_as(call: &CallId, origin: Origin) -> CallId {
    match origin {
        Origin::Replayed(first) => first,
        _ => *call,
    }
}

/// A count on the wire; none comes near the end of the range.
fn place(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn delta(delta: Delta) -> ProtoDelta {
    match delta {
        Delta::Text(text) => ProtoDelta::Text(text),
        Delta::Reasoning(text) => ProtoDelta::Reasoning(text),
        Delta::ToolInput(text) => ProtoDelta::ToolInput(text),
        Delta::Citation(cited) => ProtoDelta::Citation(citation(*cited)),
        Delta::Audio(bytes) => ProtoDelta::Audio(bytes),
    }
}
