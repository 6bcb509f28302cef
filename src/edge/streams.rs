//! The streams of one connection: what each of them is told about it, since when there is none, and when it is over however
//! its client behaves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::Oneshot;

use super::grpc::Kind;
use super::{Certified, Served};

/// How often a connection that was told to go away is looked at.
const ROUND: Duration = Duration::from_secs(1);
/// How much longer than any other call a batch may keep a connection that was told to go away.
const LONGEST_BATCH: Duration = Duration::from_secs(24 * 60 * 60);

/// How many streams a connection has, and since when it has none. Clones share it.
///
/// Streams that have no work, such as a watch of the health, are none of them: they last as long as their clients like, and
/// need no key.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Since>);

#[derive(Debug)]
struct Since {
    begun: Instant,
    /// Those that have work.
    streams: AtomicUsize,
    /// Of them: batches that began before the connection was told to go away.
    batches: AtomicUsize,
    /// Those that have none.
    beside: AtomicUsize,
    /// When the last stream that had work ended, in milliseconds after the beginning.
    ended: AtomicU64,
    /// The connection was told to go away.
    leaving: CancellationToken,
}

/// Put beside each call that has no work: what its connection says of it.
#[derive(Clone, Debug)]
pub(super) struct Beside {
    /// The connection is told to go away, and the call ends with that.
    pub(super) leaving: CancellationToken,
    /// How many calls of this kind the connection has with it.
    pub(super) number: usize,
}

/// One stream, as long as it is held.
#[derive(Debug)]
struct Stream {
    of: Arc<Since>,
    weight: Weight,
}

/// For what a stream counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Call,
    Batch,
    Beside,
}

