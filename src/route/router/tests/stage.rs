//! A pool of endpoints that play what a script says, and calls to it, on a clock that stands still but where it is waited
//! for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::*;
use crate::domain::{AttemptOutcome, Block, CallId, Message, ModelId, ModelName, Request, Role};
use crate::pool::{Endpoint, Ledger, Provider};
use crate::route::table::tests::{provider, rules};
use crate::route::{Alias, Hedge, Hedging, Lead};
use crate::telemetry::CallTrace;
use crate::transport::{Incoming, Outgoing, Sending, TransportError};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What an endpoint does with one request.
#[derive(Clone, Debug)]
pub(super) enum Play {
    /// It answers with these pieces, each so long after the one before.
    Answer(Vec<(Duration, Piece)>),
    /// It refuses with this status after so long, and asks to wait for so many seconds.
    Refuse(Duration, u16, Option<u32>),
    /// It says nothing.
    Silence,
}

/// A piece of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    /// The answer begins.
    Start,
    /// A piece of text.
    Text(&'static str),
    /// The answer is complete.
    End,
    /// The connection is lost.
    Lost,
    /// The provider says in the place of a chunk that it rejects the request.
    Rejection,
    /// Nothing more comes.
    Stall,
}

/// It answers `text`, and begins after so long.
pub(super) fn answers(after: Duration, text: &'static str) -> Play {
    let now = Duration::ZERO;
    Play::Answer(vec![(after, Piece::Start), (now, Piece::Text(text)), (now, Piece::End)])
}

/// It answers `text`, and then this happens.
pub(super) fn breaks(text: &'static str, with: Piece) -> Play {
    let now = Duration::ZERO;
    Play::Answer(vec![(now, Piece::Start), (now, Piece::Text(text)), (SECOND, with)])
}

pub(super) fn refuses(status: u16) -> Play {
    Play::Refuse(Duration::ZERO, status, None)
}

impl Piece {
    fn chunk(delta: &serde_json::Value, finish: Option<&str>) -> Bytes {
        let choice = serde_json::json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let chunk = serde_json::json!({ "object": "chat.completion.chunk", "model": "m", "choices": [choice] });
        Bytes::from(format!("data: {chunk}\n\n"))
    }

    /// The bytes, or why none come.
    async fn bytes(self) -> Result<Bytes, TransportError> {
        match self {
            Self::Start => Ok(Self::chunk(&serde_json::json!({ "role": "assistant", "content": "" }), None)),
            Self::Text(text) => Ok(Self::chunk(&serde_json::json!({ "content": text }), None)),
            Self::End => {
                Ok([Self::chunk(&serde_json::json!({}), Some("stop")), "data: [DONE]\n\n".into()].concat().into())
            }
            Self::Rejection => Ok(Bytes::from_static(b"data: {\"error\":{\"message\":\"no\",\"code\":400}}\n\n")),
            Self::Lost => Err(TransportError::Lost("the script says so".into())),
            Self::Stall => std::future::pending().await,
        }
    }
}

impl Play {
    async fn perform(self) -> Result<Incoming, TransportError> {
        let pieces = match self {
            Self::Answer(pieces) => pieces,
            Self::Refuse(after, status, hint) => {
                tokio::time::sleep(after).await;
                let refusal = http::Response::builder().status(status);
                let refusal = hint.into_iter().fold(refusal, |refusal, hint| refusal.header("retry-after", hint));
                let body = http_body_util::Full::new(Bytes::from_static(b"{\"error\":{\"message\":\"no\"}}"));
                return Ok(refusal.body(body.map_err(|never| match never {}).boxed_unsync()).unwrap());
            }
            Self::Silence => std::future::pending().await,
        };
        let pieces = stream::iter(pieces).then(|(after, piece)| async move {
            tokio::time::sleep(after).await;
            piece.bytes().await.map(Frame::data)
        });
        let head = http::Response::builder().header("content-type", "text/event-stream");
        Ok(head.body(StreamBody::new(pieces).boxed_unsync()).unwrap())
    }
}

/// What each endpoint plays, request after request, by its provider; its last play is repeated.
#[derive(Debug, Default)]
struct Script {
    plays: Mutex<BTreeMap<String, VecDeque<Play>>>,
    sent: Mutex<Vec<(String, Instant)>>,
}

impl Transport for Script {
    fn send(&self, outgoing: Outgoing) -> Sending {
        let name = outgoing.request.uri().host().unwrap().to_owned();
        let mut plays = self.plays.lock().unwrap();
        let plays = plays.get_mut(&name).unwrap();
        let play = if plays.len() > 1 { plays.pop_front().unwrap() } else { plays[0].clone() };
        self.sent.lock().unwrap().push((name, Instant::now()));
        Box::pin(play.perform())
    }
}

/// A pool behind a router.
pub(super) struct Stage {
    script: Arc<Script>,
    pub(super) budget: RetryBudget,
    pub(super) router: Router,
    endpoints: BTreeMap<String, Arc<Endpoint>>,
    start: Instant,
}

/// The endpoint `provider/model`, or one whose model nobody knows.
fn endpoint(name: &str, model: &str) -> Arc<Endpoint> {
    let provider = Arc::into_inner(provider(name)).unwrap();
    let provider = Provider { base_url: format!("http://{name}/v1").parse().unwrap(), ..provider };
    Arc::new(Endpoint::known(&Arc::new(provider), ModelId::new(model)))
}

impl Stage {
    /// Endpoints in the order of their priorities.
    pub(super) fn new<const N: usize>(cast: [(&str, Vec<Play>); N]) -> Self {
        Self::with(cast, None)
    }

    /// The same with hedging.
    pub(super) fn hedged<const N: usize>(cast: [(&str, Vec<Play>); N], hedge: Hedge) -> Self {
        Self::with(cast, Some(hedge))
    }

