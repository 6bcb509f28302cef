//! The instruments that the records of calls go into.

use std::sync::Arc;

use foldhash::HashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter};

use super::call_log::is_server_fault;
use super::feed::{AttemptKind, AttemptRecord, CallRecord, Record, Way};
use super::gen_ai::GenAi;
use super::names::{Names, Standing, shown};
use super::semconv;
use super::semconv::metrics as names;
use crate::domain::AttemptOutcome;

/// Seconds of an RPC, as the conventions want them; above 10 for answers that take longer than other RPCs.
const RPC_BOUNDS: [f64; 18] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0];
/// Seconds of the gateway's own: most are far below a millisecond.
const OVERHEAD_BOUNDS: [f64; 14] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

/// The kinds of attempts whose series are at hand. Beyond it all are looked up again.
const MOST_AT_HAND: usize = 1024;

/// Which names the metrics of the generative AI conventions have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GenAiNames {
    /// Those of 0.1.
    #[default]
    Latest,
    /// Those that were there before it, and that dashboards of other gateways know.
    Legacy,
    /// Both.
    Both,
}

/// How what is counted is called.
#[derive(Clone)]
pub struct Naming {
    /// The names of the conventions.
    pub gen_ai: GenAiNames,
    /// Whether the configuration has this name of a model, or this `provider/model`.
    pub is_known: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl std::fmt::Debug for Naming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Naming").field("gen_ai", &self.gen_ai).finish_non_exhaustive()
    }
}

/// All of them.
pub(super) struct Measured {
    naming: Naming,
    rpc: Histogram<f64>,
    overhead: Histogram<f64>,
    refused: Counter<u64>,
    attempts: Counter<u64>,
    retries: Counter<u64>,
    failovers: Counter<u64>,
    hedges: Counter<u64>,
    lost: Counter<u64>,
    gen_ai: GenAi,
    endpoints: Names,
    at_hand: AtHand,
}

/// Series that were looked up.
#[derive(Default)]
struct AtHand {
    /// By method, system and status.
    rpcs: HashMap<[&'static str; 3], BoundHistogram<f64>>,
    /// By method.
    overheads: HashMap<&'static str, BoundHistogram<f64>>,
    attempts: HashMap<AttemptKind, BoundCounter<u64>>,
}

impl Measured {
    pub(super) fn new(meter: &Meter, naming: Naming) -> Self {
        let count = |name, unit, help| meter.u64_counter(name).with_unit(unit).with_description(help).build();
        let seconds = |name, bounds: &[f64], help| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(help);
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        Self {
            rpc: seconds(names::RPC_SERVER_CALL_DURATION, &RPC_BOUNDS, "The duration of calls to this server."),
            overhead: seconds(
                names::GATEWAY_OVERHEAD,
                &OVERHEAD_BOUNDS,
                "The time of calls less what they waited for a provider or their client.",
            ),
            refused: count(names::CALLS_REFUSED, "{call}", "Calls that were not let in."),
            attempts: count(names::ATTEMPTS, "{attempt}", "Requests to providers that have ended."),
            retries: count(names::RETRIES, "{attempt}", "Attempts at an endpoint that the same call had asked before."),
            failovers: count(names::FAILOVERS, "{attempt}", "Attempts at another endpoint after one had failed."),
            hedges: count(names::HEDGES, "{attempt}", "Attempts beside one that was late."),
            lost: count(names::RECORDS_LOST, "{record}", "What came faster than it was counted: it is in no metric."),
            gen_ai: GenAi::new(meter, naming.gen_ai),
            endpoints: Names::default(),
            at_hand: AtHand::default(),
            naming,
        }
    }

    pub(super) fn count(&mut self, record: Record) {
        match record {
            Record::Call(call) => self.call(&call),
            Record::Attempt(attempt) => self.attempt(&attempt),
            Record::Refused(reason) => self.refused.add(1, &[KeyValue::new(semconv::REASON, reason)]),
        }
    }

    pub(super) fn lost(&self, records: u64) {
        // Zero is told too, so that an alarm has something to look at.
        self.lost.add(records, &[]);
    }

