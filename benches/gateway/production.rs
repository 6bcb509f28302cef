//! The gateway as it is run in production: a caller that is told by its key and has limits, bounds, retries and breakers as they
//! come, usage with prices and kept in a file, metrics, one log line for each call to a file, and traces of which one in a hundred is sampled. To see what telemetry
//! costs, more or less of it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use completiond::callers::KeyHash;

use crate::Failure;
use crate::process::free_address;
use crate::shapes::{self, Wire};

/// What the caller shows.
pub(crate) const CALLER_KEY: &str = "bench-caller-key";
/// What it may use: each limit counts, and none is reached.
const LIMITS: &str =
    "requests_per_minute: 4000000000, tokens_per_minute: 4000000000, in_flight: 100000, spend_per_day: 9000000";

/// Where the cache of answers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Off, as it comes.
    Off,
    /// In the memory of the process.
    Memory,
    /// On a Redis or Valkey at this address.
    Shared(SocketAddr),
}

/// How much the gateway tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telemetry {
    /// Neither logs nor metrics nor traces.
    Off,
    /// Metrics, a log line for each call, and one trace in a hundred: as in production.
    Sampled,
    /// The same, and the trace of every call.
    Whole,
}

impl Telemetry {
    /// Sets what is told by variables.
    fn set(self, command: &mut Command) {
        let share = match self {
            Self::Off => {
                command.env("OTEL_SDK_DISABLED", "true").env("RUST_LOG", "off");
                return;
            }
            Self::Sampled => "0.01",
            Self::Whole => "1",
        };
        command.env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio").env("OTEL_TRACES_SAMPLER_ARG", share);
    }
}

/// What of the gateway is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Where answers are kept.
    pub(crate) cache: Cache,
    /// What is told.
    pub(crate) telemetry: Telemetry,
    /// Whether the upstream is asked over HTTP/2.
    pub(crate) http2: bool,
}

impl Setting {
    /// Production, with this cache.
    pub(crate) const fn with(cache: Cache) -> Self {
        Self { cache, telemetry: Telemetry::Sampled, http2: false }
    }
}

/// Whom the gateway is connected with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    /// The provider, in both protocols.
    pub(crate) upstream: SocketAddr,
    /// Who takes traces.
    pub(crate) collector: SocketAddr,
}

/// How `binary` is started, to listen at `listen`; what it needs stands in `folder`.
pub(crate) fn command(
    binary: &Path,
    listen: SocketAddr,
    (others, setting): (Others, Setting),
    folder: &Path,
) -> Result<Command, Failure> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join("completiond.yaml");
    std::fs::write(&file, configuration(listen, others.upstream, setting, folder)?)?;
    let mut command = Command::new(binary);
    command.args(["serve", "--config"]).arg(file).env_remove("RUST_LOG").env("BENCH_KEY", "bench-key");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", others.collector));
    setting.telemetry.set(&mut command);
    if let Cache::Shared(server) = setting.cache {
        command.env("BENCH_REDIS", format!("redis://{server}"));
    }
    Ok(command)
}

fn configuration(listen: SocketAddr, upstream: SocketAddr, setting: Setting, folder: &Path) -> Result<String, Failure> {
    let (admin, ops, usage) = (free_address()?, free_address()?, folder.join("usage"));
    let mut text = format!(
        "listen: {listen}\nadmin_listen: {admin}\nops_listen: {ops}\nlog: {{ format: json }}\n\
         usage: {{ data_dir: {} }}\ndrain_delay: 0\nproviders:\n",
        usage.display()
    );
    for wire in Wire::ALL {
        let (name, base) = match wire {
            Wire::Chat => (wire.name(), "/v1"),
            Wire::Messages => (wire.name(), ""),
        };
        let http2 = setting.http2;
        let key = "\"${BENCH_KEY}\"";
        writeln!(
            text,
            "  - {{ id: {name}, protocol: {name}, base_url: \"http://{upstream}{base}\", api_key: {key}, http2: {http2} }}"
        )?;
    }
    writeln!(text, "callers: [{{ name: load, keys: ['{}'], limits: {{ {LIMITS} }} }}]", KeyHash::of(CALLER_KEY))?;
    text.push_str("models:\n");
    for (wire, shape) in Wire::ALL.into_iter().flat_map(|wire| shapes::ALL.map(|shape| (wire, shape))) {
        let name = wire.name();
        writeln!(text, "  - id: {name}-{shape}\n    targets: [{{ provider: {name}, model: {shape} }}]")?;
        writeln!(text, "    price: {{ input: 3.0, output: 15.0 }}")?;
    }
    match setting.cache {
        Cache::Off => {}
        Cache::Memory => text.push_str("cache: { enabled: true }\n"),
        Cache::Shared(_) => text.push_str("cache: { enabled: true, redis_url: \"${BENCH_REDIS}\" }\n"),
    }
    Ok(text)
}
