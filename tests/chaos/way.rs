//! The ways to ask for a completion, and what a caller sees of each.

use std::fmt;
use std::time::Duration;

use completiond::proto::stream_complete_response::block_delta::Delta;
use completiond::proto::stream_complete_response::{BlockDelta, Event};
use completiond::proto::{Attempt, AttemptOutcome, CompleteRequest, CompletionOutcome, StreamCompleteResponse};
use tonic::{Code, Request};

use crate::support::{Client, Seen, Server, fold};

/// What a caller asks for here, and what the answer must be.
pub(crate) const TEXT: &str = "an answer that is told in so many words that it can break in the middle of them";
/// The deadline of every call: far beyond what any of them takes. A call that hangs fails by it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How a completion is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `Complete`, of an answer so short that the upstream is asked for it whole.
    Whole,
    /// `Complete`, of an answer that the upstream streams.
    Folded,
    /// `StreamComplete`.
    Stream,
    /// `StreamComplete` with `restart_on_interruption`.
    Restart,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Whole, Self::Folded, Self::Stream, Self::Restart];

    /// Whether something of the answer leaves before all of it is there.
    pub(crate) fn streams(self) -> bool {
        matches!(self, Self::Stream | Self::Restart)
    }

    /// The request for `model`.
    pub(crate) fn request(self, model: &str) -> Request<CompleteRequest> {
        let mut request = Request::new(CompleteRequest {
            model: model.into(),
            prompt: format!("sim: echo\n{TEXT}"),
            max_tokens: (self == Self::Whole).then_some(100),
            restart_on_interruption: self == Self::Restart,
            ..CompleteRequest::default()
        });
        request.set_timeout(DEADLINE);
        request
    }

    /// Asks `server` for `model`.
    pub(crate) async fn ask(self, server: &Server, model: &str) -> Saw {
        self.send(server.client(), self.request(model)).await
    }

    /// Sends `request` in this way and reads the answer to its end.
    pub(crate) async fn send(self, mut client: Client, request: Request<CompleteRequest>) -> Saw {
        let asked = async {
            if self.streams() {
                return streamed(client, request).await;
            }
            match client.complete(request).await {
                Ok(response) => {
                    let response = response.into_inner();
                    Saw::Answer { text: response.text, restarts: 0, outcome: response.outcome.unwrap() }
                }
                Err(status) => Saw::Refusal(Seen::of(&status)),
            }
        };
        tokio::time::timeout(2 * DEADLINE, asked).await.unwrap_or_else(|_| panic!("a call hangs"))
    }
}

async fn streamed(mut client: Client, request: Request<CompleteRequest>) -> Saw {
    let mut events = match client.stream_complete(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return Saw::Refusal(Seen::of(&status)),
    };
    let mut told = Vec::new();
    loop {
        match events.message().await {
            Ok(Some(event)) => told.push(event),
            Ok(None) => break,
            Err(status) => {
                return Saw::Break { text: text_of(&told), failure: Seen::of(&status) };
            }
        }
    }
    let folded = fold::fold(&told).unwrap_or_else(|error| panic!("{error}: {told:#?}"));
    let restarts = told.iter().filter(|told| matches!(told.event, Some(Event::Restarted(_)))).count();
    Saw::Answer { text: folded.text, restarts, outcome: folded.outcome.unwrap() }
}

/// The text so far: what came before a restart is void.
fn text_of(told: &[StreamCompleteResponse]) -> String {
    let mut text = String::new();
    for event in told.iter().filter_map(|told| told.event.as_ref()) {
        match event {
            Event::Restarted(_) => text.clear(),
            Event::BlockDelta(BlockDelta { delta: Some(Delta::Text(more)), .. }) => text.push_str(more),
            _ => {}
        }
    }
    text
}

/// What a caller saw.
#[derive(Clone, Debug)]
pub(crate) enum Saw {
    /// A complete answer.
    Answer { text: String, restarts: usize, outcome: Box<CompletionOutcome> },
    /// A failure before anything of an answer.
    Refusal(Seen),
    /// A failure after a part of the answer.
    Break { text: String, failure: Seen },
}

impl Saw {
    /// The ledger, as it was told.
    pub(crate) fn ledger(&self) -> &[Attempt] {
        match self {
            Self::Answer { outcome, .. } => &outcome.attempts,
            Self::Refusal(failure) | Self::Break { failure, .. } => &failure.failure().attempts,
        }
    }

    /// The ledger in short: `a/m FAILED PROVIDER_TIMEOUT`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.ledger().iter().map(line).collect()
    }

    /// How many requests were made to providers, by the ledger.
    pub(crate) fn sent(&self) -> usize {
        self.ledger().iter().filter(|attempt| attempt.outcome() != AttemptOutcome::Skipped).count()
    }

    /// Whether it is a complete and right answer. One that is complete and not right fails the test.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Answer { text, .. } => {
                assert_eq!(text, TEXT, "a truncated answer looks complete");
                true
            }
            Self::Refusal(_) => false,
            Self::Break { text, .. } => {
                assert!(TEXT.starts_with(text.as_str()), "not a part of the answer: {text}");
                false
            }
        }
    }

    /// What it ended with: `OK`, or the code with the reason.
    pub(crate) fn kind(&self) -> (Code, &str) {
        match self {
            Self::Answer { .. } => (Code::Ok, ""),
            Self::Refusal(failure) | Self::Break { failure, .. } => failure.kind(),
        }
    }
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { restarts: 0, outcome, .. } => write!(f, "OK from {}", outcome.provider),
            Self::Answer { outcome, .. } => write!(f, "OK from {}, restarted", outcome.provider),
            Self::Refusal(failure) => write!(f, "{}", failure.reason),
            Self::Break { failure, .. } => write!(f, "{} after content", failure.reason),
        }
    }
}

fn line(attempt: &Attempt) -> String {
    let outcome = attempt.outcome().as_str_name().trim_start_matches("ATTEMPT_OUTCOME_");
    format!("{} {outcome} {}", attempt.endpoint, attempt.reason).trim_end().to_owned()
}
