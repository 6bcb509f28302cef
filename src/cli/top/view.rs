//! What is shown of a server: figures of the window between two scrapes, and sums since its start. As it stands here it is
//! also what `--json` prints: docs/top.md has every field with its unit. It knows neither metrics nor drawing.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::histogram::Percentiles;
use super::snapshot::Breaker;

/// A server in one window of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct View {
    /// Seconds between the two scrapes; none: there was one only, and what needs two is not known.
    pub(super) window_seconds: Option<f64>,
    /// Whether the server began anew in the window, or another one answered.
    pub(super) continuity: Continuity,
    pub(super) version: Option<String>,
    /// When the server started, in seconds since 1970.
    pub(super) start_time_seconds: Option<f64>,
    pub(super) calls: Calls,
    pub(super) time_to_first_chunk_seconds: Percentiles,
    pub(super) tokens: Tokens,
    pub(super) cost: Costs,
    pub(super) cache: CacheUse,
    pub(super) gateway_overhead_seconds: Percentiles,
    pub(super) process: ProcessUse,
    pub(super) models: Vec<ModelRow>,
    pub(super) endpoints: Vec<EndpointRow>,
    pub(super) methods: Vec<MethodRow>,
}

/// Whether two scrapes are of the same process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Continuity {
    /// They are.
    #[default]
    Same,
    /// It was restarted between them.
    Restarted,
    /// The later one is of a process that is older: several stand behind the address.
    AnotherServer,
}

/// Something that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Count {
    /// Since the start of the server.
    #[serde(serialize_with = "number")]
    pub(super) total: f64,
    /// In the window; none: there is no window yet.
    #[serde(serialize_with = "known")]
    pub(super) recent: Option<f64>,
    /// `recent`, by the length of the window.
    pub(super) per_second: Option<f64>,
}

/// RPCs of the completion service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Calls {
    pub(super) ended: Count,
    /// Those whose status is neither OK nor CANCELLED.
    pub(super) failed: Count,
    /// Of them: by a fault of the server or of a provider.
    pub(super) faults: Count,
    pub(super) cancelled: Count,
    pub(super) refused: Count,
    /// Of the calls that ended in the window.
    pub(super) failed_share: Option<f64>,
    /// Calls that ended in the window, by status.
    #[serde(serialize_with = "numbers")]
    pub(super) statuses: BTreeMap<String, f64>,
    pub(super) duration_seconds: Percentiles,
    #[serde(serialize_with = "known")]
    pub(super) in_flight: Option<f64>,
    #[serde(serialize_with = "known")]
    pub(super) request_bytes_in_flight: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Tokens {
    pub(super) input: Count,
    pub(super) output: Count,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Costs {
    pub(super) usd: Count,
    pub(super) usd_per_minute: Option<f64>,
    pub(super) usd_per_hour: Option<f64>,
    /// Of the total: estimated.
    pub(super) estimated_usd_total: f64,
    /// Attempts that are in no cost, since their price is not known.
    pub(super) unpriced_attempts: Count,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct CacheUse {
    /// Of the calls for which it was asked, those that had not to be made; in the window.
    pub(super) hit_share: Option<f64>,
    pub(super) hits: Count,
    pub(super) coalesced: Count,
    pub(super) replayed: Count,
    pub(super) misses: Count,
    pub(super) bypassed: Count,
    pub(super) saved_usd: Count,
    pub(super) saved_usd_per_hour: Option<f64>,
    pub(super) saved_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct ProcessUse {
    #[serde(serialize_with = "known")]
    pub(super) resident_memory_bytes: Option<f64>,
    pub(super) workers: usize,
    /// How much of the window the workers were at work, from 0 to 1: on average, and the busiest one.
    pub(super) busy_share: Option<f64>,
    pub(super) busiest_worker_share: Option<f64>,
    #[serde(serialize_with = "known")]
    pub(super) tasks: Option<f64>,
    pub(super) lost_records: Count,
}

/// Completions by the name that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct ModelRow {
    /// Empty: none was named.
    pub(super) model: String,
    pub(super) completions: Count,
    pub(super) failed: Count,
    pub(super) cancelled: Count,
    pub(super) failed_share: Option<f64>,
    pub(super) duration_seconds: Percentiles,
    pub(super) time_to_first_chunk_seconds: Percentiles,
    pub(super) input_tokens: Count,
    pub(super) output_tokens: Count,
    pub(super) cost_usd: Count,
}

/// Attempts by endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct EndpointRow {
    /// `provider/model`.
    pub(super) endpoint: String,
    pub(super) attempts: Count,
    pub(super) failed: Count,
    pub(super) dropped: Count,
    pub(super) failed_share: Option<f64>,
    pub(super) retries: Count,
    pub(super) failovers: Count,
    pub(super) hedges: Count,
    #[serde(serialize_with = "known")]
    pub(super) in_flight: Option<f64>,
    pub(super) breaker: Option<Breaker>,
    #[serde(serialize_with = "known")]
    pub(super) requests_left: Option<f64>,
    #[serde(serialize_with = "known")]
    pub(super) tokens_left: Option<f64>,
    pub(super) cost_usd: Count,
}

/// Calls by RPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct MethodRow {
    pub(super) method: String,
    pub(super) calls: Count,
    pub(super) failed: Count,
    pub(super) cancelled: Count,
    pub(super) failed_share: Option<f64>,
    pub(super) duration_seconds: Percentiles,
    pub(super) gateway_overhead_seconds: Percentiles,
}

/// What is counted in whole numbers is written as one.
fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Plain(*value).serialize(serializer)
}

fn known<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Plain).serialize(serializer)
}

fn numbers<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(name, value)| (name, Plain(*value))))
}

struct Plain(f64);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = (self.0.fract() == 0.0).then(|| format!("{:.0}", self.0).parse::<i64>().ok()).flatten();
        match whole {
            Some(whole) => serializer.serialize_i64(whole),
            None => serializer.serialize_f64(self.0),
        }
    }
}
