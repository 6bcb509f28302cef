//! An upstream inside the process, for those who have neither a key nor a network: it takes the bytes of a request in
//! either wire format and answers with the bytes that a provider would send.
//!
//! It stands behind the same transport trait as the real ones, so that a simulated call goes through the same encoder
//! and decoder as a paid one. Its answers depend on nothing but the request, say that they are simulated, and play
//! shapes and failures on request: docs/simulator.md has the language. Nothing here knows the domain or a provider.

mod advice;
mod answer;
mod ask;
mod body;
mod chat_wire;
mod clock;
mod directive;
mod door;
mod failure;
mod gauge;
mod messages_wire;
mod play;
mod prompt_cache;
mod schema;
mod server;
mod socket;
mod stage;
mod text;
mod wire;

pub use directive::names as directive_names;
pub use gauge::Counts;
pub use server::{Received, Upstream, serve};

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use tokio::sync::watch;

use crate::transport::{Outgoing, Sending, Transport};
use clock::Clock;
use gauge::Gauge;
use prompt_cache::PromptCache;
use stage::Stage;

/// The id of the one model that answers.
pub const MODEL: &str = answer::MODEL;

/// How fast answers come, where the request does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// From the request to the first event. Default: at once.
    pub first_event: Duration,
    /// Between two tokens. Default: none.
    pub token: Duration,
}

impl Pace {
    /// At once, for tests and load.
    pub const INSTANT: Self = Self { first_event: Duration::ZERO, token: Duration::ZERO };
    /// As a model feels on a terminal: 200 ms, then 20 ms for each token.
    pub const LIVELY: Self = Self { first_event: Duration::from_millis(200), token: Duration::from_millis(20) };
}

/// An upstream inside the process. Clones share their gauge and their cache of prompts.
#[derive(Clone, Debug, Default)]
pub struct Simulator {
    pace: Pace,
    clock: Clock,
    gauge: Gauge,
    prompts: PromptCache,
}

impl Simulator {
    /// A simulator with this pace where a request asks for none.
    pub fn new(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// The same by another clock. Only headers that name a time read it (default: the system's).
    #[must_use]
    pub fn with_clock(self, now: fn() -> SystemTime) -> Self {
        Self { clock: Clock::new(now), ..self }
    }

    /// How many answers are under way.
    pub fn open(&self) -> usize {
        self.gauge.watch().borrow().open
    }

    /// The counts of answers, to be watched as they change.
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.gauge.watch()
    }

    fn stage(&self, connect_timeout: Duration, request: &Request<Bytes>) -> Stage {
        Stage::new(self.pace, self.clock, connect_timeout, self.gauge.open(), request).knowing(self.prompts.clone())
    }

    /// Answers a request, as if it had asked for what `script` (directives, separated by white space) asks for as well.
    fn send_scripted(&self, request: Request<Bytes>, connect_timeout: Duration, script: &str) -> Sending {
        let stage = self.stage(connect_timeout, &request);
        let script = script.to_owned();
        Box::pin(async move { stage.answer(&request, &script).await })
    }
}

impl Transport for Simulator {
    fn send(&self, outgoing: Outgoing) -> Sending {
        let Outgoing { request, connect_timeout, departure, proxy: _ } = outgoing;
        let stage = self.stage(connect_timeout, &request);
        Box::pin(async move { stage.told_by(departure).answer(&request, "").await })
    }
}
