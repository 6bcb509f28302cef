//! How many answers are under way, and how they ended: what lets a test wait for a cancellation instead of sleeping.

use std::sync::Arc;

use tokio::sync::watch;

/// How many answers there are and were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Under way, from the request to the end of the body.
    pub open: usize,
    /// The most that were under way at one time.
    pub most_open: usize,
    /// Played to their end, played failures included.
    pub finished: usize,
    /// Given up by whoever asked, before their end.
    pub dropped: usize,
}

/// Counts answers.
#[derive(Clone, Debug)]
pub(super) struct Gauge(Arc<watch::Sender<Counts>>);

impl Default for Gauge {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Counts::default())))
    }
}

impl Gauge {
    /// An answer begins; it ends when the guard is finished or dropped.
    pub(super) fn open(&self) -> Open {
        self.0.send_modify(|counts| {
            counts.open += 1;
            counts.most_open = counts.most_open.max(counts.open);
        });
        Open { gauge: Some(self.clone()) }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Counts> {
        self.0.subscribe()
    }
}

/// An answer under way.
#[derive(Debug)]
pub(super) struct Open {
    gauge: Option<Gauge>,
}

impl Open {
    /// The answer was played to its end. Only the first call counts.
    pub(super) fn finish(&mut self) {
        if let Some(gauge) = self.gauge.take() {
            gauge.0.send_modify(|counts| {
                counts.open -= 1;
                counts.finished += 1;
            });
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(gauge) = self.gauge.take() {
            gauge.0.send_modify(|counts| {
                counts.open -= 1;
                counts.dropped += 1;
            });
        }
    }
}
