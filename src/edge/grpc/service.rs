//! The handlers: a message becomes a call, and what comes back becomes a response, events or a status.

use std::sync::Arc;

use futures_util::StreamExt;
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tower::ServiceExt;
use uuid::Uuid;

use super::admission::{Arrived, Charge};
use super::convert::{self, LedgerView, RequestRules};
use super::status;
use super::timeout::grpc_timeout;
use super::watched::{Watch, Watched};
use crate::domain::{Answer, CallId, Error, Fold, Outcome, Reason};
use crate::edge::Drain;
use crate::pipeline::{Call, Pipeline, Reply};
use crate::pool::Ledger;
use crate::proto;
use crate::proto::completion_service_server::CompletionService;
use crate::protocol::Delivery;
use crate::route::Tables;
use crate::telemetry::{CallEnd, CallSpan, CallTrace, Rpc, Tracer};

/// The size from which a response is compressed for callers that take it, in bytes.
const WORTH_COMPRESSING: usize = 1024;

/// The handlers of one worker.
#[derive(Clone, Debug)]
pub(super) struct Completions {
    pub(super) pipeline: Pipeline,
    pub(super) tables: Tables,
    pub(super) rules: Arc<RequestRules>,
    pub(super) view: LedgerView,
    pub(super) watch: Watch,
    pub(super) drain: Drain,
    pub(super) tracer: Tracer,
}

/// What a caller and an operator are told about a call, however it ends. Dropped before its end was told, it says that
/// the caller went away.
#[derive(Debug)]
pub(crate) struct Told {
    /// Our id of it.
    pub(super) id: CallId,
    /// How much of the ledger the caller sees.
    pub(super) view: LedgerView,
    ledger: Ledger,
    /// Its span and its log line; none once they were written.
    span: Option<CallSpan>,
    /// What the admission has taken for it.
    charge: Option<Arc<Charge>>,
}

impl Told {
    /// The answer is complete.
    pub(super) fn completed(&mut self, outcome: &Outcome) {
        if let Some(span) = self.span.take() {
            span.finish(CallEnd::Completed(outcome));
        }
    }

    /// The answer is no completion.
    fn answered(&mut self) {
        if let Some(span) = self.span.take() {
            span.finish(CallEnd::Answered);
        }
    }

    /// The call is over, though its client does not take the rest: what was taken for it is free for others.
    pub(super) fn give_back(&self) {
        if let Some(charge) = &self.charge {
            charge.give_back();
        }
    }

    /// The status of a failure, with all that was tried and used until it came.
    pub(super) fn status(&mut self, error: Error) -> Status {
        let error = error.with(|details| {
            details.attempts = self.ledger.lines();
            let last = details.attempts.iter().rev();
            if details.usage.is_none() {
                details.usage = last.clone().find_map(|attempt| attempt.usage.clone());
            }
            if details.cost.is_none() {
                details.cost = last.clone().find_map(|attempt| attempt.cost);
            }
        });
        let status = status::status(&error, Some(self.id), self.view);
        if let Some(span) = self.span.take() {
            span.finish(CallEnd::Failed { status: status::name(status.code()), error: &error });
        }
        status
    }
}

impl Completions {
    /// What will be told about a call that begins; the admission has given it its id.
    fn begin<M>(&self, request: &Request<M>, rpc: Rpc) -> Told {
        let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
        let span = CallSpan::start(&self.tracer, request.metadata().as_ref(), rpc, id);
        Told {
            id,
            view: self.view,
            ledger: Ledger::default(),
            span: Some(span),
            charge: request.extensions().get().cloned(),
        }
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
        if let Some(charge) = &told.charge {
            charge.raise_to(message.encoded_len())?;
        }
        let request = convert::request(message, &self.rules)?;
        let trace = told.span.as_mut().map_or_else(CallTrace::off, |span| span.completion(&request));
        Ok(Call { id: told.id, request, delivery, received, patience, ledger: told.ledger.clone(), trace })
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
