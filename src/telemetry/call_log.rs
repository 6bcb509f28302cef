//! The one log line that a call writes at its end. It has numbers and names; there is no place in it for content.

use std::time::Duration;

use opentelemetry::trace::SpanContext;

use super::Rpc;
use super::attempt_span::Tried;
use super::completion::{cache_word, finish_word};
use super::semconv::log as key;
use crate::domain::{
    CallId, CallerName, Cost, FinishReason, Origin, Outcome, ProviderId, Request, RequestId, Tokens, Usage, UsageSource,
};

/// What the line will say, gathered while the call runs.
#[derive(Debug)]
pub(super) struct CallLog {
    id: CallId,
    rpc: Rpc,
    /// Who calls; none: callers are not told apart.
    caller: Option<CallerName>,
    trace: Option<SpanContext>,
    /// Of a completion: the caller's own id of it, and the bytes of its text.
    asked: Option<(Option<RequestId>, usize)>,
    answer_bytes: Option<usize>,
    origin: Option<Origin>,
    model: Option<String>,
    provider: Option<ProviderId>,
    max_tokens: Option<Tokens>,
    temperature: Option<f64>,
    usage: Option<(Tokens, Tokens, UsageSource)>,
    cost: Option<Cost>,
    finish: Option<FinishReason>,
}

/// Writes at a level that is known only when the call is over.
macro_rules! write_line {
    ($level:expr, $($fields:tt)*) => {
        match $level {
            tracing::Level::WARN => {
                tracing::event!(name: key::EVENT_ENDED, target: key::TARGET, tracing::Level::WARN, $($fields)*)
            }
            _ => tracing::event!(name: key::EVENT_ENDED, target: key::TARGET, tracing::Level::INFO, $($fields)*),
        }
    };
}

impl CallLog {
    /// A call begins.
    pub(super) fn start(id: CallId, rpc: Rpc, trace: &SpanContext) -> Self {
        tracing::event!(
            name: key::EVENT_STARTED,
            target: key::TARGET,
            tracing::Level::DEBUG,
            message = "call started",
            { key::ID } = %id,
            { key::RPC } = rpc.as_str(),
        );
        Self {
            id,
            rpc,
            caller: None,
            trace: trace.is_sampled().then(|| trace.clone()),
            asked: None,
            answer_bytes: None,
            origin: None,
            model: None,
            provider: None,
            max_tokens: None,
            temperature: None,
            usage: None,
            cost: None,
            finish: None,
        }
    }

    /// Who calls.
    pub(super) fn caller(&mut self, caller: Option<CallerName>) {
        self.caller = caller;
    }

    /// What is asked for.
    pub(super) fn request(&mut self, request: &Request) {
        self.asked = Some((request.request_id, request.prompt_bytes()));
        self.model = request.model.as_ref().map(ToString::to_string);
        self.max_tokens = request.max_tokens;
        self.temperature = request.sampling.temperature;
    }

    /// The bound on the answer, as far as it is known.
    pub(super) const fn max_tokens(&self) -> Option<Tokens> {
        self.max_tokens
    }

    /// This many more bytes of the answer are told.
    pub(super) fn said(&mut self, bytes: usize) {
        self.answer_bytes = Some(self.answer_bytes.unwrap_or_default().saturating_add(bytes));
    }

    /// What was told is void.
    pub(super) const fn unsaid(&mut self) {
        self.answer_bytes = None;
    }

    /// What answered, and how.
    pub(super) fn outcome(&mut self, outcome: &Outcome) {
        self.model = Some(outcome.model.to_string());
        self.provider = Some(outcome.provider.clone());
        self.max_tokens = Some(outcome.max_tokens);
        self.origin = Some(outcome.origin);
        self.finish = Some(outcome.finish.reason);
        self.used(Some(&outcome.finish.usage), outcome.cost.as_ref());
    }

    /// What was used and what it cost, as far as it is known.
    pub(super) fn used(&mut self, usage: Option<&Usage>, cost: Option<&Cost>) {
        let known = usage.filter(|usage| !usage.is_unknown());
        self.usage = known.map(|usage| (usage.input(), usage.output(), usage.source));
        self.cost = cost.cloned();
    }

