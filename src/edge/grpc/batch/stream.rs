//! A stream of requests, and of results as they come.
//!
//! A task of its own runs the calls: hyper does not poll a response while its client's window is full, and calls that run
//! must not stand still with it. The task ends with the response, and every call with the task.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status, Streaming};

use super::{Ended, late, passed, result};
use crate::domain::{Error, Reason};
use crate::edge::grpc::admission::Charge;
use crate::edge::grpc::calls::{Arrival, Completions};
use crate::edge::grpc::complete_status::meant;
use crate::edge::grpc::convert::{self, Concurrency, Said};
use crate::edge::grpc::told::Told;
use crate::proto;

type Input = Streaming<proto::StreamBatchCompleteRequest>;

/// The results on their way to the client. Dropped, they end the calls that run.
#[derive(Debug)]
pub(in crate::edge::grpc) struct Results {
    results: mpsc::Receiver<proto::StreamBatchCompleteResponse>,
    /// Runs the calls; none once its end was told.
    running: Option<AbortOnDropHandle<Result<(), Status>>>,
}

impl Completions {
    /// Runs what comes `in`, and gives its results.
    pub(in crate::edge::grpc) fn stream_batch(&self, input: Input, arrival: Arrival, told: Told) -> Results {
        // What is ready is bounded where it is made; here is only what is on its way.
        let (sender, results) = mpsc::channel(1);
        let batch = Batch {
            completions: self.clone(),
            arrival,
            told,
            concurrency: None,
            names: HashSet::new(),
            running: FuturesUnordered::new(),
            ready: VecDeque::new(),
        };
        let task = tokio::spawn(batch.run_to_its_end(input, sender));
        Results { results, running: Some(AbortOnDropHandle::new(task)) }
    }
}

/// A stream of requests that is being served.
struct Batch {
    completions: Completions,
    arrival: Arrival,
    told: Told,
    /// What the client has set; none: nothing was said yet.
    concurrency: Option<Concurrency>,
    /// The names of the items that run, or whose results wait.
    names: HashSet<String>,
    running: FuturesUnordered<BoxFuture<'static, (String, Ended)>>,
    /// Results that the client has not taken yet, each with the place of its call: who takes none holds no more than those
    /// that run would.
    ready: VecDeque<(proto::StreamBatchCompleteResponse, Option<Arc<Charge>>)>,
}

impl Batch {
    async fn run_to_its_end(
        mut self,
        input: Input,
        results: mpsc::Sender<proto::StreamBatchCompleteResponse>,
    ) -> Result<(), Status> {
        let deadline = self.arrival;
        let drain = self.completions.drain.clone();
        let ended = tokio::select! {
            biased;
            () = passed(&deadline) => Err(late()),
            () = drain.ending() => Err(stopping()),
            ended = self.run(input, results) => ended,
        };
        // What runs goes first, so that it is on record before the end is.
        self.running.clear();
        self.ready.clear();
        let ended = match ended {
            Ok(()) => {
                self.told.answered();
                Ok(())
            }
            Err(error) => Err(self.told.status(error)),
        };
        self.told.give_back();
        ended
    }

    /// Takes items in and gives results out until there is neither.
    async fn run(
        &mut self,
        mut input: Input,
        results: mpsc::Sender<proto::StreamBatchCompleteResponse>,
    ) -> Result<(), Error> {
        let drain = self.completions.drain.clone();
        // Longer than a message may take to arrive, which is nothing to be cut off in.
        let (stall, idle) = (self.completions.client_stall, self.completions.total.saturating_mul(2));
        let (mut is_open, mut waits_since) = (true, Instant::now());
        while is_open || !self.running.is_empty() || !self.ready.is_empty() {
            let has_room = self.names.len() < self.concurrency.unwrap_or_default().get();
            tokio::select! {
                // What is done goes before what is to be done.
                biased;
                place = results.reserve(), if !self.ready.is_empty() => {
                    // Only who drops the response closes it, and that ends this task.
                    let (Ok(place), Some((result, _in_flight))) = (place, self.ready.pop_front()) else { return Ok(()) };
                    self.names.remove(&result.custom_id);
                    place.send(result);
                    waits_since = Instant::now();
                }
                Some((custom_id, ended)) = self.running.next() => {
                    if self.ready.is_empty() {
                        waits_since = Instant::now();
                    }
                    let result = Some(result(&ended));
                    let response = proto::StreamBatchCompleteResponse { custom_id, result };
                    self.ready.push_back((response, ended.place));
                }
                () = tokio::time::sleep_until(waits_since + stall), if !self.ready.is_empty() => {
                    let message = format!("the client took no result for {stall:?}");
                    return Err(Error::new(Reason::ClientStalled, message));
                }
                // It holds a place among the calls in flight, which is not there for nothing.
                () = tokio::time::sleep_until(waits_since + idle), if self.names.is_empty() => {
                    return Err(Error::new(Reason::ClientStalled, format!("the client sent no item for {idle:?}")));
                }
                () = drain.refusing(), if is_open => {
                    // What was taken in is finished, and what was not is the client's to send elsewhere.
                    is_open = false;
                }
                said = input.next(), if is_open && has_room => match said {
                    Some(said) => self.take(said.map_err(|status| broken(&status))?)?,
                    None => is_open = false,
                },
            }
        }
        if drain.is_refusing() { Err(stopping()) } else { Ok(()) }
    }

    fn take(&mut self, message: proto::StreamBatchCompleteRequest) -> Result<(), Error> {
        // From here on its item is charged for it.
        self.told.give_back_bytes();
        match convert::said(message)? {
            Said::Settings(_) if self.concurrency.is_some() => {
                Err(Error::invalid("settings", "must be the first message, and be there only once"))
            }
            Said::Settings(concurrency) => {
                self.concurrency = Some(concurrency);
                Ok(())
            }
            Said::Item { name, request } => {
                self.concurrency.get_or_insert_default();
                if !self.names.insert(name.clone()) {
                    return Err(Error::invalid("item.custom_id", "must not be that of an item that runs already"));
                }
                let call = self.completions.item(*request, self.arrival, &self.told);
                self.running.push(call.map(|ended| (name, ended)).boxed());
                Ok(())
            }
        }
    }
}

fn stopping() -> Error {
    Error::new(Reason::ShuttingDown, "the server stops: what has no result was not asked, or was ended")
}

/// What is wrong with bytes that are no message, or with how they came.
fn broken(status: &Status) -> Error {
    let refused = || match status.code() {
        Code::Unavailable => Error::new(Reason::Overloaded, status.message().to_owned()),
        _ => Error::new(Reason::Cancelled, "the client's side of the stream broke"),
    };
    meant(status).unwrap_or_else(refused)
}

impl Stream for Results {
    type Item = Result<proto::StreamBatchCompleteResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(result) = ready!(self.results.poll_recv(context)) {
            return Poll::Ready(Some(Ok(result)));
        }
        let Some(running) = &mut self.running else { return Poll::Ready(None) };
        let ended = ready!(running.poll_unpin(context));
        self.running = None;
        Poll::Ready(match ended {
            Ok(ended) => ended.err().map(Err),
            Err(_) => Some(Err(Status::internal("the batch ended by a defect of the server"))),
        })
    }
}
