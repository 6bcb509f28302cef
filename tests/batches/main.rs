//! Many calls in one, over real sockets: as one message and as a stream.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

#[path = "../stage/mod.rs"]
mod stage;
mod streamed;
mod whole;

use completiond::proto::batch_result::Result::{Response, Status as Failed};
use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::{BatchResult, CompleteRequest, CompleteResponse, Completion, GetCompletionRequest};
use prost::Message;
use stage::{Stage, prompt};
use tonic::transport::{Channel, Endpoint};
use tonic_types::{ErrorDetails, StatusExt, pb};

const FAST: &str = "first_event=0ms pace=0ms";

/// A request that the simulator plays `script` for.
fn asked(script: &str) -> CompleteRequest {
    prompt(&format!("sim: {script}\nhello"))
}

fn client(stage: &Stage) -> CompletionServiceClient<Channel> {
    let address = Endpoint::try_from(format!("http://{}", stage.address())).unwrap();
    CompletionServiceClient::new(address.connect_lazy())
}

/// The answer that a result is.
fn answer(result: &BatchResult) -> &CompleteResponse {
    match result.result.as_ref().unwrap() {
        Response(response) => response,
        Failed(status) => panic!("it failed: {status:?}"),
    }
}

/// The code and the details of the failure that a result is.
fn failure(result: &BatchResult) -> (i32, ErrorDetails) {
    match result.result.as_ref().unwrap() {
        Failed(status) => (status.code, details(status)),
        Response(response) => panic!("it is an answer: {response:?}"),
    }
}

fn details(status: &pb::Status) -> ErrorDetails {
    let whole = status.encode_to_vec();
    tonic::Status::with_details(status.code.into(), status.message.clone(), whole.into()).get_error_details()
}

fn reason(result: &BatchResult) -> String {
    failure(result).1.error_info().unwrap().reason.clone()
}

async fn completion(stage: &Stage, id: &str) -> Completion {
    let by = GetCompletionRequest { id: id.to_owned(), ..Default::default() };
    client(stage).get_completion(by).await.unwrap().into_inner().completion.unwrap()
}
