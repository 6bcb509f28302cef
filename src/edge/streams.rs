//! The streams of one connection: what each of them is told about it, and since when there is none.

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
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::Oneshot;

use super::{Certified, Served};

/// How many streams a connection has, and since when it has none. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Since>);

#[derive(Debug)]
struct Since {
    begun: Instant,
    streams: AtomicUsize,
    /// When the last stream ended, in milliseconds after the beginning.
    ended: AtomicU64,
}

/// One stream, as long as it is held.
#[derive(Debug)]
struct Stream(Arc<Since>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Since { begun: Instant::now(), streams: AtomicUsize::new(0), ended: AtomicU64::new(0) }))
    }

    fn stream(&self) -> Stream {
        self.0.streams.fetch_add(1, Ordering::Relaxed);
        Stream(Arc::clone(&self.0))
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

impl Drop for Stream {
    fn drop(&mut self) {
        let ended = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.ended.store(ended, Ordering::Relaxed);
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
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
        Begun { answer: self.service.clone().oneshot(request), stream: Some(self.activity.stream()) }
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
        let (first, second) = (activity.stream(), activity.stream());
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
        let _stream = activity.stream();
        assert_eq!(activity.has_lasted(Some(MINUTE), Some(3 * MINUTE)).await, Lasted::Long);
        assert_eq!(begun.elapsed().as_secs(), 180);
    }
}
