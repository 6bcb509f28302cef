//! As fast as it goes: so many callers, each of whom calls again when it has its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Caller;
use crate::Failure;
use crate::samples::real;

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Calls that were answered.
    pub(crate) calls: usize,
    /// Messages that came.
    pub(crate) messages: usize,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Done {
    /// Calls in a second.
    pub(crate) fn rate(&self) -> f64 {
        real(self.calls) / self.took.as_secs_f64()
    }
}

/// How much is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    /// For so long; running calls may finish.
    Time(Duration),
    /// So often.
    Calls(usize),
}

/// Calls so much, `callers` at a time.
///
/// # Errors
/// When a call fails: what is measured then is something else.
pub(crate) async fn closed(caller: &Caller, callers: usize, amount: Amount) -> Result<Done, Failure> {
    let begun = Instant::now();
    let (called, came) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let (caller, called, came) = (caller.clone(), Arc::clone(&called), Arc::clone(&came));
        all.spawn(async move {
            loop {
                let call = called.fetch_add(1, Ordering::Relaxed);
                let is_over = match amount {
                    Amount::Time(time) => begun.elapsed() >= time,
                    Amount::Calls(calls) => call >= calls,
                };
                if is_over {
                    called.fetch_sub(1, Ordering::Relaxed);
                    return Ok::<_, Failure>(());
                }
                came.fetch_add(caller.call().await?.messages, Ordering::Relaxed);
            }
        });
    }
    while let Some(one) = all.join_next().await {
        one??;
    }
    Ok(Done { calls: called.load(Ordering::Relaxed), messages: came.load(Ordering::Relaxed), took: begun.elapsed() })
}