impl Weight {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Check | Kind::Watch | Kind::Reflection => Self::Beside,
            Kind::Batch | Kind::StreamBatch => Self::Batch,
            Kind::Completion | Kind::Other => Self::Call,
        }
    }
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Since {
            begun: Instant::now(),
            streams: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            beside: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            leaving: CancellationToken::new(),
        }))
    }

    fn stream(&self, weight: Weight) -> Stream {
        let weight = match weight {
            // Who does not go away cannot stay by beginning something long.
            Weight::Batch if self.0.leaving.is_cancelled() => Weight::Call,
            weight => weight,
        };
        for number in self.0.numbers(weight) {
            number.fetch_add(1, Ordering::Relaxed);
        }
        Stream { of: Arc::clone(&self.0), weight }
    }

    fn beside(&self) -> Beside {
        Beside { leaving: self.0.leaving.clone(), number: self.0.beside.load(Ordering::Relaxed) }
    }

    /// The connection is told to go away: streams without work end.
    pub(super) fn leave(&self) {
        self.0.leaving.cancel();
    }

    /// Waits until a connection that was told to go away is over, whatever its client does: nothing runs on it any more and
    /// its client has had `farewell` to hear of it, or what runs has had `longest` more. A batch has a day more.
    pub(super) async fn is_over(&self, farewell: Duration, longest: Duration) {
        let told = Instant::now();
        loop {
            tokio::time::sleep(ROUND).await;
            let since = told.elapsed().checked_sub(farewell);
            let Some(since) = since else { continue };
            let runs = |number: &AtomicUsize| number.load(Ordering::Relaxed) > 0;
            let is_awaited = match (runs(&self.0.batches), runs(&self.0.streams)) {
                (true, _) => since < longest.saturating_add(LONGEST_BATCH),
                (false, true) => since < longest,
                (false, false) => false,
            };
            if !is_awaited {
                return;
            }
        }
    }

    /// Since when there is no stream; now, if there are some.
    fn idle_since(&self) -> Instant {
        match self.0.streams.load(Ordering::Relaxed) {
            0 => self.0.begun + Duration::from_millis(self.0.ended.load(Ordering::Relaxed)),
            _ => Instant::now(),
        }
    }

    /// Waits until the connection has had no stream for `max_idle`, or is as old as `max_age`: whichever comes first. Of what
    /// is not set, it waits for ever.
    pub(super) async fn has_lasted(&self, max_idle: Option<Duration>, max_age: Option<Duration>) -> Lasted {
        let old = max_age.map(|age| self.0.begun + age);
        loop {
            let idle = max_idle.map(|idle| self.idle_since() + idle);
            let now = Instant::now();
            if old.is_some_and(|old| old <= now) {
                return Lasted::Long;
            }
            if idle.is_some_and(|idle| idle <= now) {
                return Lasted::Unused;
            }
            match old.into_iter().chain(idle).min() {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Why a connection has lasted long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasted {
    /// It is as old as it becomes.
    Long,
    /// Nobody used it.
    Unused,
}

impl Since {
    /// Where a stream of this weight counts.
    fn numbers(&self, weight: Weight) -> impl IntoIterator<Item = &AtomicUsize> {
        match weight {
            Weight::Call => [Some(&self.streams), None],
            Weight::Batch => [Some(&self.streams), Some(&self.batches)],
            Weight::Beside => [Some(&self.beside), None],
        }
        .into_iter()
        .flatten()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.weight != Weight::Beside {
            let ended = u64::try_from(self.of.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.of.ended.store(ended, Ordering::Relaxed);
        }
        for number in self.of.numbers(self.weight) {
            number.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The service of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) service: Served,
    pub(super) activity: Activity,
    pub(super) certified: Option<Certified>,
}

impl hyper::service::Service<Request<Incoming>> for Streams {
    type Response = Response<Counted>;
    type Error = std::convert::Infallible;
    type Future = Begun;

    fn call(&self, mut request: Request<Incoming>) -> Begun {
        if let Some(certified) = &self.certified {
            request.extensions_mut().insert(certified.clone());
        }
        let weight = Weight::of(Kind::of(request.uri().path()));
        let stream = self.activity.stream(weight);
        if weight == Weight::Beside {
            request.extensions_mut().insert(self.activity.beside());
        }
        Begun { answer: self.service.clone().oneshot(request), stream: Some(stream) }
    }
}

pin_project! {
    /// A stream whose answer has not begun.
    pub(super) struct Begun {
        #[pin]
        answer: Oneshot<Served, Request<Incoming>>,
        stream: Option<Stream>,
    }
}

impl Future for Begun {
    type Output = Result<Response<Counted>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(answer) = ready!(this.answer.poll(context));
        Poll::Ready(Ok(answer.map(|body| Counted { body, _stream: this.stream.take() })))
    }
}

pin_project! {
    /// The body of an answer; the stream has ended when it is dropped.
    pub(super) struct Counted {
        #[pin]
        body: Body,
        _stream: Option<Stream>,
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_streams_has_lasted_when_it_was_idle_for_long() {
        let (activity, begun) = (Activity::new(), Instant::now());
        assert_eq!(activity.has_lasted(Some(MINUTE), None).await, Lasted::Unused);
        assert_eq!(begun.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_counts_from_the_end_of_the_last_stream() {
        let (activity, begun) = (Activity::new(), Instant::now());
        let (first, second) = (activity.stream(Weight::Call), activity.stream(Weight::Batch));
        let busy = async {
            tokio::time::sleep(MINUTE / 2).await;
            drop(first);
            tokio::time::sleep(10 * MINUTE).await;
            drop(second);
            std::future::pending::<()>().await;
        };
        let lasted = tokio::select! {
            lasted = activity.has_lasted(Some(MINUTE), None) => lasted,
            () = busy => return,
        };
        assert_eq!((lasted, begun.elapsed().as_secs()), (Lasted::Unused, 11 * 60 + 30));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_used_has_lasted_when_it_is_old() {
        let (activity, begun) = (Activity::new(), Instant::now());
        let _stream = activity.stream(Weight::Call);
        assert_eq!(activity.has_lasted(Some(MINUTE), Some(3 * MINUTE)).await, Lasted::Long);
        assert_eq!(begun.elapsed().as_secs(), 180);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_work_keeps_no_connection_from_being_idle() {
        let (activity, begun) = (Activity::new(), Instant::now());
        let watch = activity.stream(Weight::of(Kind::of("/grpc.health.v1.Health/Watch")));
        assert_eq!(activity.beside().number, 1);
        assert_eq!(activity.has_lasted(Some(MINUTE), None).await, Lasted::Unused);
        assert_eq!(begun.elapsed().as_secs(), 60);
        drop(watch);
        assert_eq!((activity.beside().number, activity.0.streams.load(Ordering::Relaxed)), (0, 0));
    }

    /// How long a connection is there after it was told to go away, in seconds.
    async fn over_after(activity: &Activity) -> u64 {
        let told = Instant::now();
        activity.leave();
        activity.is_over(MINUTE / 2, 10 * MINUTE).await;
        told.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_to_go_away_is_over_however_its_client_behaves() {
        let activity = Activity::new();
        assert_eq!(over_after(&activity).await, 30);
        let activity = Activity::new();
        let _watch = activity.stream(Weight::Beside);
        assert_eq!(over_after(&activity).await, 30, "a watch keeps nothing");
        let activity = Activity::new();
        let _call = activity.stream(Weight::Call);
        assert_eq!(over_after(&activity).await, 30 + 600);
        let activity = Activity::new();
        let batch = activity.stream(Weight::Batch);
        let ends = async {
            tokio::time::sleep(100 * MINUTE).await;
            drop(batch);
        };
        let over = tokio::join!(over_after(&activity), ends).0;
        assert!((6000..=6001).contains(&over), "a batch keeps it until it ends, and not until {over}");
        let activity = Activity::new();
        activity.leave();
        let _batch = activity.stream(Weight::Batch);
        assert_eq!(over_after(&activity).await, 30 + 600, "one that begins afterwards does not");
        let activity = Activity::new();
        let _forever = activity.stream(Weight::Batch);
        assert_eq!(over_after(&activity).await, 30 + 600 + 24 * 3600);
    }
}
