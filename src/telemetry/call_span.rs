//! The spans of one call: the RPC as the caller sees it, and under it the completion with all its attempts.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use opentelemetry::trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue};
use tokio::time::Instant;

use super::attempt_span::Tried;
use super::call_log::{CallLog, is_server_fault};
use super::capture::Said;
use super::completion::{finish_reasons, finish_word, request_attributes, response_attributes, usage_attributes};
use super::feed::{CallRecord, CompletionKind, CompletionRecord, Record, TokenSums};
use super::{CallTrace, Metrics, Tracer, Waits, Work, WorkSpan, propagation, semconv};
use crate::domain::{
    Block, CallId, CallerName, Cost, Error, Event, ModelName, Origin, Outcome, Reason, Request, Usage,
};

/// The methods that are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// `Complete`.
    Complete,
    /// `Complete`, by plain HTTP.
    PlainComplete,
    /// `StreamComplete`.
    StreamComplete,
    /// `StreamComplete`, by plain HTTP.
    PlainStreamComplete,
    /// `BatchComplete`.
    BatchComplete,
    /// `StreamBatchComplete`.
    StreamBatchComplete,
    /// `GetCompletion`.
    GetCompletion,
    /// `CountTokens`.
    CountTokens,
    /// `ListModels`.
    ListModels,
    /// `Reload`.
    Reload,
    /// `ListUsage`.
    ListUsage,
    /// `ClearCache`.
    ClearCache,
}

impl Rpc {
    /// The method without its service.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete | Self::PlainComplete => "Complete",
            Self::StreamComplete | Self::PlainStreamComplete => "StreamComplete",
            Self::BatchComplete => "BatchComplete",
            Self::StreamBatchComplete => "StreamBatchComplete",
            Self::GetCompletion => "GetCompletion",
            Self::CountTokens => "CountTokens",
            Self::ListModels => "ListModels",
            Self::Reload => "Reload",
            Self::ListUsage => "ListUsage",
            Self::ClearCache => "ClearCache",
        }
    }

    /// The fully qualified method.
    pub const fn full_name(self) -> &'static str {
        match self {
            Self::Complete | Self::PlainComplete => "completiond.v1.CompletionService/Complete",
            Self::StreamComplete | Self::PlainStreamComplete => "completiond.v1.CompletionService/StreamComplete",
            Self::BatchComplete => "completiond.v1.CompletionService/BatchComplete",
            Self::StreamBatchComplete => "completiond.v1.CompletionService/StreamBatchComplete",
            Self::GetCompletion => "completiond.v1.CompletionService/GetCompletion",
            Self::CountTokens => "completiond.v1.CompletionService/CountTokens",
            Self::ListModels => "completiond.v1.CompletionService/ListModels",
            Self::Reload => "completiond.v1.AdminService/Reload",
            Self::ListUsage => "completiond.v1.AdminService/ListUsage",
            Self::ClearCache => "completiond.v1.AdminService/ClearCache",
        }
    }

    /// By what it was called: gRPC, which gRPC-Web is too, or plain HTTP.
    pub const fn system(self) -> &'static str {
        match self {
            Self::PlainComplete | Self::PlainStreamComplete => "http",
            _ => "grpc",
        }
    }

    /// Whether one answer is told as it is made.
    pub(super) const fn is_stream(self) -> bool {
        matches!(self, Self::StreamComplete | Self::PlainStreamComplete)
    }
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
    /// Its caller went away.
    Left {
        /// What was used by then; none: nothing is known.
        usage: Option<&'a Usage>,
        /// What that cost; none: no price is known.
        cost: Option<&'a Cost>,
    },
}

