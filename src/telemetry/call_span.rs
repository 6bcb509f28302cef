//! The spans of one call: the RPC as the caller sees it, and under it the completion with all its attempts.

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer as _};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use tokio::time::Instant;

use super::call_log::CallLog;
use super::{AttemptSpan, Target, Tracer, propagation, semconv};
use crate::domain::{
    CallId, Error, FinishReason, ModelName, Outcome, ReasoningAmount, Request, ResponseFormat, Tokens, Usage,
};

/// The methods that are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// `Complete`.
    Complete,
    /// `StreamComplete`.
    StreamComplete,
    /// `ListModels`.
    ListModels,
}

impl Rpc {
    /// The method without its service.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::StreamComplete => "StreamComplete",
            Self::ListModels => "ListModels",
        }
    }

    /// The fully qualified method.
    pub const fn full_name(self) -> &'static str {
        match self {
            Self::Complete => "completiond.v1.CompletionService/Complete",
            Self::StreamComplete => "completiond.v1.CompletionService/StreamComplete",
            Self::ListModels => "completiond.v1.CompletionService/ListModels",
        }
    }
}

/// A completion that begins.
#[derive(Clone, Copy, Debug)]
pub struct Inference<'a> {
    /// The request; of it, only numbers and names of settings are recorded.
    pub request: &'a Request,
    /// What was asked for, the default filled in.
    pub model: &'a ModelName,
    /// The bound on the answer, where it is known already.
    pub max_tokens: Option<Tokens>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub enum CallEnd<'a> {
    /// With an answer that is no completion.
    Answered,
    /// With a completion.
    Completed(&'a Outcome),
    /// With a failure.
    Failed {
        /// The gRPC status by its name.
        status: &'static str,
        /// What failed.
        error: &'a Error,
    },
}

/// The spans and the log line of one call. It lives as long as the reply: dropped without [`CallSpan::finish`], it says
/// that the caller went away.
#[derive(Debug)]
#[must_use = "the call's spans end and its log line is written when it is dropped"]
pub struct CallSpan {
    tracer: Tracer,
    rpc: Rpc,
    server: Context,
    completion: Option<Context>,
    started: Instant,
    log: CallLog,
    /// False once its end was told.
    open: bool,
}

impl CallSpan {
    /// Begins the span of a call, under the caller's own where `headers` carry one.
    pub fn start(tracer: &Tracer, headers: &HeaderMap, rpc: Rpc, id: CallId) -> Self {
        let server = tracer.child(&propagation::extract(headers), rpc.full_name(), SpanKind::Server, || {
            vec![
                KeyValue::new(semconv::RPC_SYSTEM_NAME, "grpc"),
                KeyValue::new(semconv::RPC_METHOD, rpc.full_name()),
                KeyValue::new(semconv::CALL_ID, id.to_string()),
            ]
        });
        let log = CallLog::start(id, rpc, server.span().span_context());
        Self { tracer: tracer.clone(), rpc, server, completion: None, started: Instant::now(), log, open: true }
    }

    /// The request was understood: begins the span of the completion.
    pub fn inference(&mut self, inference: Inference<'_>) {
        self.log.request(inference);
        let name = format!("chat {}", inference.model);
        let stream = self.rpc == Rpc::StreamComplete;
        let context = self.tracer.child(&self.server, name, SpanKind::Client, || {
            let mut attributes = request_attributes(inference);
            if stream {
                attributes.push(KeyValue::new(semconv::GEN_AI_REQUEST_STREAM, true));
            }
            attributes
        });
        self.completion = Some(context);
    }

    /// Begins the span of one request to a provider.
    pub fn attempt(&mut self, target: Target<'_>) -> AttemptSpan {
        let resends = self.log.attempt(target.identity);
        let parent = self.completion.as_ref().unwrap_or(&self.server);
        if self.tracer.is_on() {
            parent.span().set_attribute(KeyValue::new(semconv::GEN_AI_PROVIDER_NAME, target.telemetry_name.to_owned()));
        }
        AttemptSpan::start(&self.tracer, parent, target, resends)
    }

    /// The first event of an answer came; later calls change nothing.
    pub fn first_event(&mut self) {
        let elapsed = self.started.elapsed();
        self.log.first_event(elapsed);
    }

    /// The call is over.
    pub fn finish(mut self, end: CallEnd<'_>) {
        self.end(Some(end));
    }

    /// Ends the call; none: the caller went away.
    fn end(&mut self, end: Option<CallEnd<'_>>) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let duration = self.started.elapsed();
        let (status, reason) = match end {
            None => ("CANCELLED", Some("CANCELLED")),
            Some(CallEnd::Failed { status, error }) => (status, Some(error.reason.as_str())),
            Some(CallEnd::Answered | CallEnd::Completed(_)) => ("OK", None),
        };
        if self.tracer.is_on() {
            self.end_completion(end, reason);
            self.end_server(status, reason);
        }
        match end {
            Some(CallEnd::Completed(outcome)) => self.log.outcome(outcome),
            Some(CallEnd::Failed { error, .. }) => self.log.usage(error.details.usage.as_ref()),
            Some(CallEnd::Answered) | None => {}
        }
        self.log.write(status, reason, duration);
    }

