//! A call through the pipeline, from a request of the domain to its whole answer, with a transport that answers at once from
//! memory: every layer, limits of the caller that count, the ledger, what is kept about calls, and metrics.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use completiond::callers::{Allowance, Caller};
use completiond::config::{Config, Overrides, Sources};
use completiond::domain::{Answer, CallId, CallerName, Fold, PicoUsd, Request};
use completiond::pipeline::{Call, Nothing, Pipeline, Ready, Replays, Reuse, Settings, Tally, pipeline};
use completiond::pool::{Ledger, RetryBudget};
use completiond::protocol::Delivery;
use completiond::route::{Router, Tables};
use completiond::store::{Answers, Books, Fate, Finished, Quotas};
use completiond::telemetry::{CallEnd, CallSpan, GenAiNames, Guard, Instruments, Naming, Rpc};
use completiond::transport::{Incoming, Outgoing, Sending, Transport, TransportError};
use futures_util::StreamExt;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tower::ServiceExt;
use uuid::Uuid;

use crate::Failure;
use crate::conversions::understood;
use crate::round::{Round, TIMES};
use crate::samples::{self, Wire};

/// The pieces of a streamed answer.
const PIECES: usize = 32;
/// Limits that count, and that nobody reaches.
const ALLOWANCE: Allowance = Allowance {
    requests_per_minute: Some(4_000_000_000),
    tokens_per_minute: Some(4_000_000_000),
    spend_per_day: Some(PicoUsd::new(9_000_000_000_000_000_000)),
    in_flight: Some(100_000),
};
const CONFIGURATION: &str = "
allow_anonymous: true
default_model: smart
providers: [{ id: memory, protocol: openai, base_url: 'http://memory/v1', api_key: '${KEY}' }]
models: [{ id: smart, targets: [{ provider: memory, model: bench }], price: { input: 3.0, output: 15.0 } }]
";

/// A call whose answer comes in one piece.
pub(crate) fn whole() -> Result<Round, Failure> {
    Gateway::whole()?.round()
}

/// A call whose answer comes in 32 pieces.
pub(crate) fn stream() -> Result<Round, Failure> {
    let body = Wire::of("openai")?.stream(PIECES);
    Gateway::new(InMemory { kind: "text/event-stream", body: body.into() }, Delivery::Stream)?.round()
}

/// The upstream: the same answer to everybody.
#[derive(Debug)]
struct InMemory {
    kind: &'static str,
    body: Bytes,
}

impl Transport for InMemory {
    fn send(&self, outgoing: Outgoing) -> Sending {
        outgoing.departure.mark();
        let body = Full::new(self.body.clone()).map_err(|never| match never {}).boxed_unsync();
        let answer = http::Response::builder().header(CONTENT_TYPE, self.kind).body(body);
        let answer: Result<Incoming, _> = answer.map_err(|error| TransportError::Lost(error.into()));
        Box::pin(std::future::ready(answer))
    }
}

/// What a worker of the server makes calls with.
pub(crate) struct Gateway {
    runtime: Runtime,
    pipeline: Pipeline,
    books: Books,
    caller: Arc<Caller>,
    delivery: Delivery,
    instruments: Instruments,
    _telemetry: Guard,
}

impl Gateway {
    /// One whose upstream answers in one piece.
    pub(crate) fn whole() -> Result<Self, Failure> {
        let body = Wire::of("openai")?.answer();
        Self::new(InMemory { kind: "application/json", body: body.into() }, Delivery::Whole)
    }

    fn new(upstream: InMemory, delivery: Delivery) -> Result<Self, Failure> {
        let variable = |name: &str| (name == "KEY").then(|| "sk-bench".to_owned());
        let config =
            Config::parse(CONFIGURATION, Path::new("bench.yaml"), &Overrides::default(), &Sources::new(&variable))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tables = Tables::new(completiond::app::table(&config, None)?);
        let router = Router::new(tables.clone(), Arc::new(upstream), RetryBudget::full(Instant::now()));
        let settings = Settings { total: config.total, heartbeat: config.stream.heartbeat };
        let pipeline = pipeline(router, tables, runtime.block_on(ready(&config))?, settings);
        let telemetry = Guard::start(|_| None)?;
        let instruments = telemetry.instruments();
        instruments.metrics.measure(Naming { gen_ai: GenAiNames::default(), is_known: Arc::new(|_| true) });
        let caller = Caller { name: CallerName::new("bench"), allowance: ALLOWANCE, ..Caller::default() };
        Ok(Self {
            runtime,
            pipeline,
            books: Books::default(),
            caller: Arc::new(caller),
            delivery,
            instruments,
            _telemetry: telemetry,
        })
    }

    /// A request, and what it was answered.
    pub(crate) fn answered(&self) -> Result<(Request, Answer), Failure> {
        let request = understood(samples::prompt())?;
        let answer = self.runtime.block_on(self.call(request.clone()))?;
        Ok((request, answer))
    }

    /// Calls one after the other, and what they leave for the metrics is counted.
    fn round(self) -> Result<Round, Failure> {
        let (request, answer) = self.answered()?;
        if answer.end.cost.is_none() || answer.text().is_empty() {
            return Err(format!("an answer without a text or a cost: {answer:?}").into());
        }
        let mut requests = vec![request; 2 * TIMES];
        Ok(Round::of(TIMES, move || {
            self.runtime.block_on(async {
                for _ in 0..TIMES {
                    let request = requests.pop().ok_or("there are no requests left")?;
                    self.call(request).await?;
                }
                Ok::<(), Failure>(())
            })?;
            self.instruments.metrics.count_now();
            Ok(())
        }))
    }

    /// What the edge does with a call that it has understood.
    async fn call(&self, request: Request) -> Result<Answer, Failure> {
        let rpc = if self.delivery == Delivery::Stream { Rpc::StreamComplete } else { Rpc::Complete };
        let (id, ledger) = (CallId::new(Uuid::now_v7()), Ledger::default());
        let span = CallSpan::start(&self.instruments.tracer, &HeaderMap::new(), rpc, id);
        let mut span = span.counted_by(&self.instruments.metrics).of_caller(&self.caller.name);
        let record = self.books.open((id, &self.caller.name), &request, &ledger);
        let call = Call {
            id,
            caller: Arc::clone(&self.caller),
            trace: span.completion(&request),
            request: Box::new(request),
            delivery: self.delivery,
            received: Instant::now(),
            patience: None,
            previous_attempts: 0,
            ledger,
            keep: Arc::new(Nothing),
        };
        let mut events = self.pipeline.clone().oneshot(call).await?;
        let mut fold = Fold::default();
        while let Some(event) = events.next().await {
            let event = event?;
            span.told(&event);
            fold.push(event)?;
        }
        let answer: Answer = fold.finish().ok_or("an answer without an end")?;
        record.answered_by(&answer.end.model);
        record.close(Fate::Succeeded(answer.end.finish.reason));
        span.finish(CallEnd::Completed(&answer.end));
        Ok(answer)
    }
}

/// The answers that are there already: none.
async fn ready(config: &Config) -> Result<Ready, Failure> {
    let tally = Tally::default();
    Ok(Ready {
        reuse: Reuse::new(config.cache.clone(), Answers::open(&config.cache).await?, tally.clone()),
        replays: Replays::new(Finished::open(&config.completions).await?, tally),
        quotas: Quotas::open(None).await?,
    })
}
