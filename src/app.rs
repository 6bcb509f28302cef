//! The composition root: builds what all workers share from a configuration, starts the workers, and serves until told
//! to stop. Only this file and the command line see the whole configuration.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::task::JoinSet;
use tonic_health::server::HealthReporter;

use crate::config::{Config, ListenAddress};
use crate::credentials::Credentials;
use crate::edge::{
    Admission, Bound, Count, Drain, Faces, LedgerView, Limits, Listener, Load, RequestRules, Served, Watch, Workers,
};
use crate::pipeline::{self, pipeline};
use crate::pool::{Account, Endpoint, Provider};
use crate::route::{Alias, Lead, Router, Rules, Table, Tables, Target};
use crate::simulator::Simulator;
use crate::telemetry::Tracer;
use crate::transport::{BoxError, Direct, Schemes, Transport, system_trust};

/// How long the last words to clients may take after the calls were ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The listeners' services, by their number at every worker.
const PUBLIC: usize = 0;
const ADMIN: usize = 1;
const OPS: usize = 2;

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
    /// The names that callers may ask for.
    pub tables: Tables,
    /// What callers have in flight.
    pub admission: Admission,
    drain: Drain,
    drain_delay: Duration,
    shutdown_grace: Duration,
    health: HealthReporter,
    workers: Arc<Workers>,
    accepting: JoinSet<()>,
}

/// Starts serving.
///
/// # Errors
/// [`StartError`], before anything is served.
pub async fn start(config: &Config, tracer: Tracer) -> Result<Running, StartError> {
    let tables = Tables::new(table(config)?);
    let listeners =
        [listen(&config.listen).await?, listen(&config.admin_listen).await?, listen(&config.ops_listen).await?];
    let [public, admin, ops] = listeners.each_ref().map(Listener::bound);
    let (public, admin, ops) = (public.map_err(system)?, admin.map_err(system)?, ops.map_err(system)?);

    let drain = Drain::default();
    let health = HealthReporter::new();
    let faces = faces(config, tables.clone(), &public, tracer, drain.clone(), health.clone());
    let admission = faces.admission.clone();
    let shared = Shared::new(config, faces)?;
    let workers = Workers::start(config.workers.get(), &drain, move |load| shared.services(load)).map_err(system)?;
    let workers = Arc::new(workers);
    let callers = Count::default();
    let mut accepting = JoinSet::new();
    for (face, listener) in [PUBLIC, ADMIN, OPS].into_iter().zip(listeners) {
        let (workers, drain) = (Arc::clone(&workers), drain.clone());
        let open = if face == PUBLIC { callers.clone() } else { Count::default() };
        accepting.spawn(async move { workers.accept(listener, face, &open, &drain).await });
    }
    set_health(&health, tonic_health::ServingStatus::Serving).await;
    Ok(Running {
        public,
        admin,
        ops,
        tables,
        admission,
        drain,
        drain_delay: config.drain_delay,
        shutdown_grace: config.shutdown_grace,
        health,
        workers,
        accepting,
    })
}

impl Running {
    /// Stops in order: health says so and calls are still served for the drain delay; then connections are told to go
    /// away and running calls may finish within the grace; then the rest is ended. Dropping the future of this skips
    /// what is left of that.
    pub async fn stop(mut self) {
        set_health(&self.health, tonic_health::ServingStatus::NotServing).await;
        tokio::time::sleep(self.drain_delay).await;
        self.drain.refuse();
        while self.accepting.join_next().await.is_some() {}
        let Some(workers) = Arc::into_inner(self.workers) else { return };
        let mut ended = std::pin::pin!(workers.ended());
        if tokio::time::timeout(self.shutdown_grace, &mut ended).await.is_err() {
            self.drain.end();
            let _ = tokio::time::timeout(LAST_WORDS, ended).await;
        }
    }
}

/// What every worker builds its own services from.
#[derive(Clone)]
struct Shared {
    faces: Faces,
    settings: pipeline::Settings,
    trust: Arc<rustls::ClientConfig>,
    simulator: Arc<dyn Transport>,
}

impl Shared {
    fn new(config: &Config, faces: Faces) -> Result<Self, StartError> {
        Ok(Self {
            faces,
            settings: pipeline::Settings { total: config.total, heartbeat: config.stream.heartbeat },
            trust: system_trust()?,
            simulator: Arc::new(Simulator::new(config.pace)),
        })
    }