    fn end_server(&self, status: &'static str, reason: Option<&'static str>) {
        let span = self.server.span();
        span.set_attribute(KeyValue::new(semconv::RPC_STATUS_CODE, status));
        if let Some(reason) = reason {
            span.set_attribute(KeyValue::new(semconv::REASON, reason));
        }
        if is_server_fault(status) {
            span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, status));
            span.set_status(Status::error(status));
        }
        span.end();
    }

    fn end_completion(&self, end: Option<CallEnd<'_>>, reason: Option<&'static str>) {
        let Some(context) = &self.completion else { return };
        let span = context.span();
        if span.is_recording() {
            if let (Rpc::StreamComplete, Some(first)) = (self.rpc, self.log.time_to_first_event()) {
                span.set_attribute(KeyValue::new(semconv::GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, first.as_secs_f64()));
            }
            match end {
                Some(CallEnd::Completed(outcome)) => span.set_attributes(response_attributes(outcome)),
                Some(CallEnd::Failed { error, .. }) => {
                    span.set_attributes(error.details.usage.iter().flat_map(usage_attributes));
                }
                Some(CallEnd::Answered) | None => {}
            }
            if let Some(reason) = reason {
                span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, reason));
                span.set_attribute(finish_reasons("error"));
                span.set_status(Status::error(reason));
            }
        }
        span.end();
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Tracer {
    /// Whether spans are made.
    pub(super) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The context of a new span under `parent`; `parent` itself where no spans are made, so that a caller's trace goes
    /// through. `attributes` are asked for only when the span is sampled.
    pub(super) fn child(
        &self,
        parent: &Context,
        name: impl Into<std::borrow::Cow<'static, str>>,
        kind: SpanKind,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Context {
        let Some(tracer) = &self.0 else { return parent.clone() };
        let mut span = tracer.build_with_context(tracer.span_builder(name).with_kind(kind), parent);
        if span.is_recording() {
            span.set_attributes(attributes());
        }
        parent.with_span(span)
    }
}

/// The statuses that are the server's fault; a refused request is an answer.
pub(super) fn is_server_fault(status: &str) -> bool {
    matches!(status, "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS")
}

/// The words of the conventions for the end of an answer.
pub(super) const fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence => "stop",
        FinishReason::MaxTokens | FinishReason::ContextWindow => "length",
        FinishReason::ToolCalls => "tool_call",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
        FinishReason::Pause => "pause",
        FinishReason::Other => "other",
    }
}

fn finish_reasons(word: &'static str) -> KeyValue {
    let words = Value::Array(Array::String(vec![StringValue::from(word)]));
    KeyValue::new(semconv::GEN_AI_RESPONSE_FINISH_REASONS, words)
}

fn request_attributes(inference: Inference<'_>) -> Vec<KeyValue> {
    let Inference { request, model, max_tokens } = inference;
    let sampling = request.sampling;
    let float = |name, value: Option<f64>| value.map(|value| KeyValue::new(name, value));
    let whole = |name, value: Option<i64>| value.map(|value| KeyValue::new(name, value));
    let level = request.reasoning.and_then(|reasoning| match reasoning.amount? {
        ReasoningAmount::Effort(effort) => Some(effort.as_str()),
        ReasoningAmount::Budget(_) => None,
    });
    let json = request.response_format != ResponseFormat::Text;
    let max_tokens = max_tokens.or(request.max_tokens);
    [
        Some(KeyValue::new(semconv::GEN_AI_OPERATION_NAME, "chat")),
        Some(KeyValue::new(semconv::GEN_AI_REQUEST_MODEL, model.to_string())),
        whole(semconv::GEN_AI_REQUEST_MAX_TOKENS, max_tokens.map(|tokens| i64::from(tokens.get()))),
        float(semconv::GEN_AI_REQUEST_TEMPERATURE, sampling.temperature),
        float(semconv::GEN_AI_REQUEST_TOP_P, sampling.top_p),
        whole(semconv::GEN_AI_REQUEST_TOP_K, sampling.top_k.map(i64::from)),
        float(semconv::GEN_AI_REQUEST_FREQUENCY_PENALTY, sampling.frequency_penalty),
        float(semconv::GEN_AI_REQUEST_PRESENCE_PENALTY, sampling.presence_penalty),
        whole(semconv::GEN_AI_REQUEST_SEED, sampling.seed),
        level.map(|level| KeyValue::new(semconv::GEN_AI_REQUEST_REASONING_LEVEL, level)),
        json.then(|| KeyValue::new(semconv::GEN_AI_OUTPUT_TYPE, "json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn response_attributes(outcome: &Outcome) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(semconv::GEN_AI_RESPONSE_MODEL, outcome.model.to_string()),
        KeyValue::new(semconv::PROVIDER_ID, outcome.provider.to_string()),
        KeyValue::new(semconv::GEN_AI_REQUEST_MAX_TOKENS, i64::from(outcome.max_tokens.get())),
        finish_reasons(finish_word(outcome.finish.reason)),
    ];
    attributes.extend(usage_attributes(&outcome.finish.usage));
    attributes
}

fn usage_attributes(usage: &Usage) -> Vec<KeyValue> {
    if usage.is_unknown() {
        return Vec::new();
    }
    let tokens = |name, tokens: Tokens| KeyValue::new(name, i64::from(tokens.get()));
    vec![
        tokens(semconv::GEN_AI_USAGE_INPUT_TOKENS, usage.input()),
        tokens(semconv::GEN_AI_USAGE_OUTPUT_TOKENS, usage.output()),
        tokens(semconv::GEN_AI_USAGE_CACHE_READ, usage.cache_read()),
        tokens(semconv::GEN_AI_USAGE_CACHE_WRITE, usage.cache_write()),
        tokens(semconv::GEN_AI_USAGE_REASONING, usage.reasoning()),
    ]
}

/// Whole milliseconds, for the log.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
