//! Asking again and again, for as long as somebody listens.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// Asks at every interval; an answer that is slow delays the next question.
pub(crate) async fn keep_asking<T>(every: Duration, mut ask: impl AsyncFnMut() -> T, told: mpsc::Sender<T>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, and the first answer is there already.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if told.send(ask().await).await.is_err() {
            return;
        }
    }
}
