//! Work that may block, such as reading files of a file system that is away: on a thread of its own, one at a time, and
//! waited for no longer than a while. It does not know what is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Where work that may block is done. Clones share the one thread.
#[derive(Clone, Debug)]
pub struct Aside {
    name: &'static str,
    one: Arc<Semaphore>,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// It was not done in time. It may still be, and as long as it is, nothing else is begun.
    #[error("could not be read in time")]
    Late,
    /// There is no thread for it.
    #[error("could not be read: the system has no thread for it")]
    NoThread,
}

impl Aside {
    /// Nothing is done yet. `name` is what its thread is called.
    pub fn new(name: &'static str) -> Self {
        Self { name, one: Arc::new(Semaphore::new(1)) }
    }

    /// Does `work`, when what was begun before is done, and waits for both no longer than `within`.
    ///
    /// It is no thread of the runtime: one that never ends would keep the process from ending.
    ///
    /// # Errors
    /// [`GivenUp`]: it was not done.
    pub async fn run<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GivenUp> {
        let done = async {
            let turn = Arc::clone(&self.one).acquire_owned().await.map_err(|_| GivenUp::Late)?;
            let (told, done) = oneshot::channel();
            let work = move || {
                let done = work();
                drop(turn);
                // Whoever has waited long enough does not hear of it any more.
                let _ = told.send(done);
            };
            std::thread::Builder::new().name(self.name.into()).spawn(work).map_err(|_| GivenUp::NoThread)?;
            done.await.map_err(|_| GivenUp::Late)
        };
        timeout(within, done).await.unwrap_or(Err(GivenUp::Late))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_hangs_has_one_thread_however_often_it_is_asked_and_goes_on_when_it_is_done() {
        let (aside, begun) = (Aside::new("test"), Arc::new(AtomicUsize::new(0)));
        let ((release, hangs), (says, is_begun)) = (mpsc::channel::<()>(), mpsc::channel());
        let counted = Arc::clone(&begun);
        let first = aside.run(SOON, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            says.send(()).unwrap();
            hangs.recv()
        });
        assert_eq!(first.await.map(drop), Err(GivenUp::Late));
        // Time that is paused passes faster than a thread begins.
        is_begun.recv().unwrap();
        for _ in 0..5 {
            let counted = Arc::clone(&begun);
            let next = aside.run(SOON, move || counted.fetch_add(1, Ordering::SeqCst));
            assert_eq!(next.await, Err(GivenUp::Late));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1, "nothing else was begun");
        tokio::time::resume();
        release.send(()).unwrap();
        assert_eq!(aside.run(SOON, || "read").await, Ok("read"));
    }

    #[tokio::test]
    async fn two_that_ask_at_once_are_both_answered() {
        let aside = Aside::new("test");
        let (one, other) = tokio::join!(aside.run(SOON, || 1), aside.run(SOON, || 2));
        assert_eq!((one, other), (Ok(1), Ok(2)));
    }
}
