//! What surrounds the blocks of an answer: who answers, why it ended, and what else the provider reports.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::Open;
use super::message::Message;
use super::tally::Tally;
use super::unreadable;
use crate::domain::{
    Error, Finish, FinishReason, Identity, ModelId, ProviderState, Reason, RefusalDetail, Terms, Usage,
};

/// What is known about an answer beside its blocks.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    model: Option<String>,
    tally: Tally,
    /// Whether the end of a stream has come without the number of its tokens; none: it has not come.
    is_open: Option<bool>,
    stop: Stop,
    metadata: BTreeMap<String, String>,
}

/// How an answer ended: an end, or a failure that calls itself one.
pub(super) enum Ending {
    Finish(Box<Finish>),
    Failure(Box<Error>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stop {
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    stop_details: Option<StopDetails>,
    container: Option<Box<RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StopDetails {
    category: Option<String>,
    explanation: Option<String>,
}

/// What `message_delta` carries.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Update {
    delta: Option<Stop>,
    usage: Option<Box<RawValue>>,
    context_management: Option<Box<RawValue>>,
    input_transformations: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Container {
    id: String,
}

impl Envelope {
    /// What surrounds the blocks of a message that begins, or came whole.
    pub(super) fn open(message: Message<'_>) -> Self {
        let mut envelope = Self {
            model: message.model.map(|model| model.chars().take(256).collect()),
            tally: Tally::read(message.usage).unwrap_or_default(),
            ..Self::default()
        };
        if let Some(id) = message.id {
            envelope.metadata.insert("message_id".to_owned(), id.into_owned());
        }
        envelope.report("diagnostics", message.diagnostics.map(ToOwned::to_owned));
        envelope.report("context_management", message.context_management.map(ToOwned::to_owned));
        envelope.stop(Stop {
            stop_reason: message.stop_reason,
            stop_sequence: message.stop_sequence,
            stop_details: message.stop_details,
            container: message.container.map(ToOwned::to_owned),
        });
        envelope
    }

    /// Reads a `message_delta`: it replaces what it says, and leaves the rest.
    pub(super) fn update(&mut self, event: &[u8]) -> Result<(), Error> {
        let update: Update = serde_json::from_slice(event).map_err(|error| unreadable("an event", &error))?;
        self.stop(update.delta.unwrap_or_default());
        let newer = Tally::read(update.usage.as_deref()).unwrap_or_default();
        // The beginning of a stream tells a first token or so: without a later number nobody knows the whole.
        self.is_open = Some(!newer.tells_output() && self.is_open.unwrap_or(true));
        self.tally.overlay(newer);
        self.report("context_management", update.context_management);
        self.report("input_transformations", update.input_transformations);
        Ok(())
    }

    /// A block that began: a fallback names the model that answers from there on.
    pub(super) fn see(&mut self, block: &Open) {
        if let Some(model) = block.answering_model() {
            self.model = Some(model.chars().take(256).collect());
        }
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(super) fn usage(&self) -> Usage {
        self.tally.usage(self.model())
    }

    /// The terms on which the answer is served.
    pub(super) fn terms(&self) -> Terms {
        self.tally.terms()
    }

    /// Whether the provider has said why the answer ended.
    pub(super) fn is_ended(&self) -> bool {
        self.stop.stop_reason.is_some()
    }

    /// The end of the answer.
    pub(super) fn ending(&self, identity: &Identity) -> Ending {
        let raw = self.stop.stop_reason.as_deref().unwrap_or_default();
        let Some(reason) = finish_reason(raw) else {
            let error = Error::new(Reason::ProviderUnavailable, "the provider ended its answer with a failure");
            return Ending::Failure(Box::new(error));
        };
        let mut finish = self.finish(reason, raw);
        finish.refusal =
            self.stop.stop_details.as_ref().filter(|_| reason == FinishReason::Refusal).map(|details| RefusalDetail {
                category: details.category.clone().unwrap_or_default(),
                explanation: details.explanation.clone().unwrap_or_default(),
            });
        if reason == FinishReason::Pause {
            finish.message_state = self.pause(identity);
        }
        Ending::Finish(Box::new(finish))
    }

    /// An end for this reason, with all that is reported whatever the reason.
    pub(super) fn finish(&self, reason: FinishReason, raw: &str) -> Finish {
        let mut finish = Finish::new(reason, raw);
        finish.stop_sequence = self.stop.stop_sequence.clone().unwrap_or_default();
        finish.usage = if self.is_open == Some(true) { self.usage().cut_short() } else { self.usage() };
        finish.model = self.model.as_deref().map(ModelId::new);
        finish.service_tier = self.tally.service_tier.clone().unwrap_or_default();
        finish.metadata = self.metadata.clone();
        for (name, value) in [("speed", &self.tally.speed), ("inference_geo", &self.tally.inference_geo)] {
            if let Some(value) = value {
                finish.metadata.insert(name.to_owned(), value.clone());
            }
        }
        finish
    }

    /// What a paused turn needs to go on: that it was paused, and where its tools ran.
    fn pause(&self, identity: &Identity) -> Option<ProviderState> {
        let container = self.stop.container.as_ref();
        let container = container.and_then(|raw| serde_json::from_str::<Container>(raw.get()).ok());
        let mut payload = BTreeMap::from([("stop_reason", "pause_turn")]);
        if let Some(Container { id }) = &container {
            payload.insert("container", id);
        }
        Some(ProviderState::new(identity, serde_json::value::to_raw_value(&payload).ok()?))
    }

    fn stop(&mut self, newer: Stop) {
        let old = std::mem::take(&mut self.stop);
        self.report("container", newer.container.clone());
        self.stop = Stop {
            stop_reason: newer.stop_reason.or(old.stop_reason),
            stop_sequence: newer.stop_sequence.or(old.stop_sequence),
            stop_details: newer.stop_details.or(old.stop_details),
            container: newer.container.or(old.container),
        };
    }

    fn report(&mut self, name: &str, value: Option<Box<RawValue>>) {
        if let Some(value) = value.filter(|value| value.get() != "null") {
            self.metadata.insert(name.to_owned(), value.get().to_owned());
        }
    }
}

/// What a reason means; none: it reports a failure.
fn finish_reason(raw: &str) -> Option<FinishReason> {
    Some(match raw {
        "end_turn" => FinishReason::Stop,
        "stop_sequence" => FinishReason::StopSequence,
        "tool_use" => FinishReason::ToolCalls,
        "max_tokens" => FinishReason::MaxTokens,
        "model_context_window_exceeded" => FinishReason::ContextWindow,
        "refusal" => FinishReason::Refusal,
        // Both want the message back, unchanged, to go on.
        "pause_turn" | "compaction" => FinishReason::Pause,
        "error" | "abort" | "insufficient_system_resource" => return None,
        malformed if malformed.starts_with("malformed_") => return None,
        _ => FinishReason::Other,
    })
}
