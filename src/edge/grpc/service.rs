//! The handlers: a message becomes a call, and what comes back becomes a response, events or a status.

use std::sync::Arc;

use futures_util::StreamExt;
use http::HeaderMap;
use prost::Message;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tower::ServiceExt;
use uuid::Uuid;

use super::convert::{self, LedgerView, RequestRules};
use super::status;
use super::timeout::grpc_timeout;
use super::watched::{Watch, Watched};
use crate::domain::{Answer, CallId, Error, Fold, Reason};
use crate::edge::Drain;
use crate::pipeline::{Call, Pipeline, Reply};
use crate::pool::Ledger;
use crate::proto;
use crate::proto::completion_service_server::CompletionService;
use crate::protocol::Delivery;
use crate::route::Tables;

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
}

/// What a caller is told about its call, however it ends.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Our id of it.
    pub(crate) id: CallId,
    /// What was tried for it.
    pub(crate) ledger: Ledger,
    /// How much of that the caller sees.
    pub(crate) view: LedgerView,
}

impl Told {
    /// The status of a failure, with all that was tried and used until it came.
    pub(super) fn status(&self, error: Error) -> Status {
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
        status::status(&error, Some(self.id), self.view)
    }
}

impl Completions {
    /// Takes a message in.
    fn call(&self, request: Request<proto::CompleteRequest>, delivery: Delivery, told: &Told) -> Result<Call, Error> {
        let received = Instant::now();
        if self.drain.is_refusing() {
            return Err(Error::new(Reason::ShuttingDown, "the server stops and takes no new calls"));
        }
        let (metadata, _, message) = request.into_parts();
        let headers = metadata.into_headers();
        Ok(Call {
            id: told.id,
            patience: grpc_timeout(&headers)?,
            request: convert::request(message, &self.rules)?,
            delivery,
            received,
            ledger: told.ledger.clone(),
            trace: HeaderMap::new(),
        })
    }

    async fn answer(&self, call: Call) -> Result<Reply, Error> {
        self.pipeline.clone().oneshot(call).await
    }

    async fn whole(&self, call: Call) -> Result<Answer, Error> {
        let mut events = self.answer(call).await?;
        let mut fold = Fold::default();
        while let Some(event) = events.next().await {
            fold.push(event?).map_err(|error| Error::new(Reason::Internal, error.to_string()))?;
        }
        fold.finish().ok_or_else(|| Error::cut_short().before_commit())
    }

    /// What the caller will be told about a call that begins; the admission has given it its id.
    fn told<M>(&self, request: &Request<M>) -> Told {
        let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
        Told { id, ledger: Ledger::default(), view: self.view }
    }
}

#[tonic::async_trait]
impl CompletionService for Completions {
    type StreamCompleteStream = Watched;

    async fn complete(
        &self,
        request: Request<proto::CompleteRequest>,
    ) -> Result<Response<proto::CompleteResponse>, Status> {
        let told = self.told(&request);
        let answer = async { self.whole(self.call(request, Delivery::Whole, &told)?).await };
        let answer = tokio::select! {
            answer = answer => answer,
            () = self.drain.ending() => Err(Error::new(Reason::ShuttingDown, "the server stops")),
        };
        match answer {
            Ok(answer) => Ok(sized(convert::response(answer, told.view))),
            Err(error) => Err(told.status(error)),
        }
    }

    async fn stream_complete(&self, request: Request<proto::CompleteRequest>) -> Result<Response<Watched>, Status> {
        let told = self.told(&request);
        let reply = async { self.answer(self.call(request, Delivery::Stream, &told)?).await };
        let reply = tokio::select! {
            reply = reply => reply,
            () = self.drain.ending() => Err(Error::new(Reason::ShuttingDown, "the server stops")),
        };
        match reply {
            Ok(reply) => {
                let mut response = Response::new(self.watch.send(reply, told));
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
        let told = self.told(&request);
        let page = convert::models(self.tables.current().listed(), &request.into_inner());
        page.map(Response::new).map_err(|error| told.status(error))
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
