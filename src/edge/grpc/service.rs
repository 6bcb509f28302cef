//! The handlers: a message becomes a call, and what comes back becomes a response, events or a status.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use tower::ServiceExt;
use uuid::Uuid;

use super::admission::Arrived;
use super::batch::Results;
use super::convert::{self, CompletionId, LedgerView, RequestRules};
use super::expansion;
use super::retried::previous_attempts;
use super::timeout::grpc_timeout;
use super::told::Told;
use super::watched::{Watch, Watched};
use crate::domain::{Answer, CallId, Error, Fold, Reason};
use crate::edge::Drain;
use crate::pipeline::{Call, Pipeline, Replays, Reply};
use crate::proto;
use crate::proto::completion_service_server::CompletionService;
use crate::protocol::Delivery;
use crate::route::{Counted, Router, Tables};
use crate::store::Books;
use crate::telemetry::{CallSpan, Rpc, Tracer};

/// The size from which a response is compressed for callers that take it, in bytes.
const WORTH_COMPRESSING: usize = 1024;

/// The handlers of one worker.
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
    pub(super) books: Books,
    pub(super) replays: Replays,
    /// How long a client may take nothing.
    pub(super) client_stall: Duration,
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
    fn begin<M>(&self, request: &Request<M>, rpc: Rpc) -> Told {
        let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
        let span = CallSpan::start(&self.tracer, request.metadata().as_ref(), rpc, id);
        Told::new(id, self.view, span, request.extensions().get().cloned())
    }

    /// Takes in the message of a call.
    fn call(
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
    /// `SHUTTING_DOWN`, and `INVALID_REQUEST` when its deadline cannot be read.
    pub(super) fn arrival<M>(&self, request: &Request<M>) -> Result<Arrival, Error> {
        let received = request.extensions().get().map_or_else(Instant::now, |Arrived(at)| *at);
        self.takes_calls()?;
        let headers = request.metadata().as_ref();
        Ok(Arrival { received, patience: grpc_timeout(headers)?, previous_attempts: previous_attempts(headers) })
    }

    fn takes_calls(&self) -> Result<(), Error> {
        match self.drain.is_refusing() {
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
        let request = convert::request(message, &self.rules)?;
        let trace = told.understood(&request, &self.books);
        let (id, ledger, keep) = (told.id, told.ledger.clone(), told.keep());
        let Arrival { received, patience, previous_attempts } = arrival;
        Ok(Call { id, request, delivery, received, patience, previous_attempts, ledger, trace, keep })
    }

    /// Runs `answer` unless the server ends before it does.
    pub(super) async fn unless_ended<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            answer = answer => answer,
            () = self.drain.ending() => Err(Error::new(Reason::ShuttingDown, "the server stops")),
        }
    }

    async fn reply(&self, call: Call) -> Result<Reply, Error> {
        self.pipeline.clone().oneshot(call).await
    }

    fn find(&self, request: &proto::GetCompletionRequest) -> Result<proto::GetCompletionResponse, Error> {
        let unknown = || {
            let message = "no call with this id is known here; it has ended too long ago, or was another process's";
            Error::new(Reason::CompletionNotFound, message)
        };
        let id = match convert::completion_id(request)? {
            CompletionId::Ours(id) => id,
            CompletionId::Own(own) => self.replays.call(own).ok_or_else(unknown)?,
        };
        let found = self.books.completions.find(id).ok_or_else(unknown)?;
        let answer = self.replays.answer(id);
        Ok(convert::completion(found, answer, self.view))
    }

    /// Nothing of it is kept: it is no completion.
    async fn count(&self, request: Request<proto::CountTokensRequest>, told: &Told) -> Result<Counted, Error> {
        let deadline = self.arrival(&request)?.deadline();
        let message = request.into_inner();
        told.charge_for(message.request.as_ref().map_or(0, expansion::footprint))?;
        let request = convert::to_count(message, &self.rules)?;
        self.unless_ended(self.router.count(request, deadline)).await
    }

    pub(super) async fn whole(&self, call: Call) -> Result<Answer, Error> {
        let mut events = self.reply(call).await?;
        let mut fold = Fold::default();
        while let Some(event) = events.next().await {
            fold.push(event?).map_err(|error| Error::new(Reason::Internal, error.to_string()))?;
        }
        fold.finish().ok_or_else(|| Error::cut_short().before_commit())
    }
}

