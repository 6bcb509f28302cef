//! What an operator sees: one log line for each call, its trace, and metrics.
//!
//! Names of attributes are constants ([`semconv`]), logs go to standard error, metrics wait for who scrapes them, and all of it
//! goes to an OTLP collector where the standard `OTEL_*` variables ask for it. Nothing here takes a prompt, an answer, a key or an upstream's body: the
//! types of this module have no place for them. It knows no provider and no protobuf.

mod attempt_span;
mod call_log;
mod call_span;
mod capture;
mod chunks;
mod completion;
mod exporter;
mod feed;
mod gathered;
mod gen_ai;
mod json_lines;
mod measured;
mod metrics;
mod names;
mod observed;
mod otel;
mod propagation;
mod pushed;
mod records;
mod redact;
mod reloads;
mod reported;
mod reused;
pub mod semconv;
mod subscriber;
mod turns;
mod variables;
mod waits;

pub use attempt_span::{AttemptSpan, CallTrace, Target};
pub use call_span::{CallEnd, CallSpan, Rpc};
pub use measured::{GenAiNames, Naming};
pub use metrics::{Metrics, Used};
pub use observed::{EndpointNow, ListenerNow, ServerNow, WorkerNow};
pub use otel::{Habits, Tracer};
pub use redact::Pattern;
pub use reloads::{IssuerNow, ReloadsNow};
pub use reused::{Reused, Spared};
pub use subscriber::{Levels, LogFormat};
pub use turns::{Maker, Turn, Work, WorkSpan};
pub use waits::{Waiting, Waits};

use std::io::Stderr;

use gathered::Gathered;

/// How the server speaks of itself. Where it is sent to, and how many calls are traced, the standard `OTEL_*` variables say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which logs are written, as `tracing-subscriber` directives (`info`, `completiond=debug,h2=warn`). The variable
    /// `RUST_LOG` overrules it.
    pub log_filter: String,
    /// In which form.
    pub log_format: LogFormat,
    /// What goes with traces.
    pub habits: Habits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { log_filter: "info".to_owned(), log_format: LogFormat::Auto, habits: Habits::default() }
    }
}

/// Why telemetry could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter is no list of directives.
    #[error("the log filter {filter:?} cannot be read: {source}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs are already written elsewhere in this process.
    #[error("a log subscriber is already set")]
    AlreadySet(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// An OTLP exporter could not be made from the `OTEL_*` variables.
    #[error("the OTLP exporter cannot be made")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The HTTP client of an exporter could not be made.
    #[error("the exporter's HTTP client cannot be made: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file that an exporter needs could not be read.
    #[error("{file}, which a variable of the OTLP exporter names, cannot be read")]
    File {
        /// Which one.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A variable says what is not known, and to go on without it would change what numbers mean.
    #[error("{name} is {value:?}: {rule}")]
    Variable {
        /// Which one.
        name: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        rule: &'static str,
    },
    /// A thread could not be started that telemetry needs.
    #[error("a thread of the telemetry cannot be started")]
    Thread(#[from] std::io::Error),
}

/// What the parts of the server describe themselves with. Clones are the same.
#[derive(Clone, Debug)]
pub struct Instruments {
    /// Makes spans.
    pub tracer: Tracer,
    /// Counts.
    pub metrics: Metrics,
    /// Which logs are written.
    pub levels: Levels,
}

impl From<Tracer> for Instruments {
    /// Metrics that nobody else counts with.
    fn from(tracer: Tracer) -> Self {
        Self { tracer, metrics: Metrics::new(variables::resource(None)), levels: Levels::default() }
    }
}

/// Keeps telemetry running. Dropping it writes the lines that wait, and sends what is left, for at most five seconds.
#[derive(Debug)]
pub struct Guard {
    /// Lines that wait to be written; none: this process writes none.
    lines: Option<Gathered<Stderr>>,
    pipeline: Option<otel::Pipeline>,
    metrics: Metrics,
    levels: Levels,
    habits: Habits,
}

/// Begins to write logs, and to export where the `OTEL_*` variables ask for it. Once in a process, before the
/// first worker.
///
/// # Errors
/// A log filter that cannot be read, `OTEL_*` variables from which no exporter can be made, or a second call.
pub fn init(settings: &Settings) -> Result<Guard, Error> {
    let subscriber::Installed { levels, records, lines } = subscriber::install(settings)?;
    let mut guard = Guard::start(|name| std::env::var(name).ok())?;
    if let Some(logger) = guard.pipeline.as_ref().and_then(otel::Pipeline::logger) {
        records.go_to(logger);
    }
    if settings.habits.capture.is_some() {
        tracing::warn!(
            "content capture is on: prompts and answers leave with traces, redacted; `telemetry.capture_content: false` ends that"
        );
    }
    guard.levels = levels;
    guard.lines = lines;
    guard.habits = settings.habits.clone();
    Ok(guard)
}

impl Guard {
    /// Exports as the `OTEL_*` variables ask for it, and leaves the process' own logs alone.
    ///
    /// # Errors
    /// Variables from which no exporter can be made.
    pub fn start(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let wanted = variables::Wanted::from_variables(&variable)?;
        for complaint in &wanted.complaints {
            tracing::warn!("{complaint}");
        }
        let (resource, is_disabled) = (wanted.resource(), wanted.is_disabled);
        let (pipeline, reader) = match wanted.exports() {
            true => otel::Pipeline::start(wanted).map(|(pipeline, reader)| (Some(pipeline), reader))?,
            false => (None, None),
        };
        let metrics = match reader {
            Some(reader) => Metrics::pushed(resource, reader),
            None if is_disabled => Metrics::off(),
            None => Metrics::new(resource),
        };
        Ok(Self { lines: None, pipeline, metrics, levels: Levels::default(), habits: Habits::default() })
    }

    /// The same with these habits.
    #[must_use]
    pub fn with(mut self, habits: Habits) -> Self {
        self.habits = habits;
        self
    }

    /// What the server describes itself with.
    pub fn instruments(&self) -> Instruments {
        Instruments { tracer: self.tracer(), metrics: self.metrics.clone(), levels: self.levels.clone() }
    }

    /// What makes spans; where no traces are exported, it costs nothing.
    pub fn tracer(&self) -> Tracer {
        self.pipeline.as_ref().map_or_else(Tracer::off, otel::Pipeline::tracer).with(self.habits.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.flush();
        }
        if let Some(pipeline) = &self.pipeline {
            pipeline.end(&self.metrics);
        }
    }
}
