//! The measuring process: sets the stage, measures group by group, and prints what came of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::Failure;
use crate::alternatives::Alternative;
use crate::arguments::{Arguments, Binaries};
use crate::cores::{Cores, open_many_files};
use crate::figures::{self, GROUPS};
use crate::process::{Place, Process, free_address};
use crate::production::{self, Cache, Others, Setting};
use crate::report::Report;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How often each measurement is made.
    pub(crate) rounds: usize,
    /// How often those that start servers anew are.
    pub(crate) starts: usize,
    /// How long one takes.
    pub(crate) time: Duration,
    /// How long one takes whose delays are sorted.
    pub(crate) delays: Duration,
    /// Streams that are open at a time to see what they take.
    pub(crate) open: usize,
    /// Streams after which it is seen what stays.
    pub(crate) streams: usize,
    /// How long memory may take to be given back.
    pub(crate) rest: Duration,
}

impl Plan {
    fn of(arguments: &Arguments) -> Self {
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        let full = Self {
            rounds: 5,
            starts: 5,
            time: seconds(3),
            delays: seconds(4),
            open: 1000,
            streams: 10_000,
            rest: seconds(12),
        };
        let quick = Self {
            rounds: 3,
            starts: 1,
            time: millis(600),
            delays: millis(700),
            open: 500,
            streams: 10_000,
            rest: seconds(4),
        };
        let plan = if arguments.quick { quick } else { full };
        match arguments.rounds {
            Some(rounds) => Self { rounds, starts: rounds, ..plan },
            None => plan,
        }
    }
}

/// What stands around what is measured.
pub(crate) struct Stage {
    cores: Cores,
    folder: TempDir,
    binaries: Binaries,
    alternatives: Vec<Alternative>,
    plots: Option<PathBuf>,
    upstream: Process,
    collector: Process,
    redis: Option<Process>,
}

impl Stage {
    fn set(arguments: &Arguments) -> Result<Self, Failure> {
        open_many_files();
        let cores = Cores::with_server(arguments.server_cores)?;
        let folder = tempfile::tempdir()?;
        let beside = |name: &str, address, command| {
            Process::start(command, address, &folder.path().join(name), (&cores, Place::Beside))?.listening()
        };
        let address = free_address()?;
        let mut command = role("upstream", address)?;
        command.arg("--threads").arg(cores.load_threads().to_string());
        let upstream = beside("upstream.log", address, command)?;
        let address = free_address()?;
        let collector = beside("collector.log", address, role("collector", address)?)?;
        let redis = arguments.binaries.redis_server.as_ref().map(|binary| {
            let address = free_address()?;
            let mut command = Command::new(binary);
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
            command.arg(address.port().to_string()).arg("--dir").arg(folder.path());
            beside("redis.log", address, command)
        });
        let redis = redis.transpose()?;
        let (binaries, plots) = (arguments.binaries.clone(), arguments.plots.clone());
        // Now, and not when minutes were measured for nothing.
        if let Some(folder) = &plots {
            std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let alternatives = Alternative::named(&binaries)?;
        Ok(Self { cores, folder, binaries, alternatives, plots, upstream, collector, redis })
    }

    /// The upstream.
    pub(crate) fn upstream(&self) -> &Process {
        &self.upstream
    }

    /// The cores.
    pub(crate) fn cores(&self) -> &Cores {
        &self.cores
    }

    /// Where answers can be shared; none: nowhere on this machine.
    pub(crate) fn shared(&self) -> Option<Cache> {
        self.redis.as_ref().map(|server| Cache::Shared(server.address))
    }

    /// The gateways of others that this machine has.
    pub(crate) fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }

    /// Where somebody else's load is.
    pub(crate) fn ghz(&self) -> Option<&Path> {
        self.binaries.ghz.as_deref()
    }

    /// Where pictures go; none: nothing is drawn.
    pub(crate) fn plots(&self) -> Option<&Path> {
        self.plots.as_deref()
    }

    /// What is written meanwhile goes here, and is gone afterwards.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a group needs and this machine does not have; none: it can be measured.
    fn lacks(&self, group: &str) -> Option<&'static str> {
        match group {
            "alternatives" if self.alternatives.is_empty() => Some("neither LITELLM nor PORTKEY names a program"),
            "witness" if self.binaries.ghz.is_none() => Some("GHZ names no program"),
            _ => None,
        }
    }

    /// A reference of its own, which may not listen yet.
    pub(crate) fn reference(&self) -> Result<Process, Failure> {
        let address = free_address()?;
        let mut command = role("reference", address)?;
        command.arg("--upstream").arg(self.upstream.address.to_string());
        command.arg("--threads").arg(self.cores.server().to_string());
        let log = self.folder.path().join("reference.log");
        Process::start(command, address, &log, (&self.cores, Place::Measured))
    }

    /// A gateway of its own, which may not listen yet.
    pub(crate) fn gateway(&self, setting: Setting) -> Result<Process, Failure> {
        let address = free_address()?;
        let others = Others { upstream: self.upstream.address, collector: self.collector.address };
        let folder = self.folder.path().join(address.port().to_string());
        let command = production::command(&self.binaries.completiond, address, (others, setting), &folder)?;
        Process::start(command, address, &folder.join("log.json"), (&self.cores, Place::Measured))
    }

    /// A gateway of others, which may not listen yet.
    pub(crate) fn alternative(&self, of: &Alternative) -> Result<Process, Failure> {
        let address = free_address()?;
        let folder = self.folder.path().join(address.port().to_string());
        let command = of.command(address, self.upstream.address, &folder)?;
        Process::start(command, address, &folder.join("log"), (&self.cores, Place::Measured))
    }
}

/// This program as something else.
fn role(name: &str, listen: std::net::SocketAddr) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).arg("--listen").arg(listen.to_string());
    Ok(command)
}

/// Measures, and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(unknown) = arguments.only.iter().find(|name| !GROUPS.contains(&name.as_str())) {
        return Err(format!("no group {unknown}; there are: {}", GROUPS.join(", ")).into());
    }
    let stage = Stage::set(arguments)?;
    let threads = stage.cores.load_threads();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let plan = Plan::of(arguments);
    let mut report = Report::new(stage.cores.to_string(), plan.rounds);
    let named = |group: &str| arguments.only.iter().any(|name| name == group);
    for group in GROUPS.into_iter().filter(|group| arguments.only.is_empty() || named(group)) {
        match stage.lacks(group) {
            Some(lack) if named(group) => return Err(format!("{group}: {lack}").into()),
            Some(lack) => {
                eprintln!("not measured: {group}: {lack}");
                continue;
            }
            None => eprintln!("measuring: {group}"),
        }
        let measured = runtime.block_on(figures::measure(group, &stage, &plan, &mut report));
        measured.map_err(|error| format!("{group}: {error}"))?;
    }
    let text = if arguments.json { report.json() } else { report.table() };
    println!("{text}");
    Ok(())
}