    fn call(&mut self, call: &CallRecord) {
        let Self { at_hand, rpc, overhead, .. } = self;
        if let Some((status, duration)) = call.rpc {
            let series = at_hand.rpcs.entry([call.method, call.system, status]);
            series.or_insert_with(|| rpc.bind(&of_rpc(call, status))).record(duration.as_secs_f64());
        }
        if let Some(time) = call.overhead {
            let method = || KeyValue::new(semconv::RPC_METHOD, call.method);
            let series = at_hand.overheads.entry(call.method);
            series.or_insert_with(|| overhead.bind(&[method()])).record(time.as_secs_f64());
        }
        if let Some(completion) = &call.completion {
            self.gen_ai.count(completion, &*self.naming.is_known);
        }
    }

    fn attempt(&mut self, attempt: &AttemptRecord) {
        let kind = &attempt.kind;
        if attempt.way == Way::First
            && let Some(series) = self.at_hand.attempts.get(kind)
        {
            series.add(1);
            return;
        }
        let (outcome, reason) = match kind.outcome {
            AttemptOutcome::Finished => ("finished", None),
            AttemptOutcome::Failed(reason) => ("failed", Some(reason)),
            AttemptOutcome::Dropped => ("dropped", None),
            // Nothing was sent.
            AttemptOutcome::Skipped(_) => return,
        };
        let (endpoint, is_final) = self.endpoint(kind);
        let of_way = match attempt.way {
            Way::First => None,
            Way::Retry => Some(&self.retries),
            Way::Failover => Some(&self.failovers),
            Way::Hedge => Some(&self.hedges),
        };
        if let Some(counter) = of_way {
            counter.add(1, std::slice::from_ref(&endpoint));
        }
        let mut attributes = vec![endpoint, KeyValue::new(semconv::ATTEMPT_OUTCOME, outcome)];
        attributes.extend(reason.map(|reason| KeyValue::new(semconv::REASON, reason.as_str())));
        let series = self.attempts.bind(&attributes);
        series.add(1);
        // Who is not told apart now may be later.
        if is_final {
            if self.at_hand.attempts.len() >= MOST_AT_HAND {
                self.at_hand.attempts.clear();
            }
            self.at_hand.attempts.insert(kind.clone(), series);
        }
    }

    /// How the endpoint of an attempt is told, and whether it always will be.
    fn endpoint(&mut self, kind: &AttemptKind) -> (KeyValue, bool) {
        let endpoint = format!("{}/{}", kind.provider, kind.model);
        let standing = match kind.outcome {
            _ if (self.naming.is_known)(&endpoint) => Standing::Known,
            AttemptOutcome::Finished => Standing::Answered,
            _ => Standing::Claimed,
        };
        // The provider is the configuration's: only the model may be made up.
        let shown = shown(&endpoint);
        let is_told = self.endpoints.admits(&shown, standing);
        let told = if is_told { shown.into_owned() } else { format!("{}/{}", kind.provider, names::OTHER) };
        (KeyValue::new(semconv::ENDPOINT, told), is_told)
    }
}

fn of_rpc(call: &CallRecord, status: &'static str) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(semconv::RPC_SYSTEM_NAME, call.system),
        KeyValue::new(semconv::RPC_METHOD, call.method),
        KeyValue::new(semconv::RPC_STATUS_CODE, status),
    ];
    if is_server_fault(status) {
        attributes.push(KeyValue::new(semconv::ERROR_TYPE, status));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Uri};

    use super::*;
    use crate::domain::{CallId, Error, Identity, ModelId, ModelName, ProviderId, Reason, Request, Vendor};
    use crate::telemetry::{CallEnd, CallSpan, CallTrace, Instruments, Metrics, Rpc, Target, Tracer};

    fn measured() -> Metrics {
        let metrics = Instruments::from(Tracer::off()).metrics;
        metrics.measure(Naming { gen_ai: GenAiNames::Latest, is_known: Arc::new(|name| name == "smart") });
        metrics
    }

    fn call(metrics: &Metrics) -> (Box<CallSpan>, CallTrace) {
        let id = CallId::new(uuid::Uuid::nil());
        let mut call = CallSpan::start(&Tracer::off(), &HeaderMap::new(), Rpc::Complete, id).counted_by(metrics);
        let request = Request { model: Some(ModelName::new("smart")), ..Request::default() };
        let trace = call.completion(&request);
        (call, trace)
    }

