//! `connections`: how many there may be, how long each lasts, and what one may hold.

use std::time::Duration;

use super::problem::Wrong;
use super::quantity::{duration, show_size, size, some_duration};
use super::reader::{Fields, count};

/// The least metadata that a call must be able to have, and the most that it may, in bytes.
const METADATA: std::ops::RangeInclusive<u64> = 4 * 1024..=1024 * 1024;

/// The bounds on connections, for each listener by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// The most that a listener has open at a time. Default: 10,000.
    pub max: u32,
    /// How long one may have no stream; none: for ever. Default: 15 minutes.
    pub max_idle: Option<Duration>,
    /// How old one becomes, up to 10 % more or less; none: as old as it likes. Default: 30 minutes.
    pub max_age: Option<Duration>,
    /// How long a TLS handshake may take. Default: 10 s.
    pub handshake_timeout: Duration,
    /// The streams on one at a time. Default: 1000.
    pub max_streams: u32,
    /// The metadata of one call, in bytes. Default: 64 KiB.
    pub max_metadata_bytes: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 10_000,
            max_idle: Some(Duration::from_secs(15 * 60)),
            max_age: Some(Duration::from_secs(30 * 60)),
            handshake_timeout: Duration::from_secs(10),
            max_streams: 1000,
            max_metadata_bytes: 64 * 1024,
        }
    }
}

impl Connections {
    pub(super) fn read(file: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let Some(value) = file.take("connections") else { return default };
        let mut fields = value.fields();
        let connections = Self {
            max: fields.read("max", default.max, count),
            max_idle: fields.read("max_idle", default.max_idle, or_never),
            max_age: fields.read("max_age", default.max_age, or_never),
            handshake_timeout: fields.read("handshake_timeout", default.handshake_timeout, some_duration),
            max_streams: fields.read("max_streams", default.max_streams, count),
            max_metadata_bytes: fields.read("max_metadata_bytes", default.max_metadata_bytes, metadata),
        };
        fields.finish(&[]);
        connections
    }
}

fn or_never(text: &str) -> Result<Option<Duration>, Wrong> {
    duration(text).map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
}

fn metadata(text: &str) -> Result<u32, Wrong> {
    let bytes = size(text)?;
    let rule = || format!("must be from {} to {}", show_size(*METADATA.start()), show_size(*METADATA.end()));
    let bytes = Some(bytes).filter(|bytes| METADATA.contains(bytes)).and_then(|bytes| u32::try_from(bytes).ok());
    bytes.ok_or_else(|| Wrong::new(rule(), ""))
}
