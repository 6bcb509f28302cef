//! What the command line says: which role, and how much is measured.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures the gateway against the bare reference proxy.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What this process is; without one it measures.
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    /// Fewer and shorter rounds: about three minutes in all.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Prints the figures as JSON, and nothing else on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Measures these groups only (calls, events, latency, load, cache, telemetry, memory, streams, start, alternatives, witness).
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Rounds of each measurement, in place of 5 (quick: 3).
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// How many cores the server that is measured has; the upstream and the load share the others.
    #[arg(long, default_value_t = 1)]
    pub(crate) server_cores: usize,
    /// Draws what the groups `load` and `streams` measure into this folder, as SVG.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plots: Option<PathBuf>,
    /// What is started beside this program.
    #[command(flatten)]
    pub(crate) binaries: Binaries,
    /// Told by `cargo bench`.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

/// The programs that take part: ours, and those of others where they are named.
#[derive(Args, Clone, Debug)]
pub(crate) struct Binaries {
    /// The server that is measured: `target/release/completiond` as `cargo build --release` makes it.
    #[arg(long, env = "COMPLETIOND", default_value = env!("CARGO_BIN_EXE_completiond"))]
    pub(crate) completiond: PathBuf,
    /// A Redis or Valkey server to start, for what is shared on one; without it that is not measured.
    #[arg(long, env = "REDIS_SERVER")]
    pub(crate) redis_server: Option<PathBuf>,
    /// `litellm`, for the group `alternatives`.
    #[arg(long, env = "LITELLM")]
    pub(crate) litellm: Option<PathBuf>,
    /// Portkey's `gateway`, for the same group.
    #[arg(long, env = "PORTKEY")]
    pub(crate) portkey: Option<PathBuf>,
    /// `ghz`, for the group `witness`.
    #[arg(long, env = "GHZ")]
    pub(crate) ghz: Option<PathBuf>,
}

/// What a process is.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// A provider that answers at once, in two protocols.
    Upstream {
        /// Where.
        #[arg(long)]
        listen: SocketAddr,
        /// Threads, each with a runtime of its own.
        #[arg(long)]
        threads: usize,
    },
    /// The least that a proxy can be.
    Reference {
        /// Where.
        #[arg(long)]
        listen: SocketAddr,
        /// Whom it asks.
        #[arg(long)]
        upstream: SocketAddr,
        /// Threads, each with a runtime of its own.
        #[arg(long)]
        threads: usize,
    },
    /// Takes traces and forgets them.
    Collector {
        /// Where.
        #[arg(long)]
        listen: SocketAddr,
    },
}
