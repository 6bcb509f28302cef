//! How the pool is, and what a reload has changed, as operators are told.

use std::time::{Duration, SystemTime};

use super::usage::duration;
use crate::domain::{ModelId, ProviderId, Quota, Reason};
use crate::edge::{Changes, Reloaded};
use crate::pool::{BreakerState, HealthReport};
use crate::proto;

/// How the pool and the server are.
#[derive(Clone, Debug)]
pub(crate) struct PoolReport {
    /// The providers, in the order of the configuration.
    pub(crate) providers: Vec<ProviderReport>,
    /// What is left for second attempts.
    pub(crate) retry_tokens: f64,
    /// The most that there can be.
    pub(crate) retry_capacity: f64,
    /// The calls that are served.
    pub(crate) calls_in_flight: u64,
    /// The bytes of their requests.
    pub(crate) bytes_in_flight: u64,
    /// The connections from callers.
    pub(crate) callers: usize,
    /// The connections to providers.
    pub(crate) upstreams: usize,
    /// What the clock on the wall says.
    pub(crate) now: SystemTime,
}

/// How the models of a provider are.
#[derive(Clone, Debug)]
pub(crate) struct ProviderReport {
    /// The provider.
    pub(crate) provider: ProviderId,
    /// Its models.
    pub(crate) models: Vec<(ModelId, HealthReport)>,
}

/// How the pool is.
pub(crate) fn pool(report: PoolReport) -> proto::GetPoolResponse {
    let now = report.now;
    let endpoints = report.providers.into_iter().flat_map(|ProviderReport { provider, models }| {
        models.into_iter().map(move |(model, health)| endpoint(&provider, &model, &health, now))
    });
    proto::GetPoolResponse {
        endpoints: endpoints.collect(),
        retry_budget: Some(proto::RetryBudget { tokens: report.retry_tokens, capacity: report.retry_capacity }),
        server: Some(proto::ServerLoad {
            calls_in_flight: number(report.calls_in_flight),
            bytes_in_flight: number(report.bytes_in_flight),
            caller_connections: number(report.callers),
            provider_connections: number(report.upstreams),
        }),
    }
}

/// What a reload has changed.
pub(crate) fn reloaded(reloaded: Reloaded) -> proto::ReloadResponse {
    let Reloaded { source, providers, models, callers, issuers, settings, restart_required, warnings } = reloaded;
    let changes = |Changes { added, removed, changed }| Some(proto::ReloadChanges { added, removed, changed });
    let (providers, models, issuers) = (changes(providers), changes(models), changes(issuers));
    let counted = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let callers = Some(proto::ReloadedCallers {
        in_force: counted(callers.in_force),
        changes: changes(callers.changes),
        omitted: counted(callers.omitted),
    });
    proto::ReloadResponse { source, providers, models, restart_required, warnings, callers, issuers, settings }
}

fn endpoint(provider: &ProviderId, model: &ModelId, health: &HealthReport, now: SystemTime) -> proto::EndpointStatus {
    proto::EndpointStatus {
        provider: provider.to_string(),
        model: model.to_string(),
        breaker_state: breaker(health.breaker).into(),
        key_breaker_state: breaker(health.key).into(),
        in_flight: count(health.in_flight),
        concurrency_limit: health.limit.map(count),
        time_to_first_event: health.latency.map(duration),
        attempts_sent: number(health.sent),
        attempts_failed: number(health.failed),
        last_failure: health.last_error.map(|(reason, ago)| failure(reason, ago, now)),
        hold: health.held_for.map(duration),
        request_limit: health.left.requests.map(limit),
        token_limit: health.left.tokens.map(limit),
        probe_after: health.probe_after.map(duration),
    }
}

fn breaker(state: BreakerState) -> proto::BreakerState {
    match state {
        BreakerState::Closed => proto::BreakerState::Closed,
        BreakerState::Open => proto::BreakerState::Open,
        BreakerState::HalfOpen => proto::BreakerState::HalfOpen,
    }
}

