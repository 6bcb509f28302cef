//! The Messages protocol, in both directions.
//!
//! It knows nothing of connections, keys and clocks. A provider's opaque state holds, for a reasoning block, the block
//! without its text; for other blocks, their fields that the domain has no name for.

mod count;
mod decode;
mod encode;
mod fields;
mod limits;
mod refuse;

use std::time::SystemTime;

use http::HeaderMap;

use super::{Counting, Exchange, HttpRefusal, Order, Protocol, Unfit, Verdict};
use crate::domain::{Allowance, Identity};

/// The Messages protocol in one of its versions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anthropic {
    version: Version,
}

/// The value of the header `anthropic-version`. Addresses and answers are the same in all versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Takes all that any model takes; compatible servers speak it.
    #[default]
    V2023,
    /// Takes no sampling parameters and no documents in the model's own turns, whatever the model.
    V2026,
}

impl Version {
    /// The version as the header carries it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2023 => "2023-06-01",
            Self::V2026 => "2026-10-21",
        }
    }
}

impl Anthropic {
    /// The protocol in this version.
    pub const fn new(version: Version) -> Self {
        Self { version }
    }
}

impl Protocol for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn encode(&self, order: &Order<'_>) -> Result<Exchange, Unfit> {
        encode::exchange(self.version, order)
    }

    fn allowance(&self, headers: &HeaderMap, now: SystemTime) -> Allowance {
        limits::allowance(headers, now)
    }

    fn refuse(&self, identity: &Identity, refusal: &HttpRefusal<'_>) -> Verdict {
        refuse::verdict(identity, refusal)
    }

    fn counting(&self, order: &Order<'_>) -> Option<Counting> {
        count::counting(self.version, order)
    }
}
