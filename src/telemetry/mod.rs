//! What an operator sees: one log line for each call, its trace, and metrics.
//!
//! Names of attributes are constants ([`semconv`]), logs go to standard error, traces go to an OTLP collector where the
//! standard `OTEL_*` variables ask for it, metrics wait for who scrapes them. Nothing here takes a prompt, an answer, a key or an upstream's body: the
//! types of this module have no place for them. It knows no provider and no protobuf.

mod attempt_span;
mod call_log;
mod call_span;
mod completion;
mod metrics;
mod otel;
mod propagation;
mod reused;
pub mod semconv;
mod subscriber;
mod turns;

pub use attempt_span::{AttemptSpan, CallTrace, Target};
pub use call_span::{CallEnd, CallSpan, Rpc};
pub use metrics::{Metrics, Used};
pub use otel::Tracer;
pub use reused::{Reused, Spared};
pub use subscriber::LogFormat;
pub use turns::{Maker, Turn, Work, WorkSpan};

/// How the server speaks of itself. Traces have no settings of their own: the standard `OTEL_*` variables are theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which logs are written, as `tracing-subscriber` directives (`info`, `completiond=debug,h2=warn`). The variable
    /// `RUST_LOG` overrules it.
    pub log_filter: String,
    /// In which form.
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self { log_filter: "info".to_owned(), log_format: LogFormat::Auto }
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
    /// The OTLP exporter could not be made from the `OTEL_*` variables.
    #[error("the trace exporter cannot be made")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The exporter's thread could not be started.
    #[error("the trace exporter's thread cannot be started")]
    Thread(#[from] std::io::Error),
}

/// What the parts of the server describe themselves with. Clones are the same.
#[derive(Clone, Debug)]
pub struct Instruments {
    /// Makes spans.
    pub tracer: Tracer,
    /// Counts.
    pub metrics: Metrics,
}

impl From<Tracer> for Instruments {
    /// Metrics that nobody else counts with.
    fn from(tracer: Tracer) -> Self {
        Self { tracer, metrics: Metrics::new(otel::Wanted::from_variables(|_| None).resource()) }
    }
}

/// Keeps telemetry running. Dropping it sends what is left, and waits for that at most five seconds.
#[derive(Debug)]
pub struct Guard {
    pipeline: Option<otel::Pipeline>,
    metrics: Metrics,
}

/// Begins to write logs, and to export traces where the `OTEL_*` variables ask for it. Once in a process, before the
/// first worker.
///
/// # Errors
/// A log filter that cannot be read, `OTEL_*` variables from which no exporter can be made, or a second call.
pub fn init(settings: &Settings) -> Result<Guard, Error> {
    subscriber::install(settings)?;
    Guard::start(|name| std::env::var(name).ok())
}

impl Guard {
    /// Exports traces as the `OTEL_*` variables ask for it, and leaves logs alone.
    ///
    /// # Errors
    /// Variables from which no exporter can be made.
    pub fn start(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let wanted = otel::Wanted::from_variables(variable);
        for complaint in &wanted.complaints {
            tracing::warn!("{complaint}");
        }
        let metrics = Metrics::new(wanted.resource());
        let pipeline = if wanted.is_exported { Some(otel::Pipeline::start(wanted)?) } else { None };
        Ok(Self { pipeline, metrics })
    }

    /// What the server describes itself with.
    pub fn instruments(&self) -> Instruments {
        Instruments { tracer: self.tracer(), metrics: self.metrics.clone() }
    }

    /// What makes spans; where no traces are exported, it costs nothing.
    pub fn tracer(&self) -> Tracer {
        self.pipeline.as_ref().map_or_else(Tracer::off, otel::Pipeline::tracer)
    }
}
