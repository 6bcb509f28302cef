//! One caller: its name, and what was laid down for it.

use std::collections::BTreeMap;

use super::Models;
use crate::count::{Count, Held};
use crate::domain::{CallerName, PicoUsd};

/// Who calls, and what it may do.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Its name in the configuration; empty: callers are not told apart.
    pub name: CallerName,
    /// What it may ask for.
    pub models: Models,
    /// What its calls are for, whatever they say themselves.
    pub labels: BTreeMap<String, String>,
    /// Whether it may administer the server.
    pub is_admin: bool,
    /// How much it sees of what was tried for its calls; none: what holds for all.
    pub view: Option<LedgerView>,
    /// How much it may use.
    pub allowance: Allowance,
    /// Its calls that are being served, by this process.
    pub in_flight: Count,
}

impl Caller {
    /// What it takes in memory, as far as it can be told.
    pub(super) fn bytes(&self) -> usize {
        /// A text of a map, beside what is in it.
        const TEXT: usize = size_of::<String>() + 16;
        let labels = self.labels.iter().map(|(key, value)| 2 * TEXT + key.len() + value.len()).sum::<usize>();
        size_of::<Self>() + self.name.as_str().len() + labels + self.models.bytes()
    }

    /// One more of its calls is served; none: as many as may be are.
    pub fn begin(&self) -> Option<Held> {
        let most = self.allowance.in_flight.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        self.in_flight.one_of(most)
    }
}

/// How much a caller may use. None: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens, of prompts and answers, in any minute.
    pub tokens_per_minute: Option<u64>,
    /// What its calls may cost in a day of UTC.
    pub spend_per_day: Option<PicoUsd>,
    /// Calls at a time.
    pub in_flight: Option<u64>,
}

/// How much of the ledger of its calls a caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerView {
    /// All of it.
    Full,
    /// All but the names of the endpoints.
    WithoutEndpoints,
}
