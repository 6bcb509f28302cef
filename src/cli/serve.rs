//! `completiond serve`: serves until told to stop.

use std::io::IsTerminal;
use std::time::Duration;

use super::check;
use super::client::root_cause;
use super::settings::{ConfigArgs, Loaded};
use super::{Exit, local, print, runtime, tell, tell_problems};
use crate::app::{self, Running};
use crate::config::Config;
use crate::edge::Bound;
use crate::telemetry;

/// How long a model server on this machine may take to say that it is there.
const PROBE: Duration = Duration::from_millis(500);

/// Serves.
pub(super) fn run(args: &ConfigArgs) -> Result<(), Exit> {
    let loaded = args.load().map_err(tell_problems)?;
    let log = &loaded.config.log;
    let settings = telemetry::Settings { log_filter: log.level.clone(), log_format: log.format };
    let guard = telemetry::init(&settings).map_err(|error| failed(&error))?;
    runtime()?.block_on(serve(loaded, guard.tracer()))
}

async fn serve(Loaded { mut config, bare }: Loaded, tracer: telemetry::Tracer) -> Result<(), Exit> {
    let mut stop = Stop::listen().map_err(|error| failed(&error))?;
    let running = app::start(&config, tracer).await.map_err(|error| failed(&error))?;
    if let Some(bare) = bare.filter(|_| std::io::stderr().is_terminal())
        && let Ok(Some(found)) = tokio::time::timeout(PROBE, local::find(bare)).await
        && let Ok(table) = app::table(&found)
    {
        running.tables.replace(table);
        config = found;
    }
    print(&welcome(&config, &running));
    stop.told().await;
    tell("stopping; a second signal ends at once");
    tokio::select! {
        () = running.stop() => Ok(()),
        () = stop.told() => Err(Exit::Interrupted),
    }
}

fn failed(error: &dyn std::error::Error) -> Exit {
    let (text, cause) = (error.to_string(), root_cause(error));
    tell(if text.contains(&cause) { text } else { format!("{text}: {cause}") });
    Exit::Failed
}

/// What was found, where the server listens, and a line to try it.
fn welcome(config: &Config, running: &Running) -> String {
    let mut text = format!("{}\n", check::source(&config.source));
    for warning in &config.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    for provider in &config.providers {
        text.push_str(&format!("provider {} at {}\n", provider.id, provider.base_url));
    }
    if let Some(model) = &config.default_model {
        text.push_str(&format!("default model {model}\n"));
    }
    let Running { public, admin, ops, .. } = running;
    text.push_str(&format!("listening on {public}, for operators on {admin}, for probes on {ops}\n"));
    let address = match public {
        Bound::Tcp(address) if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        Bound::Tcp(_) | Bound::Unix(_) => public.to_string(),
    };
    let model = if config.default_model.is_some() { "" } else { "\"model\": \"MODEL\", " };
    text.push_str(&format!(
        "try: grpcurl -plaintext -d '{{{model}\"prompt\": \"Why is the sky blue?\"}}' {address} \
         completiond.v1.CompletionService/StreamComplete\n"
    ));
    text
}

/// The signals that tell a server to stop.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
