//! What is asked: the shapes of answers, in the words of both protocols and of the gateway.
//!
//! The upstream reads the shape from the model's name, so that every server in between is asked in the same way.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use completiond::proto::{CompleteRequest, ContentBlock, Message, Role, Text, content_block};
use prost::Message as _;

/// A wire protocol of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// OpenAI Chat Completions.
    Chat,
    /// Anthropic Messages.
    Messages,
}

impl Wire {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Chat, Self::Messages];

    /// As it stands in figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "openai",
            Self::Messages => "anthropic",
        }
    }

    /// Where completions are asked for.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }
}

/// How the upstream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Pieces of text in a stream.
    pub(crate) events: usize,
    /// How long after one piece the next one follows; zero: all at once.
    pub(crate) pace: Duration,
    /// How long it takes to begin.
    pub(crate) delay: Duration,
}

impl Shape {
    /// All of `events` at once.
    pub(crate) const fn burst(events: usize) -> Self {
        Self { events, pace: Duration::ZERO, delay: Duration::ZERO }
    }

    /// One piece after the other.
    pub(crate) const fn paced(events: usize, pace: Duration) -> Self {
        Self { events, pace, delay: Duration::ZERO }
    }

    /// What a model's name says; none: nothing.
    pub(crate) fn of_model(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix("bench-")?.split('-').map(str::parse::<u32>);
        let mut number = || numbers.next()?.ok();
        let (events, pace, delay) = (number()?, number()?, number()?);
        let millis = |number: u32| Duration::from_millis(u64::from(number));
        Some(Self { events: usize::try_from(events).ok()?, pace: millis(pace), delay: millis(delay) })
    }
}

impl fmt::Display for Shape {
    /// The model's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bench-{}-{}-{}", self.events, self.pace.as_millis(), self.delay.as_millis())
    }
}

/// A call whose answer comes whole.
pub(crate) const CALL: Shape = Shape::burst(32);
/// A long stream that comes as fast as it is taken.
pub(crate) const LONG: Shape = Shape::burst(1000);
/// A stream whose pieces come alone.
pub(crate) const PACED: Shape = Shape::paced(200, Duration::from_millis(5));
/// A short stream.
pub(crate) const SHORT: Shape = Shape::burst(20);
/// A stream that begins and then says nothing.
pub(crate) const SILENT: Shape = Shape::paced(2, Duration::from_secs(600));
/// All that a configuration must know.
pub(crate) const ALL: [Shape; 5] = [CALL, LONG, PACED, SHORT, SILENT];

/// The letters of a prompt that are another in each request where each shall be another.
pub(crate) const SERIAL: &str = "0000000000000000";

const SYSTEM: &str = "You answer in one paragraph, calmly, with what is known and what is not.";
const QUESTION: &str = "Why is the sky blue in the day and red when the sun sets? Say what light is made of, \
    what the air does to it, why that depends on the colour, and why the way through the air matters. ";

/// The prompt, with room for a number.
fn question() -> String {
    format!("{}{SERIAL}", QUESTION.repeat(5))
}

/// The request as the gateway's callers write it.
pub(crate) fn to_gateway(wire: Wire, shape: Shape) -> Bytes {
    let text = Text { text: question(), ..Text::default() };
    let block = ContentBlock { block: Some(content_block::Block::Text(text)), ..ContentBlock::default() };
    let message = Message { role: Role::User.into(), content: vec![block], ..Message::default() };
    let request = CompleteRequest {
        model: format!("{}-{shape}", wire.name()),
        system: SYSTEM.to_owned(),
        messages: vec![message],
        // Short enough to be asked for in one piece, as the reference asks.
        max_tokens: Some(1024),
        // What the cache may answer.
        temperature: Some(0.0),
        ..CompleteRequest::default()
    };
    Bytes::from(request.encode_to_vec())
}

/// The same request as the upstream takes it.
pub(crate) fn to_upstream(wire: Wire, shape: Shape, delivery: Delivery) -> Bytes {
    let (question, model) = (question(), shape.to_string());
    let stream = delivery == Delivery::Stream;
    let body = match wire {
        Wire::Chat => serde_json::json!({
            "model": model, "stream": stream, "max_tokens": 1024, "temperature": 0.0,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
        }),
        Wire::Messages => serde_json::json!({
            "model": model, "stream": stream, "max_tokens": 1024, "temperature": 0.0, "system": SYSTEM,
            "messages": [{"role": "user", "content": question}],
        }),
    };
    Bytes::from(body.to_string())
}

/// Whether an answer comes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In one piece.
    Whole,
    /// Event by event.
    Stream,
}
