//! Where logs go and what they look like: standard error, JSON for machines, lines for people.

use std::fmt;
use std::io::{IsTerminal, Stderr};
use std::sync::Arc;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt, reload};

use super::gathered::Gathered;
use super::json_lines::JsonLines;
use super::records::Records;
use super::{Error, Settings};

/// The form of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object for each event.
    Json,
    /// Lines for people.
    Pretty,
}

type Replace = Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Which logs are written, as long as the process runs. Clones are the same. By default nothing can be changed: the logs are
/// not ours, or `RUST_LOG` overrules the configuration.
#[derive(Clone, Default)]
pub struct Levels(Option<Replace>);

impl Levels {
    /// Writes what `directives` say from now on. False where they cannot be changed.
    ///
    /// # Errors
    /// They cannot be read; what was in force stays.
    pub fn set(&self, directives: &str) -> Result<bool, Error> {
        let Some(replace) = &self.0 else { return Ok(false) };
        let filter = parse(directives)?;
        // It fails only where the subscriber is gone, and then nobody writes logs.
        Ok(replace(filter).is_ok())
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Levels").field(&self.0.is_some()).finish()
    }
}

/// The logs of this process.
pub(super) struct Installed {
    /// Changes their levels.
    pub(super) levels: Levels,
    /// Hands them on.
    pub(super) records: Records,
    /// Those that wait to be written; none: a terminal gets each at once.
    pub(super) lines: Option<Gathered<Stderr>>,
}

/// Makes this process write its logs to standard error.
pub(super) fn install(settings: &Settings) -> Result<Installed, Error> {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.trim().is_empty());
    let filter = parse(directives.as_deref().unwrap_or(&settings.log_filter))?;
    let (surface, format) = (Surface::of(std::io::stderr().is_terminal()), settings.log_format);
    let lines = if surface == Surface::File { Some(Gathered::to(std::io::stderr())?) } else { None };
    let layer = match lines.clone() {
        Some(lines) => layer(format, surface, lines),
        None => layer(format, surface, std::io::stderr),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let records = Records::default();
    tracing::subscriber::set_global_default(Registry::default().with(layer).with(records.clone()).with(filter))?;
    let levels = match directives {
        Some(_) => Levels::default(),
        None => Levels(Some(Arc::new(move |filter| handle.reload(filter)))),
    };
    Ok(Installed { levels, records, lines })
}

/// The exporters' crates tell each export that fails. That they fail at all is told by us, once.
const UNLESS_NAMED: &str = "opentelemetry=off";

fn parse(directives: &str) -> Result<EnvFilter, Error> {
    EnvFilter::builder()
        .parse(format!("{UNLESS_NAMED},{directives}"))
        .map_err(|source| Error::Filter { filter: directives.to_owned(), source })
}

/// What reads the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Terminal,
    File,
}

impl Surface {
    fn of(is_terminal: bool) -> Self {
        if is_terminal { Self::Terminal } else { Self::File }
    }
}

/// What formats events in `format` and writes them to `writer`.
pub(super) fn layer<W>(format: LogFormat, surface: Surface, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = match format {
        LogFormat::Json => false,
        LogFormat::Pretty => true,
        LogFormat::Auto => surface == Surface::Terminal,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if lines { layer.with_ansi(surface == Surface::Terminal).boxed() } else { layer.event_format(JsonLines).boxed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error_that_quotes_it() {
        for good in ["info", "completiond=debug,h2=off", "warn,completiond::call=info"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let error = parse("completiond=loud").unwrap_err();
        assert!(error.to_string().contains("completiond=loud"), "{error}");
    }
}
