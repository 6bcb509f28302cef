//! The handlers: a message becomes a call, and what comes back becomes a response, events or a status.

use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::batch::Results;
use super::calls::Completions;
use super::convert::{self, CompletionId};
use super::expansion;
use super::told::Told;
use super::watched::Watched;
use crate::domain::{Error, ListedModel, Owned, Reason};
use crate::proto;
use crate::proto::completion_service_server::CompletionService;
use crate::protocol::Delivery;
use crate::route::Counted;
use crate::store::Completion;
use crate::telemetry::{Rpc, Work};

/// The size from which a response is compressed for callers that take it, in bytes.
const WORTH_COMPRESSING: usize = 1024;

impl Completions {
    /// What became of a call of this caller.
    async fn find(
        &self,
        request: &proto::GetCompletionRequest,
        told: &Told,
    ) -> Result<proto::GetCompletionResponse, Error> {
        let id = convert::completion_id(request)?;
        let caller = &told.caller.name;
        let known = match id {
            CompletionId::Ours(id) => Some(id),
            CompletionId::Own(own) => self.replays.call(Owned::new(caller, own)),
        };
        let here = known.and_then(|id| self.books.completions.find(id, caller));
        // A call that has failed here may have been made by another process since.
        let is_settled = |found: &Completion| match id {
            CompletionId::Ours(_) => true,
            CompletionId::Own(_) => found.may_have_an_answer(),
        };
        if let Some(found) = here.clone().filter(is_settled) {
            let answer = self.replays.answer(Owned::new(caller, found.id));
            return Ok(convert::completion(found, answer, told.view));
        }
        let elsewhere = match id {
            CompletionId::Own(own) => self.replays.call_elsewhere(Owned::new(caller, own)).await,
            CompletionId::Ours(id) => self.replays.answer_elsewhere(Owned::new(caller, id)).await,
        };
        match (elsewhere, here) {
            (Some(found), _) => Ok(convert::completion_elsewhere(found, told.view)),
            (None, Some(found)) => Ok(convert::completion(found, None, told.view)),
            (None, None) => {
                let message = "no call with this id is known here; it has ended too long ago, or was another process's";
                Err(Error::new(Reason::CompletionNotFound, message))
            }
        }
    }

    /// The models that the caller may ask for.
    fn listed(&self, told: &Told) -> Vec<ListedModel> {
        let table = self.tables.current();
        let listed = table.listed().iter().filter(|listed| told.caller.models.allow(&listed.name));
        listed.cloned().collect()
    }

    /// Nothing of it is kept: it is no completion.
    async fn count(&self, request: Request<proto::CountTokensRequest>, told: &Told) -> Result<Counted, Error> {
        let deadline = self.arrival(&request)?.deadline();
        let message = request.into_inner();
        told.charge_for(message.request.as_ref().map_or(0, expansion::footprint))?;
        let request = convert::to_count(message, &self.rules)?;
        self.permit(&request, &told.caller)?;
        let span = told.work(Work::Counting);
        self.unless_ended(self.router.count(request, deadline, &span)).await
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
            Ok(call) => self.unless_ended(Box::pin(self.whole(call))).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                told.completed_whole(&answer);
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
        match self.unless_ended(Box::pin(self.reply(call))).await {
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
        match self.find(&request.into_inner(), &told).await {
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
        match convert::models(&self.listed(&told), &request.into_inner()) {
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
    // A long text says so by itself; to add up all lengths takes as long as to write them.
    let is_small = message.text.len() < WORTH_COMPRESSING && message.encoded_len() < WORTH_COMPRESSING;
    let mut response = Response::new(message);
    if is_small {
        response.disable_compression();
    }
    response
}
