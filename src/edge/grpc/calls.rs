//! How a message becomes a call, whichever method it came by.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;
use tonic::Request;
use tower::ServiceExt;

use super::admission::Entered;
use super::convert::{self, LedgerView, RequestRules};
use super::expansion;
use super::retried::previous_attempts;
use super::timeout::grpc_timeout;
use super::told::Told;
use super::watched::Watch;
use crate::callers::Caller;
use crate::domain::{self, Answer, Error, Fold, Reason};
use crate::edge::Drain;
use crate::pipeline::{Call, Pipeline, Replays, Reply};
use crate::proto;
use crate::protocol::Delivery;
use crate::route::{Router, Tables};
use crate::store::Books;
use crate::telemetry::{Metrics, Rpc, Tracer};

/// What the calls of one worker are made with.
#[derive(Clone, Debug)]
pub(super) struct Completions {
    pub(super) pipeline: Pipeline,
    pub(super) router: Router,
    pub(super) tables: Tables,
    pub(super) rules: Arc<RequestRules>,
    pub(super) view: LedgerView,
    pub(super) watch: Watch,
    pub(super) drain: Drain,
    pub(super) tracer: Tracer,
    pub(super) metrics: Metrics,
    pub(super) books: Books,
    pub(super) replays: Replays,
    /// How long a client may take nothing.
    pub(super) client_stall: Duration,
    /// How long a call may take; a stream of requests may have none for twice as long.
    pub(super) total: Duration,
}

/// What a request brings beside its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// When it came.
    pub(super) received: Instant,
    /// How long its caller waits, from then on; none: as long as it takes.
    pub(super) patience: Option<Duration>,
    /// How often its caller's client has sent it before.
    pub(super) previous_attempts: u32,
}

impl Arrival {
    /// When its caller waits no longer; none: it waits as long as it takes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.patience.and_then(|patience| self.received.checked_add(patience))
    }
}

impl Completions {
    /// What will be told about a call that begins; the admission has given it its id.
    pub(super) fn begin<M>(&self, request: &Request<M>, rpc: Rpc) -> Told {
        Told::begin(request, rpc, self.view, (&self.tracer, &self.metrics))
    }

    /// Takes in the message of a call.
    ///
    /// # Errors
    /// Those of [`Completions::arrival`] and [`Completions::take_in`].
    pub(super) fn call(
        &self,
        request: Request<proto::CompleteRequest>,
        delivery: Delivery,
        told: &mut Told,
    ) -> Result<Call, Error> {
        let arrival = self.arrival(&request)?;
        self.take_in(request.into_inner(), delivery, arrival, told)
    }

    /// What a request brings beside its message.
    ///
    /// # Errors
    /// `SHUTTING_DOWN` once calls are ended, and `INVALID_REQUEST` when its deadline cannot be read.
    pub(super) fn arrival<M>(&self, request: &Request<M>) -> Result<Arrival, Error> {
        let received = request.extensions().get().map_or_else(Instant::now, |entered: &Entered| entered.arrived);
        self.takes_calls()?;
        let headers = request.metadata().as_ref();
        Ok(Arrival { received, patience: grpc_timeout(headers)?, previous_attempts: previous_attempts(headers) })
    }

    /// A call that was on its way when its connection was told to go away is served: who sent it could not know, and
    /// nobody would send it again. What is sent later than that is turned away by HTTP/2 itself, unread, so that clients
    /// send it elsewhere on their own.
    fn takes_calls(&self) -> Result<(), Error> {
        match self.drain.is_ending() {
            true => Err(Error::new(Reason::ShuttingDown, "the server stops and takes no new calls")),
            false => Ok(()),
        }
    }

    /// Takes in a message.
    ///
    /// # Errors
    /// It breaks a rule of the contract, or this server has no room for it.
    pub(super) fn take_in(
        &self,
        message: proto::CompleteRequest,
        delivery: Delivery,
        arrival: Arrival,
        told: &mut Told,
    ) -> Result<Call, Error> {
        self.takes_calls()?;
        told.charge_for(expansion::footprint(&message))?;
        let mut request = convert::request(message, &self.rules)?;
        // What is laid down for the caller counts, whatever it says of itself.
        request.labels.extend(told.caller.labels.clone());
        let trace = told.understood(&request, &self.books);
        self.permit(&request, &told.caller)?;
        let (id, caller, ledger, keep) = (told.id, Arc::clone(&told.caller), told.ledger.clone(), told.keep());
        let Arrival { received, patience, previous_attempts } = arrival;
        Ok(Call { id, caller, request, delivery, received, patience, previous_attempts, ledger, trace, keep })
    }

    /// Whether the caller may ask for what the request names.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`, as for a name that nobody has.
    pub(super) fn permit(&self, request: &domain::Request, caller: &Caller) -> Result<(), Error> {
        if caller.models.are_all() {
            return Ok(());
        }
        let table = self.tables.current();
        let named = request.model.iter().chain(&request.fallback_models);
        let default = request.model.is_none().then(|| table.default_model()).flatten();
        named.chain(default).try_for_each(|name| table.among(name, |name| caller.models.allow(name)))
    }

    /// Runs `answer` unless the server ends before it does. What is large comes in a box: it is handed on once more here.
    pub(super) async fn unless_ended<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            answer = answer => answer,
            () = self.drain.ending() => Err(Error::new(Reason::ShuttingDown, "the server stops")),
        }
    }

    /// What the pipeline answers.
    ///
    /// # Errors
    /// There will be no answer.
    pub(super) async fn reply(&self, call: Call) -> Result<Reply, Error> {
        self.pipeline.clone().oneshot(call).await
    }

    /// A whole answer.
    ///
    /// # Errors
    /// There is none, or it breaks off.
    pub(super) async fn whole(&self, call: Call) -> Result<Answer, Error> {
        let mut events = self.reply(call).await?;
        let mut fold = Fold::default();
        while let Some(event) = events.next().await {
            fold.push(event?).map_err(|error| Error::new(Reason::Internal, error.to_string()))?;
        }
        fold.finish().ok_or_else(|| Error::cut_short().before_commit())
    }
}