    fn attempt(trace: &CallTrace, model: &str, outcome: AttemptOutcome) {
        let identity = Identity::new(ProviderId::new("p"), Vendor::new("v"), ModelId::new(model));
        let address = Uri::from_static("http://localhost/");
        trace.attempt(Target { identity: &identity, telemetry_name: "v", address: &address }).settle(outcome);
    }

    async fn told(metrics: &Metrics, of: &[&str]) -> Vec<String> {
        let text = metrics.text().await;
        let text = String::from_utf8(text.to_vec()).unwrap();
        let lines = text.lines().filter(|line| of.iter().any(|name| line.starts_with(name)));
        lines.map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn an_attempt_is_the_first_a_retry_a_failover_or_a_hedge() {
        let metrics = measured();
        let (call, trace) = call(&metrics);
        let failed = AttemptOutcome::Failed(Reason::ProviderUnavailable);
        attempt(&trace, "a", failed);
        attempt(&trace, "a", failed);
        attempt(&trace, "b", failed);
        attempt(&trace.beside(), "c", AttemptOutcome::Finished);
        attempt(&trace, "b", AttemptOutcome::Dropped);
        drop(call);
        let names = ["completiond_retries_total", "completiond_failovers_total", "completiond_hedges_total"];
        let lines = told(&metrics, &names).await;
        let has = |start: &str, model: &str, count: &str| {
            let endpoint = format!("completiond_endpoint=\"p/{model}\"");
            lines.iter().any(|line| line.starts_with(start) && line.contains(&endpoint) && line.ends_with(count))
        };
        // Nobody has answered by these names when they are counted, and the configuration has none of them.
        assert!(has(names[0], "(other)", " 2") && has(names[1], "(other)", " 1"), "{lines:?}");
        assert!(has(names[2], "c", " 1") && lines.len() == 3, "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_gateways_own_time_is_what_is_left_when_waits_are_taken_away() {
        let metrics = measured();
        let (call, trace) = call(&metrics);
        tokio::time::advance(Duration::from_millis(3)).await;
        let waiting = trace.waits().begin();
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(waiting);
        tokio::time::advance(Duration::from_millis(4)).await;
        attempt(&trace, "a", AttemptOutcome::Failed(Reason::ProviderUnavailable));
        let error = Error::new(Reason::ProviderUnavailable, "down");
        call.finish(CallEnd::Failed { status: "UNAVAILABLE", error: &error });
        let lines = told(&metrics, &["completiond_gateway_overhead_seconds_sum"]).await;
        assert!(lines[0].ends_with(" 0.007"), "{lines:?}");
    }

    #[tokio::test]
    async fn a_call_of_a_batch_is_a_completion_and_no_rpc() {
        let metrics = measured();
        let id = CallId::new(uuid::Uuid::nil());
        let batch = CallSpan::start(&Tracer::off(), &HeaderMap::new(), Rpc::BatchComplete, id).counted_by(&metrics);
        for _ in 0..2 {
            let mut item = batch.item(id);
            attempt(&item.completion(&Request::default()), "a", AttemptOutcome::Finished);
            drop(item);
        }
        batch.finish(CallEnd::Answered);
        let names = ["rpc_server_call_duration_seconds_count", "gen_ai_client_inference_duration_seconds_count"];
        let lines = told(&metrics, &names).await;
        assert!(lines.len() == 2 && lines[0].ends_with(" 2") && lines[1].ends_with(" 1"), "{lines:?}");
        assert!(told(&metrics, &["completiond_gateway"]).await.is_empty(), "results of a batch wait for each other");
    }

    #[tokio::test]
    async fn what_cannot_be_known_is_not_told() {
        let metrics = measured();
        let (call, _) = call(&metrics);
        // Perhaps it waited for what was made for another.
        call.finish(CallEnd::Failed { status: "UNAVAILABLE", error: &Error::new(Reason::ProviderUnavailable, "down") });
        let lines = told(&metrics, &["completiond_gateway", "gen_ai_", "completiond_calls_refused"]).await;
        assert!(lines.is_empty(), "{lines:?}");
    }
}
