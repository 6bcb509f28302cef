//! Answers that are there already, over real sockets: from the cache, joined while they are made, and sent again.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod cache;
mod flights;
mod ids;
#[path = "../stage/mod.rs"]
mod stage;

use completiond::proto::stream_complete_response::Event;
use completiond::proto::{CacheStatus, CompleteRequest, CompleteResponse, CompletionOutcome};
use prost::Message;
use stage::{End, Events, Stage, Wire, prompt};
use tonic::Code::Ok as Fine;

/// A cache, and a model whose tokens have a price.
const CACHED: &str = "
cache: { enabled: true }
models: [{ id: m, targets: [{ provider: up, model: simulator }], price: { input: 1.0, output: 2.0 } }]";

/// A request that is answered by so many tokens, and that the cache may answer.
fn asked(script: &str) -> CompleteRequest {
    CompleteRequest { model: "m".to_owned(), temperature: Some(0.0), ..prompt(&format!("sim: {script}\nhello")) }
}

/// A whole answer.
async fn whole(wire: &Wire, request: &CompleteRequest) -> CompleteResponse {
    let mut answer = Events::of(wire.send("Complete", request, &[]).await.unwrap());
    let bytes = answer.next_bytes().await;
    let end = answer.end().await;
    end.expect(Fine, "", "");
    CompleteResponse::decode(bytes.unwrap()).unwrap()
}

/// A stream to its end, folded: its text and its outcome.
async fn folded(mut events: Events) -> Result<(String, CompletionOutcome), End> {
    let (mut text, mut outcome, mut last) = (String::new(), None, None);
    while let Some(event) = events.next().await {
        assert!(last.is_none_or(|last| event.sequence == last + 1), "there are no gaps");
        last = Some(event.sequence);
        match event.event.unwrap() {
            Event::BlockDelta(delta) => {
                let completiond::proto::stream_complete_response::block_delta::Delta::Text(more) = delta.delta.unwrap()
                else {
                    panic!("only text")
                };
                text += &more;
            }
            Event::Completed(end) => outcome = Some(end),
            _ => {}
        }
    }
    let end = events.end().await;
    outcome.map(|outcome| (text, *outcome)).ok_or(end)
}

fn status(outcome: &CompletionOutcome) -> CacheStatus {
    outcome.cache_status()
}

/// How many requests the upstream had.
fn upstream(stage: &Stage) -> usize {
    stage.upstream.received().len()
}
