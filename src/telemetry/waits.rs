//! How long a call waited for somebody else: what is left of its time is the gateway's own.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

/// The waits of one call. Those that overlap count once: a call that waits for two providers waits no longer than for one.
/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<Mutex<Sum>>);

#[derive(Debug, Default)]
struct Sum {
    open: u32,
    since: Option<Instant>,
    over: Duration,
}

/// A wait that goes on until this is dropped.
#[derive(Debug)]
#[must_use = "the wait ends when it is dropped"]
pub struct Waiting(Waits);

impl Waits {
    /// A wait begins.
    pub fn begin(&self) -> Waiting {
        let mut sum = self.lock();
        if sum.open == 0 {
            sum.since = Some(Instant::now());
        }
        sum.open = sum.open.saturating_add(1);
        drop(sum);
        Waiting(self.clone())
    }

    /// Waits for `future`. What is ready at once is no wait. It may be asked in vain many times, and the clock is not asked
    /// each time.
    pub async fn during<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut waiting = None;
        std::future::poll_fn(move |context| {
            let polled = future.as_mut().poll(context);
            match &polled {
                Poll::Ready(_) => drop(waiting.take()),
                Poll::Pending => {
                    waiting.get_or_insert_with(|| self.begin());
                }
            }
            polled
        })
        .await
    }

    /// All of them until now.
    pub fn total(&self) -> Duration {
        let sum = self.lock();
        sum.over.saturating_add(sum.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, Sum> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut sum = self.0.lock();
        sum.open = sum.open.saturating_sub(1);
        if sum.open == 0
            && let Some(since) = sum.since.take()
        {
            sum.over = sum.over.saturating_add(since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_that_overlap_count_once_and_one_that_goes_on_counts() {
        let (waits, second) = (Waits::default(), Duration::from_secs(1));
        let first = waits.begin();
        tokio::time::advance(second).await;
        let other = waits.begin();
        tokio::time::advance(second).await;
        drop(first);
        tokio::time::advance(second).await;
        assert_eq!(waits.total(), 3 * second);
        drop(other);
        tokio::time::advance(second).await;
        assert_eq!(waits.total(), 3 * second, "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_at_once_is_no_wait() {
        let waits = Waits::default();
        waits.during(std::future::ready(())).await;
        assert_eq!(waits.total(), Duration::ZERO);
        waits.during(tokio::time::sleep(Duration::from_secs(2))).await;
        assert!(waits.total() >= Duration::from_secs(2));
    }
}
