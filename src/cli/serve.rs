//! `completiond serve`: says what it found and where it listens, and serves until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use tokio::signal::unix::{SignalKind, signal};

use super::client::root_cause;
use super::settings::{ConfigArgs, ListenArgs, Loaded};
use super::{Exit, local, runtime, tell, tell_problems};
use crate::app::{self, Running, StartError};
use crate::config::{Bare, Config, Source, show_duration};
use crate::telemetry::{self, Tracer};

/// How long a model server on this machine may take to say that it is there.
const LOCAL_TIMEOUT: Duration = Duration::from_millis(500);

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const CAREFUL: Style = AnsiColor::Yellow.on_default();

/// Serves until SIGTERM or SIGINT, and then until running calls have ended; a second signal ends at once.
pub(super) fn run(args: &ConfigArgs, listen: &ListenArgs) -> Result<(), Exit> {
    let Loaded { config, bare } = args.load(listen).map_err(tell_problems)?;
    let log = &config.log;
    let settings = telemetry::Settings { log_filter: log.level.clone(), log_format: log.format };
    let guard = telemetry::init(&settings).map_err(|error| failed(&error))?;
    match runtime()?.block_on(serve(config, bare, guard.tracer())) {
        Ok(done) => done,
        Err(error) => Err(failed(&error)),
    }
}

async fn serve(config: Config, bare: Option<Bare>, tracer: Tracer) -> Result<Result<(), Exit>, StartError> {
    let mut stop = Signals::new().map_err(|error| StartError::System(error.into()))?;
    let running = app::start(&config, tracer).await?;
    let config = match bare {
        Some(bare) if io::stdin().is_terminal() => instead(config, bare, &running).await?,
        _ => config,
    };
    // A closed standard output is no reason not to serve.
    let _ = announce(&config, &running);
    stop.next().await;
    tracing::info!(
        drain_delay = %show_duration(config.drain_delay),
        grace = %show_duration(config.shutdown_grace),
        "stopping: new calls are served for the drain delay, running ones for the grace; a second signal ends at once"
    );
    tokio::select! {
        () = running.stop() => Ok(Ok(())),
        () = stop.next() => Ok(Err(Exit::Interrupted)),
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
    let Ok(Some(config)) = tokio::time::timeout(LOCAL_TIMEOUT, local::find(bare)).await else { return Ok(config) };
    running.tables.replace(app::table(&config)?);
    Ok(config)
}

fn failed(error: &dyn std::error::Error) -> Exit {
    let (text, cause) = (error.to_string(), root_cause(error));
    tell(if text.contains(&cause) { text } else { format!("{text}: {cause}") });
    Exit::Failed
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
    writeln!(out, "\ntry it:\n  {}\n", grpcurl(config, running))?;
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

fn grpcurl(config: &Config, running: &Running) -> String {
    let address = match &running.public {
        crate::edge::Bound::Tcp(address) => address.to_string(),
        crate::edge::Bound::Unix(path) => format!("-unix {}", path.display()),
    };
    let model = if config.default_model.is_some() { "" } else { r#""model": "MODEL", "# };
    format!(
        r#"grpcurl -plaintext -d '{{{model}"prompt": "Why is the sky blue?"}}' {address} completiond.v1.CompletionService/Complete"#
    )
}