/// The spans and the log line of one call. It lives as long as the reply: dropped without [`CallSpan::finish`], it says
/// that the caller went away.
#[derive(Debug)]
#[must_use = "the call's spans end and its log line is written when it is dropped"]
pub struct CallSpan {
    tracer: Tracer,
    rpc: Rpc,
    /// Who calls; none: callers are not told apart.
    caller: Option<CallerName>,
    server: Context,
    /// Whether the span of the RPC is that of a batch, of which this is one call: it ends with the batch.
    is_item: bool,
    completion: Option<CallTrace>,
    started: Instant,
    log: CallLog,
    metrics: Option<Metrics>,
    waits: Waits,
    /// What was asked for.
    model: Option<ModelName>,
    /// The answer, where it is captured.
    said: Option<Said>,
    /// False once its end was told.
    open: bool,
}

impl CallSpan {
    /// Begins the span of a call, under the caller's own where `headers` carry one. In a box: it is handed from hand to hand.
    pub fn start(tracer: &Tracer, headers: &HeaderMap, rpc: Rpc, id: CallId) -> Box<Self> {
        let server =
            tracer.child(&propagation::extract(headers, tracer.baggage()), rpc.full_name(), SpanKind::Server, || {
                vec![
                    KeyValue::new(semconv::RPC_SYSTEM_NAME, rpc.system()),
                    KeyValue::new(semconv::RPC_METHOD, rpc.full_name()),
                    KeyValue::new(semconv::CALL_ID, id.to_string()),
                ]
            });
        let log = CallLog::start(id, rpc, server.span().span_context());
        Box::new(Self {
            tracer: tracer.clone(),
            rpc,
            caller: None,
            server,
            is_item: false,
            completion: None,
            started: Instant::now(),
            log,
            metrics: None,
            waits: Waits::default(),
            model: None,
            said: None,
            open: true,
        })
    }

    /// The same call, which leaves in `metrics` how it ended.
    pub fn counted_by(mut self: Box<Self>, metrics: &Metrics) -> Box<Self> {
        self.metrics = Some(metrics.clone());
        self
    }

    /// The same call, made by `caller`.
    pub fn of_caller(mut self: Box<Self>, caller: &CallerName) -> Box<Self> {
        if !caller.is_nobody() {
            let span = self.server.span();
            if span.is_recording() {
                span.set_attribute(KeyValue::new(semconv::CALLER, caller.to_string()));
            }
            self.caller = Some(caller.clone());
            self.log.caller(self.caller.clone());
        }
        self
    }

    /// What the call waits for.
    pub const fn waits(&self) -> &Waits {
        &self.waits
    }

    /// One call of the batch whose span this is: it has a log line and a completion of its own.
    pub fn item(&self, id: CallId) -> Box<Self> {
        let mut log = CallLog::start(id, self.rpc, self.server.span().span_context());
        log.caller(self.caller.clone());
        Box::new(Self {
            tracer: self.tracer.clone(),
            rpc: self.rpc,
            caller: self.caller.clone(),
            server: self.server.clone(),
            is_item: true,
            completion: None,
            started: Instant::now(),
            log,
            metrics: self.metrics.clone(),
            waits: Waits::default(),
            model: None,
            said: None,
            open: true,
        })
    }

    /// The request was understood: begins the span of the completion. What is returned makes the spans of its attempts.
    pub fn completion(&mut self, request: &Request) -> CallTrace {
        self.log.request(request);
        let name = request
            .model
            .as_ref()
            .map_or(Cow::Borrowed("chat"), |model| Cow::Owned(["chat ", model.as_str()].concat()));
        let stream = self.rpc.is_stream();
        let context = self.tracer.child(&self.server, name, SpanKind::Client, || {
            let mut attributes = request_attributes(request);
            if stream {
                attributes.push(KeyValue::new(semconv::GEN_AI_REQUEST_STREAM, true));
            }
            attributes
        });
        if let Some(capture) = self.tracer.capture()
            && context.span().is_recording()
        {
            context.span().set_attributes(capture.asked(request));
            self.said = Some(Said::default());
        }
        self.model.clone_from(&request.model);
        let trace = CallTrace::new(self.tracer.clone(), context, self.started)
            .counted_by(self.metrics.clone(), self.waits.clone());
        self.completion = Some(trace.clone());
        trace
    }