    /// A worker's services, in the order of their numbers. Runs on the worker.
    fn services(&self, load: &Load) -> Vec<Served> {
        let network: Arc<dyn Transport> = Arc::new(Direct::new(Arc::clone(&self.trust)));
        let transport = Schemes::new([
            ("https", Arc::clone(&network)),
            ("http", network),
            ("simulator", Arc::clone(&self.simulator)),
        ]);
        let router = Router::new(self.faces.tables.clone(), Arc::new(transport));
        let watch = Watch::new(self.faces.client_stall);
        tokio::spawn(watch.clone().run(self.faces.drain.clone()));
        let public = self.faces.public(pipeline(router, self.settings), watch, load);
        vec![public, self.faces.admin(load), self.faces.ops(load)]
    }
}

fn faces(
    config: &Config,
    tables: Tables,
    public: &Bound,
    tracer: Tracer,
    drain: Drain,
    health: HealthReporter,
) -> Faces {
    let limits = Limits {
        max_request_bytes: usize::try_from(config.limits.max_request_bytes).unwrap_or(usize::MAX),
        max_bytes_in_flight: config.limits.max_bytes_in_flight,
        max_in_flight: config.limits.max_in_flight,
        arrival: config.total,
    };
    Faces {
        tables,
        rules: Arc::new(RequestRules {
            allowed_headers: config.provider_option_headers.iter().map(ToString::to_string).collect(),
        }),
        limits,
        admission: Admission::new(limits),
        view: if public.is_loopback() { LedgerView::Full } else { LedgerView::WithoutEndpoints },
        client_stall: config.stream.client_stall,
        drain,
        tracer,
        health,
    }
}

async fn listen(address: &ListenAddress) -> Result<Listener, StartError> {
    let listener = match address {
        ListenAddress::Tcp(host) => Listener::tcp(host).await,
        ListenAddress::Unix(path) => Listener::unix(path).await,
    };
    listener.map_err(|source| StartError::Listen { address: address.to_string(), source })
}

async fn set_health(health: &HealthReporter, status: tonic_health::ServingStatus) {
    for service in ["", "completiond.v1.CompletionService"] {
        health.set_service_status(service, status).await;
    }
}

fn system(error: io::Error) -> StartError {
    StartError::System(error.into())
}

/// The names that a configuration gives to its targets.
///
/// # Errors
/// [`StartError::Key`] when a key cannot be sent.
pub fn table(config: &Config) -> Result<Table, StartError> {
    let providers = config.providers.iter().map(provider).collect::<Result<Vec<_>, _>>()?;
    let aliases = config.models.iter().map(|model| {
        let targets = model.targets.iter().filter_map(|target| {
            let provider = providers.iter().find(|provider| provider.id == target.provider)?;
            Some(Target {
                endpoint: Arc::new(Endpoint::known(provider, target.model.clone()).with_timeouts(target.timeouts)),
                priority: target.priority,
                weight: target.weight,
            })
        });
        let lead = Lead { targets: targets.collect(), fallbacks: model.fallback_models.clone(), hedge: model.hedge };
        Alias { name: model.id.clone(), lead }
    });
    let aliases = aliases.collect();
    let rules = Rules {
        default_max_tokens: config.default_max_tokens,
        commit_after: config.stream.commit_after,
        max_answer_bytes: config.limits.max_answer_bytes,
        retry: config.retry,
    };
    Ok(Table::new(providers, aliases, config.default_model.clone(), rules))
}

fn provider(config: &crate::config::Provider) -> Result<Arc<Provider>, StartError> {
    let preset = config.preset;
    let credentials = match &config.api_key {
        Some(key) => Credentials::new(preset.auth, key)
            .map_err(|source| StartError::Key { provider: config.id.to_string(), source })?,
        None => Credentials::default(),
    };
    Ok(Arc::new(Provider {
        id: config.id.clone(),
        vendor: config.vendor.clone(),
        telemetry_name: preset.telemetry_name,
        protocol: (preset.protocol)(),
        base_url: config.base_url.clone(),
        credentials,
        headers: HeaderMap::clone(&config.headers),
        timeouts: config.timeouts,
        proxy: config.proxy.clone(),
        simulated: config.base_url.scheme_str() == Some("simulator"),
        account: Arc::new(Account::new(config.concurrency)),
    }))
}
