//! An answer that is being made once, for as many readers as there are.
//!
//! It is made by a task of its own, so that no reader's deadline, cancellation or pace rules the others. It ends when the
//! last reader has gone, unless it shall be finished. The answer is made as fast as the fastest reader takes it; the
//! others find it in the log.

mod log;

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{Keep, Reply};
use crate::domain::{Answer, Error, Event, Fold, Reason};
use crate::telemetry::Maker;
use log::{Cursor, Log};

/// How far the making may be ahead of its fastest reader, in bytes.
const AHEAD: usize = 256 * 1024;

/// How long the end of an answer is held back for it to be kept elsewhere, so that whoever asks next finds it there.
const HELD_BACK: Duration = Duration::from_millis(50);

/// Whom a whole answer is given, before its end is told to anybody.
pub(super) type Landed = Box<dyn FnOnce(&Answer) -> Option<Keeping> + Send>;
/// What is still done with it: it takes a while, and ends by itself.
pub(super) type Keeping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where readers find a flight; it does not keep it going.
#[derive(Clone, Debug)]
pub(super) struct Airborne(Weak<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    maker: Maker,
}

#[derive(Default)]
struct State {
    log: Log,
    end: Option<Result<(), Error>>,
    readers: BTreeMap<u64, Place>,
    last_reader: u64,
    /// The maker, which waits for a reader to come nearer.
    maker: Option<Waker>,
    task: Option<AbortHandle>,
    /// Nobody reads it, and it is given up.
    abandoned: bool,
    /// It is made to its end even if nobody reads it.
    stays: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("readers", &self.readers.len()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Place {
    read: usize,
    waker: Option<Waker>,
}

/// How an answer is made.
pub(super) struct Plan {
    /// How long it may take: no reader's deadline ends it.
    pub(super) until: Instant,
    /// Whether it is made to its end even if nobody reads it.
    pub(super) stays: bool,
    /// The call that it is made for, as those that join it refer to it.
    pub(super) maker: Maker,
    /// Held until nothing is made any more.
    pub(super) keep: Arc<dyn Keep>,
    /// Is given the whole answer.
    pub(super) landed: Landed,
}

/// Begins to make an answer, and returns its first reader.
pub(super) fn launch(
    making: impl Future<Output = Result<Reply, Error>> + Send + 'static,
    plan: Plan,
) -> (Airborne, Reader) {
    let Plan { until, stays, maker, keep, landed } = plan;
    let shared = Arc::new(Shared { state: Mutex::new(State { stays, ..State::default() }), maker });
    let reader = Reader::of(Arc::clone(&shared), &mut shared.lock());
    let carried = Arc::clone(&shared);
    let making = async move { carry(&carried, making.await?).await };
    let timely = async move { tokio::time::timeout_at(until, making).await.unwrap_or_else(|_| Err(late())) };
    let task = tokio::spawn(make(Unended(Arc::clone(&shared)), timely, keep, landed));
    shared.lock().task = Some(task.abort_handle());
    (Airborne(Arc::downgrade(&shared)), reader)
}

async fn make(
    unended: Unended,
    making: impl Future<Output = Result<Event, Error>>,
    keep: Arc<dyn Keep>,
    landed: Landed,
) {
    let shared = &unended.0;
    // What it took is on record before anybody is told the end.
    match making.await {
        Ok(end) => {
            let answer = shared.whole(&end);
            let keeping = answer.as_ref().and_then(|answer| {
                let keeping = landed(answer);
                keep.ended(Ok(answer));
                keeping
            });
            drop((keep, answer));
            match keeping {
                None => shared.end(Some(end), Ok(())),
                Some(keeping) => shared.end_while(keeping, end).await,
            }
        }
        Err(error) => {
            drop(landed);
            keep.ended(Err(&error));
            drop(keep);
            shared.end(None, Err(error));
        }
    }
}

/// Ends a flight that is dropped on its way: nobody waits for what a runtime that ends has dropped.
struct Unended(Arc<Shared>);

impl Drop for Unended {
    fn drop(&mut self) {
        let is_open = self.0.lock().end.is_none();
        if is_open {
            self.0.end(None, Err(Error::new(Reason::ShuttingDown, "the server stops")));
        }
    }
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the server's total timeout passed before the answer was complete")
}

/// Carries the events over, all but the last, which is returned.
async fn carry(shared: &Shared, mut reply: Reply) -> Result<Event, Error> {
    loop {
        poll_fn(|context| shared.poll_room(context)).await;
        match reply.next().await {
            Some(Ok(Event::Heartbeat)) => {}
            Some(Ok(end @ Event::Completed(_))) => return Ok(end),
            Some(Ok(event)) => shared.push(event),
            Some(Err(error)) => return Err(error),
            None => return Err(Error::cut_short().after_commit()),
        }
    }
}

impl Airborne {
    /// Reads it from its beginning; none: it has failed, or was given up, or nothing is left of it.
    pub(super) fn read(&self) -> Option<Reader> {
        let shared = self.0.upgrade()?;
        let mut state = shared.lock();
        if state.abandoned || matches!(state.end, Some(Err(_))) {
            return None;
        }
        let reader = Reader::of(Arc::clone(&shared), &mut state);
        drop(state);
        Some(reader)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event) {
        let mut state = self.lock();
        state.log.push(event);
        state.wake();
    }

    fn end(&self, last: Option<Event>, how: Result<(), Error>) {
        let mut state = self.lock();
        last.into_iter().for_each(|event| state.log.push(event));
        state.end = Some(how);
        state.wake();
    }

    /// Ends while the answer is still being kept elsewhere.
    async fn end_while(&self, mut keeping: Keeping, end: Event) {
        // It is whole: that its readers go now is no reason to lose it.
        self.lock().stays = true;
        let is_kept = tokio::time::timeout(HELD_BACK, &mut keeping).await.is_ok();
        self.end(Some(end), Ok(()));
        if !is_kept {
            keeping.await;
        }
    }

    /// Ready once a reader is near, or nobody reads at all.
    fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.has_room() {
            return Poll::Ready(());
        }
        state.maker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The answer that ends so; none: what came is no valid answer.
    fn whole(&self, end: &Event) -> Option<Answer> {
        let state = self.lock();
        let mut fold = Fold::default();
        for event in state.log.events().chain([end.clone()]) {
            fold.push(event).ok()?;
        }
        fold.finish()
    }
}

impl State {
    fn has_room(&self) -> bool {
        let furthest = self.readers.values().map(|place| place.read).max();
        furthest.is_none_or(|furthest| self.log.bytes() <= furthest + AHEAD)
    }

    fn wake(&mut self) {
        self.readers.values_mut().filter_map(|place| place.waker.take()).for_each(Waker::wake);
    }

    fn wake_maker(&mut self) {
        if self.has_room()
            && let Some(maker) = self.maker.take()
        {
            maker.wake();
        }
    }
}

/// Reads a flight from its beginning, at a pace of its own.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    number: u64,
    cursor: Cursor,
    over: bool,
}

impl Reader {
    fn of(shared: Arc<Shared>, state: &mut State) -> Self {
        state.last_reader += 1;
        let number = state.last_reader;
        state.readers.insert(number, Place::default());
        Self { shared, number, cursor: Cursor::default(), over: false }
    }

