//! Which process runs on which cores.
//!
//! What is measured has cores of its own; the upstream and the load share the rest. Threads are bound by `taskset`, and
//! what a bound thread starts is bound as it is, so that nothing stands between it and the process.

use std::ops::Range;
use std::process::{Command, Stdio};

use crate::Failure;

/// The two parts.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    server: Range<usize>,
    load: Range<usize>,
    is_bound: bool,
}

impl Cores {
    /// `server` cores for what is measured, the rest of the machine for the others.
    pub(crate) fn with_server(server: usize) -> Result<Self, Failure> {
        let all = std::thread::available_parallelism()?.get();
        let server = server.clamp(1, all.saturating_sub(1).max(1));
        let mut cores = Self { server: 0..server, load: server.min(all - 1)..all, is_bound: all > 1 };
        // Where there is no taskset, the system places them.
        cores.is_bound = cores.is_bound && bind(&cores.load);
        Ok(cores)
    }

    /// Cores of what is measured.
    pub(crate) fn server(&self) -> usize {
        self.server.len()
    }

    /// Cores of the upstream and the load.
    pub(crate) fn load(&self) -> usize {
        self.load.len()
    }

    /// Threads for the upstream, and as many for the load.
    pub(crate) fn load_threads(&self) -> usize {
        self.load.len().div_ceil(2)
    }

    /// Does `what` on the cores of the server: what it starts stays there.
    pub(crate) fn on_server<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                if self.is_bound {
                    bind(&self.server);
                }
                what()
            });
            thread.join().map_err(|_| "a process could not be started".into())
        })
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.is_bound {
            return f.write_str("not bound to cores");
        }
        write!(f, "server on core {}, upstream and load on core {}", list(&self.server), list(&self.load))
    }
}

/// Binds the thread that calls, and what it starts from now on; whether that could be done.
fn bind(cores: &Range<usize>) -> bool {
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else { return false };
    let Some(thread) = thread.file_name() else { return false };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "--pid", &list(cores)]).arg(thread);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn list(cores: &Range<usize>) -> String {
    match cores.len() {
        1 => cores.start.to_string(),
        _ => format!("{}-{}", cores.start, cores.end - 1),
    }
}

/// As many open files as the system gives, for this process and those it starts.
pub(crate) fn open_many_files() {
    let process = std::process::id().to_string();
    let hard = Command::new("prlimit")
        .args(["--pid", &process, "--nofile", "--raw", "--noheadings", "--output", "HARD"])
        .stderr(Stdio::null())
        .output();
    let Ok(hard) = hard else { return };
    let Ok(hard) = String::from_utf8(hard.stdout) else { return };
    let limit = format!("--nofile={0}:{0}", hard.trim());
    let _ = Command::new("prlimit").args(["--pid", &process, &limit]).stderr(Stdio::null()).status();
}