    /// A piece of the answer goes to the caller.
    pub fn told(&mut self, event: &Event) {
        match event {
            Event::Restarted(_) => self.log.unsaid(),
            event => match event.text_bytes() {
                0 => {}
                bytes => self.log.said(bytes),
            },
        }
        if let Some(said) = &mut self.said {
            said.event(event);
        }
    }

    /// The whole answer goes to the caller.
    pub fn told_whole(&mut self, content: &[Block]) {
        self.log.said(content.iter().map(Block::text_bytes).sum());
        if let Some(said) = &mut self.said {
            said.whole(content);
        }
    }

    /// Begins the span of some work for the call.
    pub fn work(&self, work: Work) -> WorkSpan {
        let parent = self.completion.as_ref().map_or(&self.server, CallTrace::context);
        WorkSpan::start(&self.tracer, parent, work)
    }

    /// The call is over.
    pub fn finish(mut self: Box<Self>, end: CallEnd<'_>) {
        self.end(Some(end));
    }

    /// Ends the call; none: the caller went away.
    fn end(&mut self, end: Option<CallEnd<'_>>) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let duration = self.started.elapsed();
        let (status, reason) = match end {
            None | Some(CallEnd::Left { .. }) => ("CANCELLED", Some("CANCELLED")),
            Some(CallEnd::Failed { status, error }) => (status, Some(error.reason.as_str())),
            Some(CallEnd::Answered | CallEnd::Completed(_)) => ("OK", None),
        };
        if self.tracer.is_on() {
            self.end_completion(end, reason);
            if !self.is_item {
                self.end_server(status, reason);
            }
        }
        match end {
            Some(CallEnd::Completed(outcome)) => self.log.outcome(outcome),
            Some(CallEnd::Failed { error, .. }) => {
                self.log.used(error.details.usage.as_ref(), error.details.cost.as_ref());
            }
            Some(CallEnd::Left { usage, cost }) => self.log.used(usage, cost),
            Some(CallEnd::Answered) | None => {}
        }
        let tried = self.completion.as_ref().map(CallTrace::tried).unwrap_or_default();
        if let Some(metrics) = &self.metrics {
            self.count(metrics, end, (status, reason, duration), &tried);
        }
        self.log.write(&tried, status, reason, duration);
    }

    /// Leaves what metrics are made of.
    fn count(
        &self,
        metrics: &Metrics,
        end: Option<CallEnd<'_>>,
        (status, reason, duration): (&'static str, Option<&'static str>, Duration),
        tried: &Tried,
    ) {
        if let Some(CallEnd::Failed { error, .. }) = end
            && self.completion.is_none()
            && matches!(error.reason, Reason::Overloaded | Reason::ShuttingDown)
        {
            metrics.refused(error.reason);
        }
        let completion = tried.vendor.map(|vendor| {
            let mut tokens = TokenSums::default();
            let (used, response_model) = match end {
                Some(CallEnd::Completed(outcome)) => {
                    outcome.attempts.iter().filter_map(|it| it.usage.as_ref()).for_each(|usage| tokens.add(usage));
                    (None, Some(outcome.finish.model.clone().unwrap_or_else(|| outcome.model.clone())))
                }
                Some(CallEnd::Failed { error, .. }) => (error.details.usage.as_ref(), None),
                Some(CallEnd::Left { usage, .. }) => (usage, None),
                Some(CallEnd::Answered) | None => (None, None),
            };
            used.into_iter().for_each(|usage| tokens.add(usage));
            let is_stream = self.rpc.is_stream();
            Box::new(CompletionRecord {
                kind: CompletionKind { vendor, request_model: self.model.clone(), response_model, error: reason },
                duration,
                first_chunk: tried.first_event.filter(|_| is_stream),
                gaps: if is_stream { tried.gaps } else { Default::default() },
                tokens,
            })
        });
        let rpc = (!self.is_item).then_some((status, duration));
        let overhead = self.overhead(end, completion.is_some(), duration);
        metrics.leave(Record::Call(CallRecord {
            method: self.rpc.full_name(),
            system: self.rpc.system(),
            rpc,
            overhead,
            completion,
        }));
    }

