//! The composition root: builds what all workers share from a configuration, starts the workers, and serves until told
//! to stop. Only this folder and the command line see the whole configuration.

mod certificates;
mod changed;
mod fleet;
mod listeners;
mod observed;
mod reload;
mod reused;
mod roster;
mod spending;
mod table;
mod workers;

pub use reload::{Load, Loading, Reloading};
pub use table::table;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tonic_health::server::HealthReporter;

use crate::callers::{Callers, Vouching};
use crate::config::Config;
use crate::count::{Count, Total};
use crate::edge::{Admission, Bound, Drain, Workers};
use crate::pipeline::Replays;
use crate::route::Tables;
use crate::store::{Allowances, Books, Keeping, OpenError, Quotas, RedisError};
use crate::telemetry::Instruments;
use crate::transport::BoxError;
use certificates::Certificates;
use listeners::{Accepting, Gates, Listeners};
use observed::Now;
use reload::Served;
use roster::roster;
use spending::Spending;
use workers::Shared;

/// How long the last words to clients may take after the calls were ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be bound.
    #[error(
        "cannot listen on {address}: {source}; --listen, --admin-listen and --ops-listen name other addresses, and port 0 is any free one"
    )]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A provider's key cannot be sent.
    #[error("providers: {provider}: {source}")]
    Key {
        /// Whose.
        provider: String,
        /// Why.
        source: crate::credentials::UnusableKey,
    },
    /// A certificate cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] crate::tls::Fault),
    /// Sums of usage cannot be kept where the configuration says.
    #[error(transparent)]
    Usage(#[from] OpenError),
    /// Nothing can be shared where the configuration says.
    #[error("redis_url: {0}")]
    Shared(#[from] RedisError),
    /// What no configuration causes.
    #[error("the server cannot start: {0}")]
    System(#[from] BoxError),
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where callers reach it.
    pub public: Bound,
    /// Where operators reach it.
    pub admin: Bound,
    /// Where probes reach it.
    pub ops: Bound,
    /// Puts other configurations in force.
    pub reloading: Reloading,
    /// What callers have in flight.
    pub admission: Admission,
    drain: Drain,
    backstage: Drain,
    /// The connections from callers.
    callers: Count,
    drain_delay: Duration,
    shutdown_grace: Duration,
    health: HealthReporter,
    workers: Arc<Workers>,
    accepting: Accepting,
    keeping: Keeping,
    replays: Replays,
    quotas: Quotas,
    /// Counts what calls leave, looks at certificates and callers, and hears of providers' limits, until this is dropped.
    _beside: [JoinSet<()>; 3],
}

/// Starts serving. A reload finds what it was started with.
///
/// # Errors
/// [`StartError`], before anything is served.
pub async fn start(config: &Config, instruments: impl Into<Instruments>) -> Result<Running, StartError> {
    start_reloadable(config, reload::same(config), instruments).await
}

/// Starts serving; `load` reads the configuration again.
///
/// # Errors
/// [`StartError`], before anything is served.
pub async fn start_reloadable(
    config: &Config,
    load: Load,
    instruments: impl Into<Instruments>,
) -> Result<Running, StartError> {
    let instruments = instruments.into();
    let certificates = Certificates::open(config)?;
    let reloading = reloading(config, &certificates, load, &instruments)?;
    let listeners = Listeners::bind(config).await?;
    let [public, admin, ops] = listeners.bound.clone();

    let (books, keeping) =
        Books::open_all(&config.completions, &config.usage, Arc::new(Spending(instruments.metrics.clone())))?;
    let ready = workers::ready(config).await?;
    reused::watch(&instruments.metrics, &ready);
    let (replays, quotas) = (ready.replays.clone(), ready.quotas.clone());
    let in_step = fleet::keep_in_step(reloading.tables().clone(), Allowances::beside(&ready.quotas));
    let metrics = instruments.metrics.clone();
    let faces = workers::faces(config, &reloading, [&public, &admin], instruments, (books, ready));
    let (drain, backstage, health) = (faces.drain.clone(), faces.backstage.clone(), faces.health.clone());
    let (admission, callers) = (faces.admission.clone(), faces.callers.clone());
    let shared = Shared::new(config, faces)?;
    let workers = Workers::start(config.workers.get(), move |load| shared.services(load)).map_err(system)?;
    let gates = Gates::new(config, &certificates, &callers, (&drain, &backstage));
    let now = Now { admission: admission.clone(), workers: workers.runtimes(), gates: gates.clone() };
    observed::watch(&metrics, config, &reloading, now);
    let mut counting = JoinSet::new();
    counting.spawn(metrics.keep_counting());
    counting.spawn(reloading.clone().keep_looking_at_callers());
    let workers = Arc::new(workers);
    let accepting = gates.open(listeners, &workers);
    set_health(&health, tonic_health::ServingStatus::Serving).await;
    Ok(Running {
        public,
        admin,
        ops,
        reloading,
        admission,
        drain,
        backstage,
        callers,
        drain_delay: config.drain_delay,
        shutdown_grace: config.shutdown_grace,
        health,
        workers,
        accepting,
        keeping,
        replays,
        quotas,
        _beside: [counting, certificates.keep_looking(), in_step],
    })
}

/// What is served by at the start.
fn reloading(
    config: &Config,
    certificates: &Certificates,
    load: Load,
    instruments: &Instruments,
) -> Result<Reloading, StartError> {
    let vouching = Vouching { runtime: Handle::current(), failures: Total::default() };
    let callers = Callers::new(roster(&config.admitted, &vouching, None));
    let tables = Tables::new(table(config, None)?);
    let served = Served { tables, callers, certificates: certificates.clone(), vouching };
    Ok(Reloading::new(config, served, load, instruments.levels.clone()))
}

impl Running {
    /// Stops in order: health says so and calls are still served for the drain delay; then connections are told to go
    /// away and running calls may finish within the grace; then the rest is ended. Operators and probes are answered until
    /// then. Dropping the future of this skips what is left of that.
    pub async fn stop(mut self) {
        set_health(&self.health, tonic_health::ServingStatus::NotServing).await;
        tokio::time::sleep(self.drain_delay).await;
        self.drain.refuse();
        while self.accepting.public.join_next().await.is_some() {}
        if tokio::time::timeout(self.shutdown_grace, none_left(&self.callers)).await.is_err() {
            self.drain.end();
            let _ = tokio::time::timeout(LAST_WORDS, none_left(&self.callers)).await;
        }
        self.backstage.refuse();
        while self.accepting.backstage.join_next().await.is_some() {}
        if let Some(workers) = Arc::into_inner(self.workers) {
            let _ = tokio::time::timeout(LAST_WORDS, workers.ended()).await;
        }
        // The calls have ended, and what they used is noted.
        tokio::join!(self.keeping.end(), self.replays.end(), self.quotas.end());
    }
}

/// Waits until nobody is connected any more.
async fn none_left(connections: &Count) {
    while connections.now() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn set_health(health: &HealthReporter, status: tonic_health::ServingStatus) {
    for service in ["", "completiond.v1.CompletionService"] {
        health.set_service_status(service, status).await;
    }
}

fn system(error: io::Error) -> StartError {
    StartError::System(error.into())
}
