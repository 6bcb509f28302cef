//! What one scrape says, by what it means: sums since the start of the server, and how it stands. It knows no text, no clock
//! and no drawing.

use std::collections::BTreeMap;

use super::histogram::Histogram;

/// A server, as one scrape shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Snapshot {
    pub(super) process: Process,
    /// Calls that are being served, and the bytes of their requests.
    pub(super) calls_in_flight: Option<f64>,
    pub(super) request_bytes: Option<f64>,
    /// Calls that were not let in, by reason.
    pub(super) refused: BTreeMap<String, f64>,
    /// By the name of the RPC.
    pub(super) methods: BTreeMap<String, Method>,
    /// By the name that was asked for; empty: none was.
    pub(super) models: BTreeMap<String, Model>,
    /// By `provider/model`.
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    pub(super) cost: Cost,
    pub(super) cache: Cache,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) version: Option<String>,
    /// Seconds since 1970.
    pub(super) started: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    /// Seconds of work, by worker.
    pub(super) busy: BTreeMap<String, f64>,
    pub(super) tasks: Option<f64>,
    /// Records that are in no metric.
    pub(super) lost: f64,
}

/// One of the server's RPCs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Method {
    /// Calls that have ended, by status.
    pub(super) statuses: BTreeMap<String, f64>,
    /// Those that failed by a fault of the server or a provider.
    pub(super) faults: f64,
    pub(super) duration: Histogram,
    /// What the gateway itself added.
    pub(super) overhead: Histogram,
}

/// Completions for which a provider was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) ended: f64,
    pub(super) failed: f64,
    pub(super) cancelled: f64,
    pub(super) duration: Histogram,
    pub(super) first_chunk: Histogram,
    pub(super) input_tokens: f64,
    pub(super) output_tokens: f64,
    pub(super) usd: f64,
}

/// An endpoint of the pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Endpoint {
    pub(super) finished: f64,
    pub(super) failed: f64,
    pub(super) dropped: f64,
    pub(super) retries: f64,
    pub(super) failovers: f64,
    pub(super) hedges: f64,
    pub(super) usd: f64,
    pub(super) in_flight: Option<f64>,
    pub(super) breaker: Option<Breaker>,
    pub(super) requests_left: Option<f64>,
    pub(super) tokens_left: Option<f64>,
}

/// Whether calls go to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Breaker {
    /// They do.
    Closed,
    /// One at a time does.
    HalfOpen,
    /// They go elsewhere.
    Open,
}

/// What calls cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// US dollars, estimated ones included.
    pub(super) usd: f64,
    pub(super) estimated_usd: f64,
    /// Attempts whose price is not known: they are in no cost.
    pub(super) unpriced: f64,
}

/// What answered calls, and what that has spared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cache {
    pub(super) hits: f64,
    pub(super) coalesced: f64,
    pub(super) replayed: f64,
    pub(super) misses: f64,
    pub(super) bypassed: f64,
    pub(super) saved_usd: f64,
    pub(super) saved_tokens: f64,
}
