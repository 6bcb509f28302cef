//! What the workers share, and what each of them builds from it.

use std::sync::Arc;

use tokio::time::Instant;
use tonic_health::server::HealthReporter;

use super::{Reloading, StartError};
use crate::config::{self, Config};
use crate::count::Count;
use crate::edge::{
    Admission, Bound, Drain, Faces, LedgerView, Limits, Load, Origins, Reflections, RequestRules, Served, Watch,
};
use crate::pipeline::{self, Pipeline, Ready, Replays, Reuse, Tally, pipeline};
use crate::pool::RetryBudget;
use crate::route::Router;
use crate::simulator::Simulator;
use crate::store::{Answers, Books, Finished, Quotas};
use crate::telemetry::Instruments;
use crate::transport::{Direct, Schemes, Transport, Trust};

/// The listeners' services, by their number at every worker.
pub(super) const PUBLIC: usize = 0;
pub(super) const ADMIN: usize = 1;
pub(super) const OPS: usize = 2;

/// What every worker builds its own services from.
#[derive(Clone)]
pub(super) struct Shared {
    faces: Faces,
    settings: pipeline::Settings,
    trust: Trust,
    simulator: Arc<dyn Transport>,
}

impl Shared {
    pub(super) fn new(config: &Config, faces: Faces) -> Result<Self, StartError> {
        let trust = Trust::default();
        // What is wrong with it is told at the start, and no call waits for it.
        if config.providers.iter().any(|provider| provider.is_over_tls()) {
            trust.config()?;
        }
        Ok(Self {
            faces,
            settings: pipeline::Settings { total: config.total, heartbeat: config.stream.heartbeat },
            trust,
            simulator: Arc::new(Simulator::new(config.pace)),
        })
    }

    fn pipeline(&self, router: Router) -> Pipeline {
        pipeline(router, self.faces.tables.clone(), self.faces.ready.clone(), self.settings)
    }

    /// A worker's services, in the order of their numbers. Runs on the worker.
    pub(super) fn services(&self, load: &Load) -> Vec<Served> {
        let network: Arc<dyn Transport> = Arc::new(Direct::new(self.trust.clone(), self.faces.upstreams.clone()));
        let transport = Schemes::new([
            ("https", Arc::clone(&network)),
            ("http", network),
            ("simulator", Arc::clone(&self.simulator)),
        ]);
        let router = Router::new(self.faces.tables.clone(), Arc::new(transport), self.faces.retry_budget.clone());
        let watch = Watch::new(self.faces.client_stall);
        tokio::spawn(watch.clone().run(self.faces.drain.clone()));
        let public = self.faces.public(self.pipeline(router.clone()), router, watch, load);
        vec![public, self.faces.admin(load), self.faces.ops(load)]
    }
}

/// The answers that are there already, for all workers.
///
/// # Errors
/// What no configuration causes: an address that can be none.
pub(super) async fn ready(config: &Config) -> Result<Ready, StartError> {
    let tally = Tally::default();
    let (answers, finished, quotas) = tokio::join!(
        Answers::open(&config.cache),
        Finished::open(&config.completions),
        Quotas::open(config.limits.shared.as_ref())
    );
    Ok(Ready {
        reuse: Reuse::new(config.cache.clone(), answers?, tally.clone()),
        replays: Replays::new(finished?, tally),
        quotas: quotas?,
    })
}

/// What the edge of all workers shares.
pub(super) fn faces(
    config: &Config,
    reloading: &Reloading,
    [public, admin]: [&Bound; 2],
    instruments: Instruments,
    (books, ready): (Books, Ready),
) -> Faces {
    let limits = Limits {
        max_request_bytes: usize::try_from(config.limits.max_request_bytes).unwrap_or(usize::MAX),
        max_bytes_in_flight: config.limits.max_bytes_in_flight,
        max_in_flight: config.limits.max_in_flight,
        arrival: config.total,
    };
    Faces {
        roster: reloading.callers().clone(),
        operators_are_near: admin.is_loopback(),
        tables: reloading.tables().clone(),
        rules: Arc::new(RequestRules {
            allowed_headers: config.provider_option_headers.iter().map(ToString::to_string).collect(),
        }),
        limits,
        origins: origins(&config.web.origins),
        admission: Admission::new(limits),
        retry_budget: RetryBudget::full(Instant::now()),
        callers: Count::default(),
        upstreams: Count::default(),
        reload: Arc::new(reloading.clone()),
        view: if public.is_loopback() { LedgerView::Full } else { LedgerView::WithoutEndpoints },
        client_stall: config.stream.client_stall,
        drain: Drain::default(),
        backstage: Drain::default(),
        tracer: instruments.tracer,
        metrics: instruments.metrics,
        books,
        ready,
        health: HealthReporter::new(),
        reflections: Reflections::default(),
    }
}

fn origins(listed: &config::Origins) -> Origins {
    match listed {
        config::Origins::Any => Origins::Any,
        config::Origins::Listed(origins) => Origins::Listed(origins.clone()),
    }
}
