//! The line of each call and warnings, as log records for a collector, each with the trace and the span that it names.
//!
//! A bridge of our own: calls have no spans of `tracing`, so the one that OpenTelemetry offers would find no trace for them.
//! What waits to be sent is bounded by the processor behind it, and what does not fit there is lost.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry::{SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::semconv::log as key;

/// What the server itself says begins so; what its exporters say must not go to them.
const OURS: &str = "completiond";
const NOT_EXPORTED: &str = "completiond::telemetry";

/// Hands events to a logger, once there is one. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(Arc<OnceLock<SdkLogger>>);

impl Records {
    /// From now on they go there.
    pub(super) fn go_to(&self, logger: SdkLogger) {
        // Logs have one destination for the life of a process.
        let _ = self.0.set(logger);
    }
}

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(logger) = self.0.get() else { return };
        let (target, level) = (event.metadata().target(), *event.metadata().level());
        let is_ours = target.starts_with(OURS) && !target.starts_with(NOT_EXPORTED);
        if !is_ours || (target != key::TARGET && level > Level::WARN) {
            return;
        }
        let mut record = logger.create_log_record();
        let (number, word) = severity(level);
        record.set_target(target);
        if target == key::TARGET {
            // The names of other events are the places in the code that write them.
            record.set_event_name(event.metadata().name());
        }
        record.set_timestamp(SystemTime::now());
        record.set_severity_number(number);
        record.set_severity_text(word);
        let mut fields = Fields { record: &mut record, trace: None, span: None };
        event.record(&mut fields);
        if let (Some(trace), Some(span)) = (fields.trace, fields.span) {
            record.set_trace_context(trace, span, Some(TraceFlags::SAMPLED));
        }
        logger.emit(record);
    }
}

const fn severity(level: Level) -> (Severity, &'static str) {
    match level {
        Level::ERROR => (Severity::Error, "ERROR"),
        Level::WARN => (Severity::Warn, "WARN"),
        Level::INFO => (Severity::Info, "INFO"),
        Level::DEBUG => (Severity::Debug, "DEBUG"),
        Level::TRACE => (Severity::Trace, "TRACE"),
    }
}

/// Puts the fields of an event into a record.
struct Fields<'a> {
    record: &'a mut SdkLogRecord,
    trace: Option<TraceId>,
    span: Option<SpanId>,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: AnyValue) {
        match field.name() {
            "message" => self.record.set_body(value),
            name => self.record.add_attribute(name, value),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            key::TRACE_ID => self.trace = TraceId::from_hex(value).ok(),
            key::SPAN_ID => self.span = SpanId::from_hex(value).ok(),
            _ => self.put(field, value.to_owned().into()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
