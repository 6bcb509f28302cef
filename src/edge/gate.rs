//! How the connections of a listener are served, and how many of them there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Drain;
use crate::count::Count;
use crate::tls;

/// How the connections of a listener are served. Clones share what is counted.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Which of a worker's services they are for.
    pub face: usize,
    /// When they are told to go away.
    pub drain: Drain,
    /// The certificate that is shown; none: everything is plain text.
    pub tls: Option<tls::Current>,
    /// The bounds on each.
    pub bounds: ConnectionBounds,
    /// Those that are open.
    pub open: Count,
    /// Those that were not served.
    pub refused: Refusals,
}

/// The bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionBounds {
    /// The most that are open at a time.
    pub max: usize,
    /// How long one may have no stream; none: for ever.
    pub max_idle: Option<Duration>,
    /// How old one becomes, about; none: as old as it likes.
    pub max_age: Option<Duration>,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// Streams on one at a time; clients open another connection beyond that.
    pub max_streams: u32,
    /// The metadata of one call, in bytes.
    pub max_metadata_bytes: u32,
    /// How long a call may take that is no batch.
    pub longest_call: Duration,
}

impl Default for ConnectionBounds {
    fn default() -> Self {
        Self {
            max: 10_000,
            max_idle: Some(Duration::from_secs(15 * 60)),
            max_age: Some(Duration::from_secs(30 * 60)),
            handshake_timeout: Duration::from_secs(10),
            max_streams: 1000,
            max_metadata_bytes: 64 * 1024,
            longest_call: Duration::from_secs(10 * 60),
        }
    }
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are as many as there may be.
    Limit,
    /// Its TLS handshake took too long.
    HandshakeTimeout,
    /// Both ends speak TLS and did not agree: on a version, or on a certificate.
    HandshakeFailed,
    /// TLS is spoken here, and its client did not.
    PlainText,
    /// Its client speaks TLS, and nobody does here.
    Tls,
}

/// How many connections were not served, by the reason. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    limit: AtomicU64,
    handshake_timeout: AtomicU64,
    handshake_failed: AtomicU64,
    plain_text: AtomicU64,
    tls: AtomicU64,
}

impl Refusals {
    pub(super) fn note(&self, refusal: Refusal) {
        let number = match refusal {
            Refusal::Limit => &self.0.limit,
            Refusal::HandshakeTimeout => &self.0.handshake_timeout,
            Refusal::HandshakeFailed => &self.0.handshake_failed,
            Refusal::PlainText => &self.0.plain_text,
            Refusal::Tls => &self.0.tls,
        };
        number.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers, each with its reason in one word.
    pub fn now(&self) -> [(&'static str, u64); 5] {
        let Numbers { limit, handshake_timeout, handshake_failed, plain_text, tls } = &*self.0;
        [
            ("limit", limit),
            ("handshake_timeout", handshake_timeout),
            ("handshake_failed", handshake_failed),
            ("plain_text", plain_text),
            ("tls", tls),
        ]
        .map(|(reason, number)| (reason, number.load(Ordering::Relaxed)))
    }
}