    /// The gateway's own time; none: it is not known what the call waited for. One that waited for what is made for another
    /// has nothing to tell of, and a batch's results wait for each other.
    fn overhead(&self, end: Option<CallEnd<'_>>, asked: bool, duration: Duration) -> Option<Duration> {
        if self.is_item || !(self.rpc == Rpc::Complete || self.rpc.is_stream()) {
            return None;
        }
        let is_own = match end {
            Some(CallEnd::Completed(outcome)) => {
                matches!(outcome.origin, Origin::Bypassed | Origin::Missed | Origin::Hit)
            }
            _ => asked,
        };
        is_own.then(|| duration.saturating_sub(self.waits.total()))
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
        let Some(trace) = &self.completion else { return };
        let span = trace.context().span();
        if span.is_recording() {
            // No attribute is set twice: the exporter would send both.
            let tried = trace.tried();
            let name = tried.vendor.unwrap_or(semconv::GEN_AI_PROVIDER_OURSELVES);
            span.set_attribute(KeyValue::new(semconv::GEN_AI_PROVIDER_NAME, name));
            let max_tokens = match end {
                Some(CallEnd::Completed(outcome)) => Some(outcome.max_tokens),
                _ => self.log.max_tokens(),
            };
            if let Some(tokens) = max_tokens {
                span.set_attribute(KeyValue::new(semconv::GEN_AI_REQUEST_MAX_TOKENS, i64::from(tokens.get())));
            }
            if let (true, Some(first)) = (self.rpc.is_stream(), tried.first_event) {
                span.set_attribute(KeyValue::new(semconv::GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, first.as_secs_f64()));
            }
            match end {
                Some(CallEnd::Completed(outcome)) => span.set_attributes(response_attributes(outcome)),
                Some(CallEnd::Failed { error, .. }) => {
                    span.set_attributes(error.details.usage.iter().flat_map(usage_attributes));
                }
                Some(CallEnd::Left { usage, .. }) => {
                    span.set_attributes(usage.iter().flat_map(|it| usage_attributes(it)))
                }
                Some(CallEnd::Answered) | None => {}
            }
            if let Some(reason) = reason {
                span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, reason));
                span.set_attribute(finish_reasons("error"));
                span.set_status(Status::error(reason));
            }
            if let (Some(capture), Some(said)) = (self.tracer.capture(), &self.said) {
                let word = match end {
                    Some(CallEnd::Completed(outcome)) => finish_word(outcome.finish.reason),
                    _ => "error",
                };
                span.set_attribute(capture.answered(said, word));
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
        self.spans.is_some()
    }

    /// The context of a new span under `parent`; `parent` itself where no spans are made, so that a caller's trace goes
    /// through, and where it is our own and not sampled: then none of the samplers samples what is below it, and a span of
    /// which nobody hears needs no place. `attributes` are asked for only when the span is sampled.
    pub(super) fn child(
        &self,
        parent: &Context,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Context {
        let Some(tracer) = &self.spans else { return parent.clone() };
        let (span, is_ours) = (parent.span(), |above: &SpanContext| above.is_valid() && !above.is_remote());
        if is_ours(span.span_context()) && !span.span_context().is_sampled() {
            return parent.clone();
        }
        let mut span = tracer.build_with_context(tracer.span_builder(name).with_kind(kind), parent);
        if span.is_recording() {
            span.set_attributes(attributes());
        }
        parent.with_span(span)
    }
}
