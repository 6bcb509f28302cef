//! OpenAI's Chat Completions, in the dialect of whoever speaks it.
//!
//! A vendor that departs from the original does so by a [`Dialect`], never by a branch on its name: nothing here knows
//! which vendors there are. Nothing here knows the network or the clock either.

mod decode;
mod dialect;
mod encode;
mod envelope;
mod kept;
mod limits;
mod refuse;

pub use dialect::{
    CacheMark, Dialect, MaxTokens, Passback, Prefill, ReasoningAsk, ReasoningText, SchemaAsk, Seed, ToolIds, UserField,
};

use std::time::SystemTime;

use http::HeaderMap;

use super::{Exchange, HttpRefusal, Order, Protocol, Unfit, Verdict};
use crate::domain::{Allowance, Envelope, Identity, Request};

/// The protocol in one dialect.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi {
    dialect: Dialect,
}

impl OpenAi {
    /// The protocol as `dialect` speaks it.
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect }
    }
}

impl Protocol for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn encode(&self, order: &Order<'_>) -> Result<Exchange, Unfit> {
        encode::encode(&self.dialect, order)
    }

    fn allowance(&self, headers: &HeaderMap, now: SystemTime) -> Allowance {
        limits::allowance(headers, now)
    }

    fn refuse(&self, identity: &Identity, refusal: &HttpRefusal<'_>) -> Verdict {
        refuse::verdict(identity, refusal)
    }

    fn envelope(&self, request: &Request) -> Option<Envelope> {
        Some(envelope::envelope(request))
    }
}