#[tonic::async_trait]
impl CompletionService for Completions {
    type StreamCompleteStream = Watched;
    async fn complete(
        &self,
        request: Request<proto::CompleteRequest>,
    ) -> Result<Response<proto::CompleteResponse>, Status> {
        let mut told = self.begin(&request, Rpc::Complete);
        let answer = match self.call(request, Delivery::Whole, &mut told) {
            Ok(call) => self.unless_ended(self.whole(call)).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                told.completed(&answer.end);
                Ok(sized(convert::response(answer, told.view)))
            }
            Err(error) => Err(told.status(error)),
        }
    }

    async fn stream_complete(&self, request: Request<proto::CompleteRequest>) -> Result<Response<Watched>, Status> {
        let mut told = self.begin(&request, Rpc::StreamComplete);
        let call = match self.call(request, Delivery::Stream, &mut told) {
            Ok(call) => call,
            Err(error) => return Err(told.status(error)),
        };
        let until = call.patience.and_then(|patience| call.received.checked_add(patience));
        match self.unless_ended(self.reply(call)).await {
            Ok(reply) => {
                let mut response = Response::new(self.watch.send(reply, told, until));
                // Events are smaller than what compressing each of them adds.
                response.disable_compression();
                Ok(response)
            }
            Err(error) => Err(told.status(error)),
        }
    }

    async fn batch_complete(
        &self,
        request: Request<proto::BatchCompleteRequest>,
    ) -> Result<Response<proto::BatchCompleteResponse>, Status> {
        let mut told = self.begin(&request, Rpc::BatchComplete);
        match self.batch(request, &told).await {
            Ok(response) => {
                told.answered();
                Ok(Response::new(response))
            }
            Err(error) => Err(told.status(error)),
        }
    }

    type StreamBatchCompleteStream = Results;
    async fn stream_batch_complete(
        &self,
        request: Request<Streaming<proto::StreamBatchCompleteRequest>>,
    ) -> Result<Response<Results>, Status> {
        let mut told = self.begin(&request, Rpc::StreamBatchComplete);
        match self.arrival(&request) {
            Ok(arrival) => {
                let mut response = Response::new(self.stream_batch(request.into_inner(), arrival, told));
                // A result is on its way as soon as it is there.
                response.disable_compression();
                Ok(response)
            }
            Err(error) => Err(told.status(error)),
        }
    }

    async fn get_completion(
        &self,
        request: Request<proto::GetCompletionRequest>,
    ) -> Result<Response<proto::GetCompletionResponse>, Status> {
        let mut told = self.begin(&request, Rpc::GetCompletion);
        match self.find(&request.into_inner()) {
            Ok(found) => {
                told.answered();
                Ok(Response::new(found))
            }
            Err(error) => Err(told.status(error)),
        }
    }

    async fn count_tokens(
        &self,
        request: Request<proto::CountTokensRequest>,
    ) -> Result<Response<proto::CountTokensResponse>, Status> {
        let mut told = self.begin(&request, Rpc::CountTokens);
        match self.count(request, &told).await {
            Ok(counted) => {
                told.answered();
                Ok(Response::new(convert::counted(counted)))
            }
            Err(error) => Err(told.status(error)),
        }
    }

    async fn list_models(
        &self,
        request: Request<proto::ListModelsRequest>,
    ) -> Result<Response<proto::ListModelsResponse>, Status> {
        let mut told = self.begin(&request, Rpc::ListModels);
        match convert::models(self.tables.current().listed(), &request.into_inner()) {
            Ok(page) => {
                told.answered();
                Ok(Response::new(page))
            }
            Err(error) => Err(told.status(error)),
        }
    }
}

/// A response that is compressed only where that makes it smaller.
fn sized(message: proto::CompleteResponse) -> Response<proto::CompleteResponse> {
    let is_small = message.encoded_len() < WORTH_COMPRESSING;
    let mut response = Response::new(message);
    if is_small {
        response.disable_compression();
    }
    response
}