    fn with<const N: usize>(cast: [(&str, Vec<Play>); N], hedge: Option<Hedge>) -> Self {
        let (script, start) = (Arc::new(Script::default()), Instant::now());
        let mut endpoints = BTreeMap::new();
        let mut targets = Vec::new();
        for (priority, (name, plays)) in (0..).zip(cast) {
            let (name, model) = name.split_once('/').unwrap_or((name, "own"));
            let endpoint = endpoint(name, model);
            targets.push(Target { endpoint: Arc::clone(&endpoint), priority, weight: 1 });
            endpoints.insert(name.to_owned(), endpoint);
            script.plays.lock().unwrap().insert(name.to_owned(), plays.into());
        }
        let hedge = hedge.map(|rule| Arc::new(Hedging::new(rule)));
        let name = ModelName::new("smart");
        let aliases = vec![Alias { name: name.clone(), lead: Lead { targets, fallbacks: Vec::new(), hedge } }];
        let tables = Tables::new(Table::new(Vec::new(), aliases, Some(name), rules()));
        let budget = RetryBudget::full(start);
        let transport: Arc<dyn Transport> = Arc::clone(&script) as _;
        let router = Router::new(tables, transport, budget.clone());
        Self { script, budget, router, endpoints, start }
    }

    /// From now on the endpoint plays this.
    pub(super) fn plays(&self, name: &str, plays: Vec<Play>) {
        self.script.plays.lock().unwrap().insert(name.to_owned(), plays.into());
    }

    /// Calls until so much is known about the first endpoint that it can be called late.
    pub(super) async fn rehearse(&mut self) {
        for _ in 0..20 {
            assert!(self.call(ordinary()).await.error.is_none());
        }
        self.script.sent.lock().unwrap().clear();
        self.start = Instant::now();
    }

    /// Nobody is retried any more.
    pub(super) fn spend_budget(&self) {
        while self.budget.take(Instant::now()) {}
    }

    pub(super) fn endpoint(&self, name: &str) -> &Endpoint {
        &self.endpoints[name]
    }

    /// Whom requests were sent to, and how long after the beginning.
    pub(super) fn sent(&self) -> Vec<String> {
        let sent = self.script.sent.lock().unwrap();
        sent.iter().map(|(name, at)| format!("{name} after {:?}", round(*at - self.start))).collect()
    }

    /// How long after the beginning the first request was sent, to the nanosecond.
    pub(super) fn first_sent(&self) -> Duration {
        self.script.sent.lock().unwrap()[0].1 - self.start
    }

    /// Whom requests were sent to.
    pub(super) fn asked(&self) -> Vec<String> {
        self.script.sent.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    /// Makes a call and hears it out, or until its deadline.
    pub(super) async fn call(&self, asked: Asked) -> Told {
        let (deadline, ledger) = (asked.deadline, asked.ledger.clone());
        let begun = Instant::now();
        let mut events = Vec::new();
        let over = tokio::time::timeout_at(deadline, async {
            let mut answer = self.router.route(asked).await?;
            while let Some(event) = answer.next().await {
                events.push(event?);
            }
            Ok(())
        });
        let error = match over.await {
            Ok(over) => over.err(),
            Err(_) => Some(Error::new(Reason::Cancelled, "the deadline has passed")),
        };
        Told { events, error, after: round(begun.elapsed()), ledger }
    }
}

/// To hundredths of a second, since the clock ticks in milliseconds.
fn round(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from((time.as_millis() + 5) / 10 * 10).unwrap())
}

/// A streamed call with an hour of time.
pub(super) fn ordinary() -> Asked {
    let message = Message { role: Role::User, content: vec![Block::text("Hello?")], state: None };
    Asked {
        id: CallId::new(uuid::Uuid::nil()),
        request: Box::new(Request { messages: vec![message], ..Request::default() }),
        delivery: Delivery::Stream,
        deadline: Instant::now() + 3600 * SECOND,
        previous_attempts: 0,
        ledger: Ledger::default(),
        trace: CallTrace::off(),
    }
}

/// The same with so much time.
pub(super) fn within(time: Duration) -> Asked {
    Asked { deadline: Instant::now() + time, ..ordinary() }
}

/// What a caller heard.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) events: Vec<Event>,
    pub(super) error: Option<Error>,
    pub(super) after: Duration,
    ledger: Ledger,
}

impl Told {
    /// The texts, with what begins them and what ends them.
    pub(super) fn story(&self) -> Vec<String> {
        let events = self.events.iter().filter_map(|event| match event {
            Event::Started(started) => Some(format!("{} starts", started.provider)),
            Event::BlockDelta { delta: crate::domain::Delta::Text(text), .. } => Some(text.clone()),
            Event::Restarted(Restarted { by, attempt }) => {
                Some(format!("{} starts anew as attempt {attempt}", by.provider))
            }
            Event::Completed(outcome) => Some(format!("{} is done", outcome.provider)),
            _ => None,
        });
        events.chain(self.error.iter().map(|error| error.reason.to_string())).collect()
    }

    /// What is on record.
    pub(super) fn ledger(&self) -> Vec<String> {
        let line = |attempt: &crate::domain::Attempt| {
            let provider = &attempt.endpoint.provider;
            match attempt.outcome {
                AttemptOutcome::Finished => format!("{provider} finished"),
                AttemptOutcome::Failed(reason) => format!("{provider} failed: {reason}"),
                AttemptOutcome::Dropped => format!("{provider} dropped"),
                AttemptOutcome::Skipped(reason) => format!("{provider} skipped: {reason}"),
            }
        };
        self.ledger.lines().iter().map(line).collect()
    }
}
