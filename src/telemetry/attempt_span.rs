//! The spans of a call's requests to providers: HTTP client spans under the completion's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode, Uri};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use tokio::time::Instant;

use super::chunks::{Chunks, Gaps};
use super::feed::{AttemptKind, AttemptRecord, Record, Way};
use super::{Metrics, Tracer, Turn, Waits, propagation, semconv};
use crate::domain::{AttemptOutcome, Identity, ModelId, ProviderId};

/// Who is asked, and where.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// The name that OpenTelemetry's conventions have for the vendor.
    pub telemetry_name: &'static str,
    /// The whole address; user and query are not recorded, since they may hold credentials.
    pub address: &'a Uri,
}

/// What was sent for a call so far, for its log line.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried {
    /// Requests that were sent.
    pub(super) attempts: usize,
    /// Who was asked last.
    pub(super) provider: Option<ProviderId>,
    /// From the beginning of the call to the first event of any answer.
    pub(super) first_event: Option<Duration>,
    /// Who was asked, each once.
    pub(super) asked: Vec<(ProviderId, ModelId)>,
    /// The conventions' name of the vendor that was asked last.
    pub(super) vendor: Option<&'static str>,
    /// The times between the events of its answers.
    pub(super) gaps: Gaps,
}

/// Makes the spans of a call's attempts. Cheap to clone; everything that may make an attempt for the call has one.
#[derive(Clone, Debug)]
pub struct CallTrace {
    pub(super) tracer: Tracer,
    pub(super) parent: Context,
    started: Instant,
    tried: Arc<Mutex<Tried>>,
    waits: Waits,
    metrics: Option<Metrics>,
    /// Whether its attempts are made beside another one that is late.
    is_beside: bool,
}

impl CallTrace {
    /// A call without spans and without a caller's trace.
    pub fn off() -> Self {
        Self::new(Tracer::off(), Context::new(), Instant::now())
    }

    /// Makes spans under `parent` for a call that began at `started`.
    pub(super) fn new(tracer: Tracer, parent: Context, started: Instant) -> Self {
        Self {
            tracer,
            parent,
            started,
            tried: Arc::default(),
            waits: Waits::default(),
            metrics: None,
            is_beside: false,
        }
    }

    /// The same call, whose attempts leave what they are in `metrics`, and which waits as `waits` has it.
    #[must_use]
    pub(super) fn counted_by(self, metrics: Option<Metrics>, waits: Waits) -> Self {
        Self { metrics, waits, ..self }
    }