    /// The call that it is made for.
    pub(super) fn maker(&self) -> &Maker {
        &self.shared.maker
    }

    /// Waits for the beginning of the answer.
    ///
    /// # Errors
    /// There will be none.
    pub(super) async fn begun(self) -> Result<Self, Error> {
        let failed = poll_fn(|context| {
            let mut state = self.shared.lock();
            match (&state.end, state.log.bytes()) {
                (Some(Err(error)), 0) => Poll::Ready(Some(error.clone())),
                (None, 0) => {
                    state.wait(self.number, context);
                    Poll::Pending
                }
                _ => Poll::Ready(None),
            }
        });
        match failed.await {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl State {
    fn wait(&mut self, reader: u64, context: &Context<'_>) {
        if let Some(place) = self.readers.get_mut(&reader) {
            place.waker = Some(context.waker().clone());
        }
    }
}

impl Stream for Reader {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        let mut state = this.shared.lock();
        if let Some(event) = state.log.read(&mut this.cursor) {
            if let Some(place) = state.readers.get_mut(&this.number) {
                place.read = this.cursor.bytes();
            }
            state.wake_maker();
            return Poll::Ready(Some(Ok(event)));
        }
        match &state.end {
            Some(end) => {
                this.over = true;
                Poll::Ready(end.clone().err().map(Err))
            }
            None => {
                state.wait(this.number, context);
                Poll::Pending
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.readers.remove(&self.number);
        if state.readers.is_empty() && !state.stays && state.end.is_none() {
            state.abandoned = true;
            if let Some(task) = state.task.take() {
                task.abort();
            }
        }
        // The one who was ahead has gone: the others decide.
        state.wake_maker();
    }
}

#[cfg(test)]
mod tests;
