//! What operators ask: how the pool is, and to read the configuration again.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::admission::Admission;
use super::convert::{self, LedgerView, PoolReport, ProviderReport};
use super::told::Told;
use crate::count::Count;
use crate::domain::{Error, Reason};
use crate::edge::Reload;
use crate::pipeline::Reuse;
use crate::pool::RetryBudget;
use crate::proto;
use crate::proto::admin_service_server::AdminService;
use crate::route::{Table, Tables};
use crate::store::Books;
use crate::telemetry::{Metrics, Rpc, Tracer};

/// The answers to operators.
#[derive(Clone, Debug)]
pub(super) struct Administration {
    pub(super) tables: Tables,
    pub(super) retry_budget: RetryBudget,
    pub(super) admission: Admission,
    pub(super) callers: Count,
    pub(super) upstreams: Count,
    pub(super) reload: Arc<dyn Reload>,
    pub(super) view: LedgerView,
    pub(super) tracer: Tracer,
    pub(super) metrics: Metrics,
    pub(super) books: Books,
    pub(super) reuse: Reuse,
}

#[tonic::async_trait]
impl AdminService for Administration {
    async fn get_pool(&self, _: Request<proto::GetPoolRequest>) -> Result<Response<proto::GetPoolResponse>, Status> {
        // Somebody may ask this once a second, and it changes nothing: it leaves neither a span nor a log line.
        let now = Instant::now();
        Ok(Response::new(convert::pool(PoolReport {
            providers: providers(&self.tables.current(), now),
            retry_tokens: self.retry_budget.tokens(now),
            retry_capacity: self.retry_budget.capacity(),
            calls_in_flight: self.admission.calls_in_flight(),
            bytes_in_flight: self.admission.bytes_in_flight(),
            callers: self.callers.now(),
            upstreams: self.upstreams.now(),
            now: SystemTime::now(),
        })))
    }

    async fn list_usage(
        &self,
        request: Request<proto::ListUsageRequest>,
    ) -> Result<Response<proto::ListUsageResponse>, Status> {
        let mut told = self.begin(&request, Rpc::ListUsage);
        match usage(&self.books, &request.into_inner()).await {
            Ok(page) => {
                told.answered();
                Ok(Response::new(page))
            }
            Err(error) => Err(told.status(error)),
        }
    }

    async fn get_cache_stats(
        &self,
        _: Request<proto::GetCacheStatsRequest>,
    ) -> Result<Response<proto::GetCacheStatsResponse>, Status> {
        // As with the pool: somebody may ask this once a second.
        let (stats, done) = (self.reuse.answers().stats(), self.reuse.tallied());
        Ok(Response::new(convert::cache_stats(self.reuse.is_enabled(), stats, done)))
    }

    async fn clear_cache(
        &self,
        request: Request<proto::ClearCacheRequest>,
    ) -> Result<Response<proto::ClearCacheResponse>, Status> {
        let mut told = self.begin(&request, Rpc::ClearCache);
        match self.forget(request.into_inner()).await {
            Ok(entries) => {
                told.answered();
                Ok(Response::new(proto::ClearCacheResponse { entries }))
            }
            Err(error) => Err(told.status(error)),
        }
    }

    async fn reload(&self, request: Request<proto::ReloadRequest>) -> Result<Response<proto::ReloadResponse>, Status> {
        let mut told = self.begin(&request, Rpc::Reload);
        match self.reload.reload().await {
            Ok(reloaded) => {
                told.answered();
                Ok(Response::new(convert::reloaded(reloaded)))
            }
            Err(error) => Err(told.status(error)),
        }
    }
}

impl Administration {
    fn begin<T>(&self, request: &Request<T>, rpc: Rpc) -> Told {
        Told::begin(request, rpc, self.view, (&self.tracer, &self.metrics))
    }

    async fn forget(&self, request: proto::ClearCacheRequest) -> Result<i64, Error> {
        let forgotten = self.reuse.answers().forget(&convert::scope(request)?).await;
        let forgotten = forgotten.map_err(|error| {
            let message = format!("the cache that processes share cannot be emptied now, and may be in part: {error}");
            Error::new(Reason::CacheUnavailable, message)
        })?;
        Ok(i64::try_from(forgotten).unwrap_or(i64::MAX))
    }
}

async fn usage(books: &Books, request: &proto::ListUsageRequest) -> Result<proto::ListUsageResponse, Error> {
    let asked = convert::asked_usage(request, books.usage.labels())?;
    let page = books.usage.page(asked.query.clone()).await;
    let page = page.map_err(|error| {
        Error::new(Reason::UsageUnavailable, format!("the sums of usage cannot be read now: {error}"))
    })?;
    Ok(convert::listed_usage(&asked, page))
}

/// How each provider is: the models that the configuration names there, and those that were asked.
fn providers(table: &Table, now: Instant) -> Vec<ProviderReport> {
    let providers = table.providers().iter().map(|provider| {
        let mut models = provider.account.report(now);
        models.retain(|(model, report)| report.sent > 0 || table.names(&provider.id, model));
        ProviderReport { provider: provider.id.clone(), models }
    });
    providers.collect()
}
