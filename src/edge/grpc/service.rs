//! The handlers: a message becomes a call, and what comes back becomes a response, events or a status.

use std::sync::Arc;

use futures_util::StreamExt;
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tower::ServiceExt;
use uuid::Uuid;

use super::admission::Arrived;
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
}

impl Completions {
    /// What will be told about a call that begins; the admission has given it its id.
    fn begin<M>(&self, request: &Request<M>, rpc: Rpc) -> Told {
        let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
        let span = CallSpan::start(&self.tracer, request.metadata().as_ref(), rpc, id);
        Told::new(id, self.view, span, request.extensions().get().cloned())
    }

    /// Takes a message in.
    fn call(
        &self,
        request: Request<proto::CompleteRequest>,
        delivery: Delivery,
        told: &mut Told,
    ) -> Result<Call, Error> {
        let received = request.extensions().get().map_or_else(Instant::now, |Arrived(at)| *at);
        if self.drain.is_refusing() {
            return Err(Error::new(Reason::ShuttingDown, "the server stops and takes no new calls"));
        }
        let (metadata, _, message) = request.into_parts();
        let patience = grpc_timeout(metadata.as_ref())?;
        let previous_attempts = previous_attempts(metadata.as_ref());
        told.charge_for(expansion::footprint(&message))?;
        let request = convert::request(message, &self.rules)?;
        let trace = told.understood(&request, &self.books);
        let (id, ledger, keep) = (told.id, told.ledger.clone(), told.keep());
        Ok(Call { id, request, delivery, received, patience, previous_attempts, ledger, trace, keep })
    }

    /// Runs `answer` unless the server ends before it does.
    async fn unless_ended<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            answer = answer => answer,
            () = self.drain.ending() => Err(Error::new(Reason::ShuttingDown, "the server stops")),
        }
    }

    async fn reply(&self, call: Call) -> Result<Reply, Error> {
        self.pipeline.clone().oneshot(call).await
    }

    async fn find(&self, request: &proto::GetCompletionRequest) -> Result<proto::GetCompletionResponse, Error> {
        let id = convert::completion_id(request)?;
        let known = match id {
            CompletionId::Ours(id) => Some(id),
            CompletionId::Own(own) => self.replays.call(own),
        };
        if let Some(id) = known
            && let Some(found) = self.books.completions.find(id)
        {
            return Ok(convert::completion(found, self.replays.answer(id), self.view));
        }
        let elsewhere = match (known, id) {
            (Some(id), _) => self.replays.answer_elsewhere(id).await,
            (None, CompletionId::Own(own)) => self.replays.call_elsewhere(own).await,
            (None, CompletionId::Ours(_)) => None,
        };
        elsewhere.map(|found| convert::completion_elsewhere(found, self.view)).ok_or_else(|| {
            let message = "no call with this id is known here; it has ended too long ago, or was another process's";
            Error::new(Reason::CompletionNotFound, message)
        })
    }

    /// Nothing of it is kept: it is no completion.
    async fn count(&self, request: Request<proto::CountTokensRequest>, told: &Told) -> Result<Counted, Error> {
        let received = request.extensions().get().map_or_else(Instant::now, |Arrived(at)| *at);
        if self.drain.is_refusing() {
            return Err(Error::new(Reason::ShuttingDown, "the server stops and takes no new calls"));
        }
        let (metadata, _, message) = request.into_parts();
        let patience = grpc_timeout(metadata.as_ref())?;
        told.charge_for(message.request.as_ref().map_or(0, expansion::footprint))?;
        let request = convert::to_count(message, &self.rules)?;
        let deadline = patience.and_then(|patience| received.checked_add(patience));
        self.unless_ended(self.router.count(request, deadline)).await
    }

    async fn whole(&self, call: Call) -> Result<Answer, Error> {
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
        _: Request<proto::BatchCompleteRequest>,
    ) -> Result<Response<proto::BatchCompleteResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type StreamBatchCompleteStream = futures_util::stream::Empty<Result<proto::StreamBatchCompleteResponse, Status>>;
    async fn stream_batch_complete(
        &self,
        _: Request<tonic::Streaming<proto::StreamBatchCompleteRequest>>,
    ) -> Result<Response<Self::StreamBatchCompleteStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_completion(
        &self,
        request: Request<proto::GetCompletionRequest>,
    ) -> Result<Response<proto::GetCompletionResponse>, Status> {
        let mut told = self.begin(&request, Rpc::GetCompletion);
        match self.find(&request.into_inner()).await {
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