    /// Writes the line: a warning where this server is at fault.
    pub(super) fn write(&self, tried: &Tried, status: &'static str, reason: Option<&'static str>, duration: Duration) {
        let provider = self.provider.as_ref().or(tried.provider.as_ref()).map(ProviderId::as_str);
        let level = if is_server_fault(status) { tracing::Level::WARN } else { tracing::Level::INFO };
        // A span of the caller's own is not ours to name.
        let span_id = self.trace.as_ref().filter(|trace| !trace.is_remote()).map(|trace| trace.span_id().to_string());
        let request_id = self.asked.and_then(|(id, _)| id).map(|id| id.to_string());
        let request_bytes = self.asked.map(|(_, bytes)| bytes);
        let stream = self.asked.map(|_| self.rpc.is_stream());
        let caller = self.caller.as_ref().map(CallerName::as_str);
        write_line!(
            level,
            message = "call ended",
            { key::ID } = %self.id,
            { key::RPC } = self.rpc.as_str(),
            { key::STATUS } = status,
            { key::REASON } = reason,
            { key::REQUEST_ID } = request_id,
            { key::CALLER } = caller,
            { key::STREAM } = stream,
            { key::MODEL } = self.model,
            { key::PROVIDER } = provider,
            { key::REQUEST_BYTES } = request_bytes,
            { key::ANSWER_BYTES } = self.answer_bytes,
            { key::CACHE_STATUS } = self.origin.map(cache_word),
            { key::MAX_TOKENS } = self.max_tokens.map(Tokens::get),
            { key::TEMPERATURE } = self.temperature,
            { key::INPUT_TOKENS } = self.usage.map(|(input, ..)| input.get()),
            { key::OUTPUT_TOKENS } = self.usage.map(|(_, output, _)| output.get()),
            { key::USAGE_SOURCE } = self.usage.map(|(.., source)| source_word(source)),
            { key::COST_USD } = self.cost.as_ref().map(|cost| cost.amount.to_string()),
            { key::FINISH_REASON } = self.finish.map(finish_word),
            { key::DURATION_MS } = milliseconds(duration),
            { key::TIME_TO_FIRST_EVENT_MS } = tried.first_event.map(milliseconds),
            { key::ATTEMPTS } = tried.attempts,
            { key::TRACE_ID } = self.trace.as_ref().map(|trace| trace.trace_id().to_string()),
            { key::SPAN_ID } = span_id,
        );
    }
}

/// The words of the contract for how sure a usage is.
const fn source_word(source: UsageSource) -> &'static str {
    match source {
        UsageSource::Provider => "PROVIDER",
        UsageSource::Partial => "PARTIAL",
        UsageSource::Estimated => "ESTIMATED",
        UsageSource::None => "NONE",
    }
}

/// The statuses that are the server's fault; a refused request is an answer.
pub(super) fn is_server_fault(status: &str) -> bool {
    matches!(status, "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS")
}

/// Whole milliseconds, for the log.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::io::{Read, Seek};
    use std::sync::Arc;

    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::super::{CallEnd, CallSpan, LogFormat, Tracer, subscriber};
    use super::*;
    use crate::domain::{Error, ModelName, Reason};

    fn lines(call: impl FnOnce()) -> Vec<serde_json::Value> {
        let file: Arc<File> = Arc::new(tempfile::tempfile().unwrap());
        let layer = subscriber::layer(LogFormat::Auto, subscriber::Surface::File, Arc::clone(&file));
        tracing::subscriber::with_default(Registry::default().with(layer), call);
        let (mut file, mut written) = (file.as_ref(), String::new());
        file.rewind().unwrap();
        file.read_to_string(&mut written).unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn start() -> Box<CallSpan> {
        CallSpan::start(&Tracer::off(), &http::HeaderMap::new(), Rpc::Complete, CallId::new(uuid::Uuid::nil()))
    }

    #[test]
    fn a_call_writes_one_line_at_its_end_with_what_is_known() {
        let lines = lines(|| {
            let mut call = start();
            let mut request = Request { model: Some(ModelName::new("smart")), ..Request::default() };
            request.max_tokens = Some(Tokens::new(7));
            request.sampling.temperature = Some(0.5);
            let _ = call.completion(&request);
            call.finish(CallEnd::Answered);
        });
        let [started, ended] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&started["level"], &started["message"]), (&"DEBUG".into(), &"call started".into()));
        assert_eq!((&ended["level"], &ended["message"]), (&"INFO".into(), &"call ended".into()));
        assert_eq!(ended[key::ID], "00000000-0000-0000-0000-000000000000");
        assert_eq!(ended[key::MAX_TOKENS], 7);
        assert_eq!(ended[key::TEMPERATURE], 0.5);
        let keys: BTreeSet<&str> = ended.as_object().unwrap().keys().map(String::as_str).collect();
        let known = [key::ID, key::RPC, key::STATUS, key::MODEL, key::MAX_TOKENS, key::TEMPERATURE, key::DURATION_MS];
        let known = known.into_iter().chain([key::STREAM, key::REQUEST_BYTES]);
        let known: BTreeSet<&str> = known.chain([key::ATTEMPTS, "timestamp", "level", "target", "message"]).collect();
        assert_eq!(keys, known);
    }

    #[test]
    fn only_faults_of_the_server_are_warnings() {
        let cases = [
            ("UNAVAILABLE", "WARN"),
            ("INTERNAL", "WARN"),
            ("DEADLINE_EXCEEDED", "WARN"),
            ("INVALID_ARGUMENT", "INFO"),
            ("NOT_FOUND", "INFO"),
            ("RESOURCE_EXHAUSTED", "INFO"),
        ];
        for (status, level) in cases {
            let error = Error::new(Reason::Internal, "a defect");
            let lines = lines(|| start().finish(CallEnd::Failed { status, error: &error }));
            assert_eq!(lines[1]["level"], level, "{status}");
            assert_eq!((&lines[1][key::STATUS], &lines[1][key::REASON]), (&status.into(), &"INTERNAL".into()));
        }
    }

    #[test]
    fn a_call_whose_caller_goes_away_writes_that() {
        let lines = lines(|| drop(start()));
        assert_eq!(lines[1][key::STATUS], "CANCELLED");
    }
}
