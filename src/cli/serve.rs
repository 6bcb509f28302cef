//! `completiond serve`: says what it found and where it listens, and serves until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Running, StartError};
use crate::config::{Bare, Config, Discovered, Problems, Source};
use crate::domain::ModelId;
use crate::protocol::vendor::{self, Preset};
use crate::telemetry::Tracer;

/// The preset that is asked whether it runs on this machine.
const LOCAL: &str = "ollama";
/// How long it may take to answer.
const LOCAL_TIMEOUT: Duration = Duration::from_millis(500);

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const CAREFUL: Style = AnsiColor::Yellow.on_default();

/// Serves until SIGTERM or SIGINT, and then until running calls have ended; a second signal ends at once.
///
/// # Errors
/// [`StartError`] before anything was served.
pub async fn serve(config: Config, bare: Option<Bare>, tracer: Tracer) -> Result<ExitCode, StartError> {
    let mut stop = Signals::new().map_err(|error| StartError::System(error.into()))?;
    let running = app::start(&config, tracer).await?;
    let config = match bare {
        Some(bare) if io::stdin().is_terminal() => instead(config, bare, &running).await?,
        _ => config,
    };
    // A closed standard output is no reason not to serve.
    let _ = announce(&config, &running);
    stop.next().await;
    tracing::info!("stopping: calls are served for {:?} more, then running ones may finish", config.drain_delay);
    tokio::select! {
        () = running.stop() => Ok(ExitCode::SUCCESS),
        () = stop.next() => Ok(ExitCode::from(130)),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A provider that runs on this machine, in the simulator's place. The port is open already: nobody waits for this.
async fn instead(config: Config, bare: Bare, running: &Running) -> Result<Config, StartError> {
    let Some(preset) = vendor::preset(LOCAL) else { return Ok(config) };
    let Some((url, models)) = local_models(preset).await else { return Ok(config) };
    let config = bare.with_local(preset, url, &models);
    running.tables.replace(app::table(&config)?);
    Ok(config)
}

/// What a local server says that it has; none when nobody answers, or has nothing.
async fn local_models(preset: &Preset) -> Option<(http::Uri, Vec<ModelId>)> {
    let base: http::Uri = preset.base_url?.parse().ok()?;
    let client = reqwest::Client::builder().timeout(LOCAL_TIMEOUT).no_proxy().build().ok()?;
    let body = client.get(format!("{base}/models")).send().await.ok()?.error_for_status().ok()?.bytes().await.ok()?;
    let list: serde_json::Value = serde_json::from_slice(&body).ok()?;
    let ids = list.get("data")?.as_array()?.iter().filter_map(|model| model.get("id")?.as_str());
    let models: Vec<ModelId> = ids.map(ModelId::new).collect();
    (!models.is_empty()).then_some((base, models))
}

/// What the environment and the file lead to, and what may still be found on this machine.
///
/// # Errors
/// All that is wrong.
pub fn discover(found: Discovered) -> Result<(Config, Option<Bare>), Problems> {
    match found {
        Discovered::Providers(config) => Ok((config, None)),
        Discovered::Nothing(bare) => bare.clone().with_simulator().map(|config| (config, Some(bare))),
    }
}

/// Says on standard output what was found, where it listens, and what to type.
fn announce(config: &Config, running: &Running) -> io::Result<()> {
    let providers = config.providers.iter().map(|provider| format!("{} ({})", provider.id, provider.vendor));
    let mut rows = vec![
        ("calls", format!("{GOOD}{}{GOOD:#}", running.public)),
        ("operators", running.admin.to_string()),
        ("probes", running.ops.to_string()),
        ("from", origin(&config.source)),
        ("providers", providers.collect::<Vec<_>>().join(", ")),
    ];
    if let Some(model) = &config.default_model {
        rows.push(("model", format!("{model} where a request names none")));
    }
    for warning in &config.warnings {
        rows.push(("careful", format!("{CAREFUL}{}: {}{CAREFUL:#}", warning.key, warning.rule)));
    }
    let mut out = anstream::stdout().lock();
    writeln!(out, "{STRONG}completiond{STRONG:#} {}", env!("CARGO_PKG_VERSION"))?;
    for (name, text) in rows {
        writeln!(out, "  {FAINT}{name:<10}{FAINT:#} {text}")?;
    }
    writeln!(out, "\ntry it:\n  {}\n", grpcurl(running))?;
    out.flush()
}

fn origin(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Environment(variables) => format!("the environment: {}", variables.join(", ")),
        Source::Local(provider) => format!("{provider}, which answers on this machine"),
        Source::Simulator => format!(
            "{CAREFUL}nothing was found: the built-in simulator answers, and its answers are made up{CAREFUL:#}"
        ),
    }
}

fn grpcurl(running: &Running) -> String {
    let address = match &running.public {
        crate::edge::Bound::Tcp(address) => address.to_string(),
        crate::edge::Bound::Unix(path) => format!("-unix {}", path.display()),
    };
    format!(
        r#"grpcurl -plaintext -d '{{"prompt": "Why is the sky blue?"}}' {address} completiond.v1.CompletionService/Complete"#
    )
}
