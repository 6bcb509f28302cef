//! At a fixed rate, whoever waits: a call begins when its time has come, not when the one before has ended, and its delay
//! counts from that time on. So a server that stands still for a moment has all the calls of that moment against it.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;

use super::Caller;
use crate::Failure;
use crate::samples::Samples;

/// Calls that wait to be made or answered; beyond it the rate is too high for this machine.
const AT_MOST: usize = 8192;

/// How long calls took, in microseconds from when they should have begun.
#[derive(Debug)]
pub(crate) struct Delays {
    /// Until the first message.
    pub(crate) first: Samples,
    /// Until the end.
    pub(crate) whole: Samples,
}

/// Calls `rate` times a second, for `time`.
///
/// # Errors
/// When a call fails, or the rate cannot be held.
pub(crate) async fn open(caller: &Caller, rate: f64, time: Duration) -> Result<Delays, Failure> {
    let (sender, mut due) = channel(AT_MOST);
    // tokio's clock ticks once in a millisecond; the system's sleep is finer, and needs a thread.
    let clock = std::thread::Builder::new().spawn(move || tick(&sender, rate, time))?;
    let (mut calls, mut delays) = (JoinSet::new(), Vec::new());
    while let Some(due) = due.recv().await {
        let caller = caller.clone();
        calls.spawn(async move {
            let told = caller.call().await?;
            Ok::<_, Failure>((told.first.duration_since(due), due.elapsed()))
        });
        while let Some(done) = calls.try_join_next() {
            delays.push(done??);
        }
        if calls.len() > AT_MOST {
            return Err(format!("{rate:.0} calls a second are more than can be answered").into());
        }
    }
    while let Some(done) = calls.join_next().await {
        delays.push(done??);
    }
    clock.join().map_err(|_| "the clock stopped")?;
    let (first, whole): (Vec<_>, Vec<_>) = delays.into_iter().unzip();
    Ok(Delays { first: first.into_iter().collect(), whole: whole.into_iter().collect() })
}

fn tick(due: &Sender<Instant>, rate: f64, time: Duration) {
    let (begun, gap) = (Instant::now(), Duration::from_secs_f64(1.0 / rate));
    let mut next = begun;
    while next.duration_since(begun) < time {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if due.blocking_send(next).is_err() {
            return;
        }
        next += gap;
    }
}
