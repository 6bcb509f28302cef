//! `completiond serve`: says what it found and where it listens, and serves until it is told to stop.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use tokio::signal::unix::{SignalKind, signal};

use super::client::root_cause;
use super::settings::{ConfigArgs, ListenArgs, Loaded};
use super::{Exit, local, runtime, tell, tell_problems};
use crate::app::{self, Load, Reloading, Running, StartError};
use crate::aside::{Aside, GivenUp};
use crate::config::{self, Bare, Config, Problem, Problems, Source, show_duration};
use crate::telemetry::{self, Habits, Instruments};

/// How long a model server on this machine may take to say that it is there.
const LOCAL_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the configuration may take to be read again.
const READING: Duration = Duration::from_secs(10);

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const CAREFUL: Style = AnsiColor::Yellow.on_default();

/// Serves until SIGTERM or SIGINT, and then until running calls have ended; a second signal ends at once. SIGHUP reads
/// the configuration again.
pub(super) fn run(args: &ConfigArgs, listen: &ListenArgs) -> Result<(), Exit> {
    let Loaded { config, bare } = args.load(listen).map_err(tell_problems)?;
    let log = &config.log;
    let habits = habits(&config.telemetry);
    let settings = telemetry::Settings { log_filter: log.level.clone(), log_format: log.format, habits };
    let guard = telemetry::init(&settings).map_err(|error| failed(&error))?;
    match runtime()?.block_on(serve(config, bare, again(args, listen), guard.instruments())) {
        Ok(done) => done,
        Err(error) => Err(failed(&error)),
    }
}

fn habits(config: &config::Telemetry) -> Habits {
    let redact = config.capture_content.then(|| config.redact.clone());
    Habits::new(redact, config.baggage.clone())
}

async fn serve(
    config: Config,
    bare: Option<Bare>,
    load: Load,
    instruments: Instruments,
) -> Result<Result<(), Exit>, StartError> {
    let mut signals = Signals::new().map_err(|error| StartError::System(error.into()))?;
    let running = app::start_reloadable(&config, load, instruments).await?;
    // The port is open already: nobody waits for this.
    let config = match here(bare).await {
        Some(found) => {
            running.reloading.put_in_force(found.clone()).await?;
            found
        }
        None => config,
    };
    log_start(&config, &running);
    // A closed standard output is no reason not to serve.
    let _ = announce(&config, &running);
    while signals.next().await == Told::Reload {
        // In a task of its own: a file that cannot be read at once must not keep the server from stopping.
        tokio::spawn(reload(running.reloading.clone()));
    }
    tracing::info!(
        drain_delay = %show_duration(config.drain_delay),
        grace = %show_duration(config.shutdown_grace),
        "stopping: new calls are served for the drain delay, running ones for the grace; a second signal ends at once"
    );
    let done = tokio::select! {
        () = running.stop() => Ok(()),
        () = signals.stop() => Err(Exit::Interrupted),
    };
    tracing::info!(in_order = done.is_ok(), "stopped");
    Ok(done)
}

/// What is announced to a person, for who reads logs.
fn log_start(config: &Config, running: &Running) {
    for warning in &config.warnings {
        tracing::warn!(key = warning.key, problem = %warning.rule, "something doubtful in the configuration");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %running.public,
        admin_listen = %running.admin,
        ops_listen = %running.ops,
        source = origin_name(&config.source),
        providers = config.providers.len(),
        models = config.models.len(),
        callers = config.admitted.entries().count(),
        issuers = config.admitted.issuers.len(),
        workers = config.workers.get(),
        "serving"
    );
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    on_terminal: bool,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            on_terminal: io::stdin().is_terminal(),
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            // A terminal that is closed says so by the same signal, and then what runs on it shall end.
            _ = self.hangup.recv() => match self.on_terminal && !io::stdin().is_terminal() {
                true => Told::Stop,
                false => Told::Reload,
            },
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}

/// The configuration as it was read at the start, read again.
fn again(args: &ConfigArgs, listen: &ListenArgs) -> Load {
    let (args, listen, aside) = (args.clone(), listen.clone(), Aside::new("reading"));
    Arc::new(move || {
        let (args, listen, aside) = (args.clone(), listen.clone(), aside.clone());
        Box::pin(async move {
            // The file, and the files of its secrets, may lie where reading takes long or never ends.
            let read = aside.run(READING, move || args.load(&listen)).await;
            let Loaded { config, bare } = read.map_err(unread)??;
            Ok(here(bare).await.unwrap_or(config))
        })
    })
}

fn unread(given_up: GivenUp) -> Problems {
    let rule = match given_up {
        GivenUp::Late => format!("the configuration could not be read within {}", show_duration(READING)),
        GivenUp::NoThread => format!("the configuration {given_up}"),
    };
    let problem = Problem { mark: None, key: String::new(), rule, right: String::new() };
    Problems { file: None, problems: vec![problem] }
}

/// Reads the configuration again and says what is wrong with it; what has changed is told where it is put in force.
async fn reload(reloading: Reloading) {
    if let Err(error) = reloading.reload().await {
        for violation in &error.details.violations {
            tracing::error!(key = violation.field, problem = %violation.rule, "a problem of the configuration");
        }
        tracing::error!(reason = error.reason.as_str(), %error, "the configuration was not put in force");
    }
}

/// A provider that runs on this machine, in the simulator's place; looked for only where a person sits.
async fn here(bare: Option<Bare>) -> Option<Config> {
    let bare = bare.filter(|_| io::stdin().is_terminal())?;
    tokio::time::timeout(LOCAL_TIMEOUT, local::find(bare)).await.ok().flatten()
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
        ("probes", format!("{} (health and /metrics)", running.ops)),
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

/// The same in one word, for logs.
const fn origin_name(source: &Source) -> &'static str {
    match source {
        Source::File(_) => "file",
        Source::Environment(_) => "environment",
        Source::Local(_) => "local",
        Source::Simulator => "simulator",
    }
}

fn grpcurl(config: &Config, running: &Running) -> String {
    let (address, tls) = match &running.public {
        crate::edge::Bound::Tcp(address) => (address.to_string(), config.tls.as_ref()),
        crate::edge::Bound::Unix(path) => (format!("-unix {}", path.display()), None),
    };
    let trust = match tls.map(|tls| &tls.files.clients) {
        None => "-plaintext",
        Some(None) => "-cacert CA.pem",
        Some(Some(_)) => "-cacert CA.pem -cert CLIENT.pem -key CLIENT.key",
    };
    let model = if config.default_model.is_some() { "" } else { r#""model": "MODEL", "# };
    let admitted = &config.admitted;
    let by_key = admitted.entries().any(|entry| !entry.keys.is_empty()) || !admitted.issuers.is_empty();
    let key = if by_key && !admitted.anonymous { r#" -H "authorization: Bearer $KEY""# } else { "" };
    format!(
        r#"grpcurl {trust}{key} -d '{{{model}"prompt": "Why is the sky blue?"}}' {address} completiond.v1.CompletionService/Complete"#
    )
}