    /// The same call, whose attempts are made beside another one that is late.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { is_beside: true, ..self.clone() }
    }

    /// What the call waits for.
    pub const fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Begins the span of one request to a provider.
    pub fn attempt(&self, target: Target<'_>) -> AttemptSpan {
        let asked = (target.identity.provider.clone(), target.identity.model.clone());
        let (resends, way) = self.note(|tried| {
            tried.provider = Some(target.identity.provider.clone());
            tried.vendor = Some(target.telemetry_name);
            let before = tried.attempts;
            tried.attempts = before.saturating_add(1);
            let is_again = tried.asked.contains(&asked);
            let way = match before {
                _ if self.is_beside => Way::Hedge,
                0 => Way::First,
                _ if is_again => Way::Retry,
                _ => Way::Failover,
            };
            if !is_again {
                tried.asked.push(asked.clone());
            }
            (before, way)
        });
        let context = self.tracer.child(&self.parent, "POST", SpanKind::Client, || attributes(target, resends));
        let open = self.tracer.is_on() && context.span().is_recording();
        AttemptSpan {
            trace: self.clone(),
            context,
            open,
            has_error: false,
            asked: Some(asked),
            way,
            chunks: Chunks::default(),
        }
    }

    pub(super) const fn context(&self) -> &Context {
        &self.parent
    }

    pub(super) fn tried(&self) -> Tried {
        self.note(|tried| tried.clone())
    }

    fn note<T>(&self, change: impl FnOnce(&mut Tried) -> T) -> T {
        change(&mut self.tried.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The span of one attempt. Dropped before it was settled it says that the attempt was given up.
#[derive(Debug)]
#[must_use = "the span ends when it is dropped"]
pub struct AttemptSpan {
    trace: CallTrace,
    context: Context,
    /// False once its end was told, and from the beginning where nobody listens.
    open: bool,
    /// Who is asked; none once its end was counted.
    asked: Option<(ProviderId, ModelId)>,
    way: Way,
    chunks: Chunks,
    /// Whether the status of the answer has told an error.
    has_error: bool,
}

impl AttemptSpan {
    /// Something of the answer came that makes an event.
    pub fn chunk(&mut self, now: Instant) {
        self.chunks.came(now);
    }

    /// What the call waits for.
    pub const fn waits(&self) -> &Waits {
        self.trace.waits()
    }

    fn count(&mut self, outcome: AttemptOutcome) {
        let Some((provider, model)) = self.asked.take() else { return };
        if !self.chunks.gaps.is_empty() {
            self.trace.note(|tried| tried.gaps.merge(&self.chunks.gaps));
        }
        if let Some(metrics) = &self.trace.metrics {
            metrics.leave(Record::Attempt(AttemptRecord {
                kind: AttemptKind { provider, model, outcome },
                way: self.way,
            }));
        }
    }

    /// Adds `traceparent` and `tracestate` to the request, so that the provider's spans are children of this one; of the call's, where
    /// it is not sampled.
    pub fn inject(&self, headers: &mut HeaderMap) {
        propagation::inject(&self.context, headers);
    }

    /// The head of the answer came.
    pub fn response(&mut self, status: StatusCode) {
        if !self.open {
            return;
        }
        let span = self.context.span();
        span.set_attribute(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
        if status.is_client_error() || status.is_server_error() {
            span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, status.as_str().to_owned()));
            self.has_error = true;
        }
    }

    /// The first event of the answer came. Only the first one of the call counts.
    pub fn first_event(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.trace.started);
        let is_first = self.trace.note(|tried| {
            let is_first = tried.first_event.is_none();
            tried.first_event.get_or_insert(elapsed);
            is_first
        });
        if is_first {
            self.trace.turn(Turn::FirstEvent);
        }
    }

    /// Ends the attempt. Only the first word counts.
    pub fn settle(&mut self, outcome: AttemptOutcome) {
        self.count(outcome);
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let span = self.context.span();
        let (word, reason) = match outcome {
            AttemptOutcome::Finished => ("finished", None),
            AttemptOutcome::Failed(reason) => ("failed", Some(reason)),
            AttemptOutcome::Skipped(reason) => ("skipped", Some(reason)),
            AttemptOutcome::Dropped => ("dropped", None),
        };
        span.set_attribute(KeyValue::new(semconv::ATTEMPT_OUTCOME, word));
        if let Some(reason) = reason {
            span.set_attribute(KeyValue::new(semconv::REASON, reason.as_str()));
            if !self.has_error {
                span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, reason.as_str()));
            }
            span.set_status(Status::error(reason.as_str()));
        }
        span.end();
    }
}

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        self.settle(AttemptOutcome::Dropped);
    }
}

fn attributes(target: Target<'_>, resends: usize) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(semconv::HTTP_REQUEST_METHOD, "POST"),
        KeyValue::new(semconv::PROVIDER_ID, target.identity.provider.to_string()),
        KeyValue::new(semconv::URL_FULL, without_credentials(target.address)),
    ];
    if let Some(host) = target.address.host() {
        attributes.push(KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()));
    }
    let by_scheme = if target.address.scheme_str() == Some("https") { 443 } else { 80 };
    let port = target.address.port_u16().unwrap_or(by_scheme);
    attributes.push(KeyValue::new(semconv::SERVER_PORT, i64::from(port)));
    if resends > 0 {
        let resends = i64::try_from(resends).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new(semconv::HTTP_REQUEST_RESEND_COUNT, resends));
    }
    attributes
}

fn without_credentials(address: &Uri) -> String {
    let scheme = address.scheme_str().unwrap_or("http");
    let host = address.host().unwrap_or_default();
    let port = address.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", address.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_user_and_query() {
        let cases = [
            ("https://user:secret@api.example.com/v1/chat?key=secret", "https://api.example.com/v1/chat"),
            ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ];
        for (address, told) in cases {
            assert_eq!(without_credentials(&address.parse().unwrap()), told);
        }
    }
}