fn failure(reason: Reason, ago: Duration, now: SystemTime) -> proto::EndpointFailure {
    let at = now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
    proto::EndpointFailure { reason: reason.to_string(), failure_time: Some(at.into()) }
}

fn limit(quota: Quota) -> proto::RateLimit {
    proto::RateLimit {
        limit: quota.limit.map(number),
        remaining: number(quota.remaining),
        reset_after: quota.resets_in.map(duration),
    }
}

fn number(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Allowance;

    const SECOND: Duration = Duration::from_secs(1);

    fn seconds(seconds: i64) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos: 0 }
    }

    fn report(health: HealthReport) -> PoolReport {
        PoolReport {
            providers: vec![
                ProviderReport { provider: ProviderId::new("idle"), models: Vec::new() },
                ProviderReport { provider: ProviderId::new("main"), models: vec![(ModelId::new("m-1"), health)] },
            ],
            retry_tokens: 99.5,
            retry_capacity: 100.0,
            calls_in_flight: 1,
            bytes_in_flight: u64::MAX,
            callers: 2,
            upstreams: 3,
            now: SystemTime::UNIX_EPOCH + 100 * SECOND,
        }
    }

    fn unknown() -> HealthReport {
        HealthReport {
            breaker: BreakerState::Closed,
            key: BreakerState::Closed,
            probe_after: None,
            in_flight: 0,
            limit: None,
            latency: None,
            sent: 0,
            failed: 0,
            last_error: None,
            held_for: None,
            left: Allowance::default(),
        }
    }

    #[test]
    fn an_endpoint_arrives_whole() {
        let health = HealthReport {
            breaker: BreakerState::HalfOpen,
            key: BreakerState::Open,
            probe_after: Some(13 * SECOND),
            in_flight: 4,
            limit: Some(5),
            latency: Some(SECOND),
            sent: 6,
            failed: 7,
            last_error: Some((Reason::ProviderTimeout, 8 * SECOND)),
            held_for: Some(9 * SECOND),
            left: Allowance {
                requests: Some(Quota { limit: Some(10), remaining: 11, resets_in: Some(12 * SECOND) }),
                tokens: Some(Quota { limit: None, remaining: 0, resets_in: None }),
            },
        };
        let expected = proto::EndpointStatus {
            provider: "main".into(),
            model: "m-1".into(),
            breaker_state: proto::BreakerState::HalfOpen.into(),
            key_breaker_state: proto::BreakerState::Open.into(),
            in_flight: 4,
            concurrency_limit: Some(5),
            time_to_first_event: Some(seconds(1)),
            attempts_sent: 6,
            attempts_failed: 7,
            last_failure: Some(proto::EndpointFailure {
                reason: "PROVIDER_TIMEOUT".into(),
                failure_time: Some(prost_types::Timestamp { seconds: 92, nanos: 0 }),
            }),
            hold: Some(seconds(9)),
            request_limit: Some(proto::RateLimit { limit: Some(10), remaining: 11, reset_after: Some(seconds(12)) }),
            token_limit: Some(proto::RateLimit { limit: None, remaining: 0, reset_after: None }),
            probe_after: Some(seconds(13)),
        };
        let told = pool(report(health));
        assert_eq!(told.endpoints, [expected]);
        assert_eq!(told.retry_budget, Some(proto::RetryBudget { tokens: 99.5, capacity: 100.0 }));
        let server = proto::ServerLoad {
            calls_in_flight: 1,
            bytes_in_flight: i64::MAX,
            caller_connections: 2,
            provider_connections: 3,
        };
        assert_eq!(told.server, Some(server));
    }

    #[test]
    fn what_is_not_known_of_an_endpoint_is_not_set() {
        let endpoint = &pool(report(unknown())).endpoints[0];
        assert_eq!(endpoint.breaker_state(), proto::BreakerState::Closed);
        assert!(endpoint.concurrency_limit.is_none() && endpoint.time_to_first_event.is_none());
        assert!(endpoint.last_failure.is_none() && endpoint.hold.is_none());
        assert!(endpoint.request_limit.is_none() && endpoint.token_limit.is_none());
    }
}
