//! What happens to a call on its way, as events of its completion's span, the work that is done for it here, as spans of
//! their own, and the call that it shares an answer with, as a link.

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::{CallTrace, Tracer, propagation, semconv};
use crate::domain::{Identity, Reason};

/// A turn that a call takes.
#[derive(Clone, Copy, Debug)]
pub enum Turn<'a> {
    /// The same endpoint is asked again.
    Retried {
        /// Which one.
        endpoint: &'a Identity,
        /// What failed before; none: it is not known.
        after: Option<Reason>,
    },
    /// Another endpoint is asked.
    FailedOver {
        /// Which one.
        endpoint: &'a Identity,
        /// What failed before; none: it is not known.
        after: Option<Reason>,
    },
    /// A second endpoint is asked, because the first is late.
    Hedged {
        /// Which one.
        endpoint: &'a Identity,
    },
    /// An endpoint is not asked, because of how it stands: its breaker is open, its provider has asked to wait, or it is
    /// full.
    PassedOver {
        /// Which one.
        endpoint: &'a Identity,
        /// What its standing is: `held`, `ejected`, `locked_out` or `full`.
        standing: &'static str,
    },
    /// An endpoint is not asked, because the request and it do not fit.
    Skipped {
        /// Which one.
        endpoint: &'a Identity,
        /// Why.
        reason: Reason,
    },
    /// An answer that broke has begun anew.
    Restarted {
        /// What broke it.
        after: Reason,
    },
    /// The first event of an answer came from upstream.
    FirstEvent,
}

impl Turn<'_> {
    const fn name(self) -> &'static str {
        match self {
            Self::Retried { .. } => semconv::EVENT_RETRY,
            Self::FailedOver { .. } => semconv::EVENT_FAILOVER,
            Self::Hedged { .. } => semconv::EVENT_HEDGE,
            Self::PassedOver { .. } => semconv::EVENT_PASSED_OVER,
            Self::Skipped { .. } => semconv::EVENT_SKIPPED,
            Self::Restarted { .. } => semconv::EVENT_RESTART,
            Self::FirstEvent => semconv::EVENT_FIRST_TOKEN,
        }
    }

    fn attributes(self) -> Vec<KeyValue> {
        let at = |endpoint: &Identity| KeyValue::new(semconv::ENDPOINT, endpoint.to_string());
        let why = |reason: Reason| KeyValue::new(semconv::REASON, reason.as_str());
        match self {
            Self::Retried { endpoint, after } | Self::FailedOver { endpoint, after } => {
                [at(endpoint)].into_iter().chain(after.map(why)).collect()
            }
            Self::Hedged { endpoint } => vec![at(endpoint)],
            Self::PassedOver { endpoint, standing } => {
                vec![at(endpoint), KeyValue::new(semconv::ENDPOINT_STANDING, standing)]
            }
            Self::Skipped { endpoint, reason } => vec![at(endpoint), why(reason)],
            Self::Restarted { after } => vec![why(after)],
            Self::FirstEvent => Vec::new(),
        }
    }
}

/// Work for a call that takes time here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Answers that processes share are looked for.
    CacheLookup,
    /// Calls that processes share are looked for by their callers' own ids, and waited for.
    ReplayLookup,
    /// Tokens are counted.
    Counting,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::CacheLookup => semconv::SPAN_CACHE_LOOKUP,
            Self::ReplayLookup => semconv::SPAN_REPLAY_LOOKUP,
            Self::Counting => semconv::SPAN_COUNTING,
        }
    }
}

/// The span of some work. It ends when it is dropped.
#[derive(Debug)]
#[must_use = "the span ends when it is dropped"]
pub struct WorkSpan {
    /// That of the span; where none is made, or the call is not sampled, the one above it.
    context: Option<Context>,
    is_ours: bool,
}

impl WorkSpan {
    /// Where nobody listens.
    pub const fn off() -> Self {
        Self { context: None, is_ours: false }
    }

    pub(super) fn start(tracer: &Tracer, parent: &Context, work: Work) -> Self {
        let context = tracer.child(parent, work.name(), SpanKind::Internal, Vec::new);
        Self { context: Some(context), is_ours: tracer.is_on() }
    }

    /// Adds `traceparent` and `tracestate` to a request that is made for the work.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if let Some(context) = &self.context {
            propagation::inject(context, headers);
        }
    }
}

impl Drop for WorkSpan {
    fn drop(&mut self) {
        if let Some(context) = self.context.as_ref().filter(|_| self.is_ours) {
            // Where it is the one above, nothing is recorded and nothing ends.
            context.span().end();
        }
    }
}

/// A call that makes an answer, as others refer to it.
#[derive(Clone, Debug)]
pub struct Maker(SpanContext);

impl CallTrace {
    /// Notes a turn that the call takes.
    pub fn turn(&self, step: Turn<'_>) {
        if !self.tracer.is_on() {
            return;
        }
        let span = self.parent.span();
        if span.is_recording() {
            span.add_event(step.name(), step.attributes());
        }
    }

    /// Begins the span of some work for the call.
    pub fn work(&self, work: Work) -> WorkSpan {
        WorkSpan::start(&self.tracer, &self.parent, work)
    }

    /// This call as the maker of an answer.
    pub fn maker(&self) -> Maker {
        Maker(match self.tracer.is_on() {
            true => self.parent.span().span_context().clone(),
            false => SpanContext::NONE,
        })
    }

    /// Another call makes the answer: its span is linked.
    pub fn joins(&self, maker: &Maker) {
        if self.tracer.is_on() && maker.0.is_valid() {
            self.parent.span().add_link(maker.0.clone(), Vec::new());
        }
    }
}
