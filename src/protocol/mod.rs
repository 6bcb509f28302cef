//! Wire protocols: pure functions between the domain and the bytes of a provider.
//!
//! A protocol is code and lives in a folder of its own; a vendor is data and lives in a row of [`vendor`]. Nothing here
//! does I/O, reads a clock or rolls a die. A request becomes an [`Exchange`]; the frames that come back go through its
//! [`Decoder`].

mod allowance;
mod anthropic;
mod few;
mod hints;
mod json;
mod left_out;
pub mod openai;
mod options;
mod place;
mod prompt_cache;
pub mod vendor;
mod wait;

pub use anthropic::{Anthropic, Version as AnthropicVersion};
pub use options::OWNED_KEYS;

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};

use crate::domain::{
    Allowance, Decoded, Envelope, Error, Finish, Identity, ModelFacts, PromptCache, Request, Terms, Tokens, Usage,
};

/// The most that a decoder holds of one block that is not finished, in bytes.
const MAX_BLOCK_BYTES: usize = 16 * 1024 * 1024;

/// One protocol in one vendor's dialect.
pub trait Protocol: Send + Sync + std::fmt::Debug {
    /// The protocol's name in the configuration.
    fn name(&self) -> &'static str;

    /// Turns a request into what is sent.
    ///
    /// # Errors
    /// [`Unfit`] when this endpoint cannot take the request; another one may.
    fn encode(&self, order: &Order<'_>) -> Result<Exchange, Unfit>;

    /// What the headers of any answer say about the account's rate limits; `now` for those that name a time.
    /// What cannot be read is as good as not said, and no reset is further away than a day.
    fn allowance(&self, headers: &HeaderMap, now: std::time::SystemTime) -> Allowance;

    /// Reads an HTTP answer that is not 2xx: most often a failure, but a filtered prompt is an answer.
    fn refuse(&self, identity: &Identity, refusal: &HttpRefusal<'_>) -> Verdict;

    /// What stands around the text of a prompt; none: nothing is published on it.
    fn envelope(&self, _request: &Request) -> Option<Envelope> {
        None
    }

    /// How the provider itself is asked for the tokens of a prompt; none: it cannot be asked, or not for this one.
    fn counting(&self, _order: &Order<'_>) -> Option<Counting> {
        None
    }
}

/// A request and the endpoint that shall get it.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What is asked.
    pub request: &'a Request,
    /// Who is asked.
    pub identity: &'a Identity,
    /// What is known about the model; none: nothing is.
    pub facts: Option<&'a ModelFacts>,
    /// Whether the answer shall come as it is made or whole.
    pub delivery: Delivery,
    /// The bound on the answer: always sent.
    pub max_tokens: Tokens,
    /// What is wanted of the provider's cache of prompts, by the request and the configuration together.
    pub prompt_cache: PromptCache,
}

/// How the upstream shall deliver its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As it is made.
    Stream,
    /// Whole, in one body.
    Whole,
}

/// What is sent, and what reads the answer.
#[derive(Debug)]
pub struct Exchange {
    /// The path and query behind the provider's base address, with a leading slash.
    pub path: Cow<'static, str>,
    /// The protocol's own headers; credentials are added elsewhere.
    pub headers: HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
    /// How the answer is asked for.
    pub delivery: Delivery,
    /// Reads the answer.
    pub decoder: Box<dyn Decoder>,
    /// Fields of the request that were left out, as paths.
    pub ignored: Vec<String>,
    /// How long the provider is asked to keep the prompt, the longest of several; none: it is not asked.
    pub prompt_cache_ttl: Option<std::time::Duration>,
}

/// A question for the tokens of a prompt, and what reads the answer.
#[derive(Clone, Debug)]
pub struct Counting {
    /// The path behind the provider's base address, with a leading slash.
    pub path: &'static str,
    /// The protocol's own headers; credentials are added elsewhere.
    pub headers: HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
    /// Reads the body of a success; none: it says nothing about tokens.
    pub read: fn(&[u8]) -> Option<Tokens>,
}

/// Why an endpoint cannot take a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It does not know these parameters (paths), and the caller wants none of them left out.
    Parameters(Vec<String>),
    /// It cannot do what this field (a path) asks for.
    Capability {
        /// The field.
        field: String,
        /// What is missing, as in "cannot take images by address".
        lacks: &'static str,
    },
}

/// Reads one answer, frame by frame.
pub trait Decoder: Send + std::fmt::Debug {
    /// Reads one frame of a streamed answer and appends what it says. Events come out in a valid sequence; the
    /// decoder closes blocks that a provider leaves open.
    ///
    /// # Errors
    /// An error that the frame itself reports, or a frame that cannot be understood. The answer is over then.
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Decoded>) -> Result<Signal, Error>;

    /// Reads an answer that came whole.
    ///
    /// # Errors
    /// An error in the body, or a body that cannot be understood.
    fn whole(&mut self, body: &[u8], events: &mut Vec<Decoded>) -> Result<(), Error>;

    /// The bytes ended. Appends the end of the answer where the protocol allows it to come only now.
    ///
    /// # Errors
    /// [`Error::cut_short`] when the protocol's end mark is missing.
    fn end(&mut self, events: &mut Vec<Decoded>) -> Result<(), Error>;

    /// What was used as far as the provider has told, for answers that do not come to their end.
    fn usage(&self) -> Usage;

    /// The terms on which the answer is served, as far as the provider has told.
    fn terms(&self) -> Terms {
        Terms::default()
    }
}

/// What a frame means for the timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The model is at work, whether or not the frame led to an event.
    Progress,
    /// A block has begun that is held back until it is whole: who waits for the answer to begin need not wait longer.
    Begun,
    /// The connection is alive, and nothing else.
    KeepAlive,
    /// The answer is over; what follows is not read.
    End,
}

/// One frame of a stream, as the transport cut it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The frame's event name; empty: none.
    pub event: &'a str,
    /// Its data.
    pub data: &'a [u8],
}

/// An HTTP answer that is not 2xx.
#[derive(Clone, Copy, Debug)]
pub struct HttpRefusal<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The beginning of its body.
    pub body: &'a [u8],
    /// The time at which it came, for headers that name one.
    pub now: std::time::SystemTime,
}

/// What an HTTP answer that is not 2xx means.
#[derive(Debug)]
pub enum Verdict {
    /// The call failed.
    Failure(Error),
    /// The provider filtered the prompt: an answer without content.
    Answer(Box<Finish>),
}
