//! From the contract's message to the view: the only file of the table that knows both.

use std::time::{Duration, SystemTime};

use super::view::{EndpointView, Failure, Left, PoolView, Standing};
use crate::cli::watch::Share;
use crate::proto::{BreakerState, EndpointFailure, EndpointStatus, GetPoolResponse, RateLimit};

/// What the contract calls the failures that are charged to a key and that are no refusal of it.
const OUT_OF_CREDIT: &str = "PROVIDER_QUOTA_EXHAUSTED";
/// What it calls a refusal.
const REFUSED: &str = "PROVIDER_CREDENTIALS_REFUSED";

/// The view of `response`, which came at `now`.
pub(super) fn view(response: &GetPoolResponse, now: SystemTime) -> PoolView {
    let server = response.server.unwrap_or_default();
    let budget = response.retry_budget.as_ref();
    PoolView {
        calls: counted(server.calls_in_flight),
        callers: counted(server.caller_connections),
        providers: counted(server.provider_connections),
        bytes: counted(server.bytes_in_flight),
        retries: budget.and_then(|budget| Share::of(budget.tokens, budget.capacity)),
        endpoints: response.endpoints.iter().map(|endpoint| row(endpoint, &response.endpoints, now)).collect(),
    }
}

fn row(endpoint: &EndpointStatus, all: &[EndpointStatus], now: SystemTime) -> EndpointView {
    EndpointView {
        name: harmless(&format!("{}/{}", endpoint.provider, endpoint.model)),
        standing: standing(endpoint, all),
        in_flight: counted(endpoint.in_flight.into()),
        limit: endpoint.concurrency_limit.map(|limit| counted(limit.into())),
        first_event: duration(endpoint.time_to_first_event),
        sent: counted(endpoint.attempts_sent),
        failed: counted(endpoint.attempts_failed),
        requests: endpoint.request_limit.map(left),
        tokens: endpoint.token_limit.map(left),
        failure: endpoint.last_failure.as_ref().map(|failure| failed(failure, now)),
    }
}

fn standing(endpoint: &EndpointStatus, all: &[EndpointStatus]) -> Standing {
    let probing = BreakerState::HalfOpen;
    if endpoint.key_breaker_state() == BreakerState::Open {
        return key_standing(&endpoint.provider, all);
    }
    if endpoint.breaker_state() == BreakerState::Open {
        return Standing::Open { remaining: duration(endpoint.probe_after) };
    }
    if let Some(remaining) = duration(endpoint.hold) {
        return Standing::Held { remaining };
    }
    if endpoint.key_breaker_state() == probing || endpoint.breaker_state() == probing {
        return Standing::Probing;
    }
    match endpoint.concurrency_limit {
        Some(limit) if endpoint.in_flight >= limit => Standing::Full,
        _ => Standing::Ok,
    }
}

/// Why the key of `provider` is not used: any of the models that share it may have found out.
fn key_standing(provider: &str, all: &[EndpointStatus]) -> Standing {
    let failures = all.iter().filter(|other| other.provider == provider).filter_map(|it| it.last_failure.as_ref());
    let telling = failures.filter(|failure| [OUT_OF_CREDIT, REFUSED].contains(&failure.reason.as_str()));
    let latest = telling.max_by_key(|failure| failure.failure_time.map(|time| (time.seconds, time.nanos)));
    match latest {
        Some(failure) if failure.reason == OUT_OF_CREDIT => Standing::NoCredit,
        _ => Standing::KeyRefused,
    }
}

fn failed(failure: &EndpointFailure, now: SystemTime) -> Failure {
    let reason = failure.reason.strip_prefix("PROVIDER_").unwrap_or(&failure.reason);
    let time = failure.failure_time.and_then(|time| SystemTime::try_from(time).ok());
    Failure {
        reason: harmless(&reason.to_lowercase().replace('_', " ")),
        // The server's clock may be ahead of this one's.
        age: time.and_then(|time| now.duration_since(time).ok()).unwrap_or_default(),
    }
}

fn left(limit: RateLimit) -> Left {
    let remaining = counted(limit.remaining);
    Left { remaining, share: limit.limit.and_then(|limit| Share::of_count(remaining, counted(limit))) }
}

fn duration(duration: Option<prost_types::Duration>) -> Option<Duration> {
    duration.and_then(|duration| Duration::try_from(duration).ok())
}

/// No number of the answer is below 0; one that is anyway counts as nothing.
fn counted(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A name without the escape sequences that a terminal would obey.
fn harmless(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(provider: &str, model: &str) -> EndpointStatus {
        EndpointStatus {
            provider: provider.to_owned(),
            model: model.to_owned(),
            breaker_state: BreakerState::Closed.into(),
            key_breaker_state: BreakerState::Closed.into(),
            ..EndpointStatus::default()
        }
    }

    fn failure(reason: &str, seconds: i64) -> Option<EndpointFailure> {
        let failure_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(EndpointFailure { reason: reason.to_owned(), failure_time })
    }

    fn shown(endpoints: Vec<EndpointStatus>) -> Vec<EndpointView> {
        let response = GetPoolResponse { endpoints, ..GetPoolResponse::default() };
        view(&response, SystemTime::UNIX_EPOCH + Duration::from_secs(100)).endpoints
    }

    #[test]
    fn an_open_key_hides_an_open_breaker_which_hides_a_hold() {
        let hold = Some(prost_types::Duration { seconds: 12, nanos: 0 });
        let held = EndpointStatus { hold, in_flight: 4, concurrency_limit: Some(4), ..endpoint("a", "m") };
        let probe_after = Some(prost_types::Duration { seconds: 2, nanos: 0 });
        let open = EndpointStatus { breaker_state: BreakerState::Open.into(), probe_after, ..held.clone() };
        let refused = EndpointStatus { key_breaker_state: BreakerState::Open.into(), ..open.clone() };
        let full = EndpointStatus { hold: None, ..held.clone() };
        let probing = EndpointStatus { key_breaker_state: BreakerState::HalfOpen.into(), ..full.clone() };
        let expected = [
            (refused, Standing::KeyRefused),
            (open, Standing::Open { remaining: Some(Duration::from_secs(2)) }),
            (held, Standing::Held { remaining: Duration::from_secs(12) }),
            (probing, Standing::Probing),
            (full, Standing::Full),
            (endpoint("a", "m"), Standing::Ok),
        ];
        for (status, expected) in expected {
            assert_eq!(shown(vec![status]).pop().unwrap().standing, expected);
        }
    }

    #[test]
    fn why_a_key_is_not_used_is_known_from_any_model_that_shares_it() {
        let open = |model: &str, last_failure| EndpointStatus {
            key_breaker_state: BreakerState::Open.into(),
            last_failure,
            ..endpoint("a", model)
        };
        let other = EndpointStatus { last_failure: failure(REFUSED, 90), ..endpoint("b", "m") };
        let rows = shown(vec![
            open("m", failure(REFUSED, 10)),
            open("n", failure(OUT_OF_CREDIT, 20)),
            open("o", failure("PROVIDER_TIMEOUT", 30)),
            other,
        ]);
        let states: Vec<Standing> = rows.iter().map(|row| row.standing).collect();
        assert_eq!(states, [Standing::NoCredit, Standing::NoCredit, Standing::NoCredit, Standing::Ok]);
    }

    #[test]
    fn failures_are_told_in_words_with_their_age_and_without_escape_sequences() {
        let last_failure = failure("PROVIDER_RATE_LIMITED", 88);
        let ahead = EndpointStatus { last_failure: failure("STREAM_INTERRUPTED", 999), ..endpoint("a", "n") };
        let rows = shown(vec![EndpointStatus { last_failure, ..endpoint("a\u{1b}[2J", "m") }, ahead]);
        let told: Vec<_> = rows.iter().map(|row| row.failure.clone().unwrap()).collect();
        assert_eq!((told[0].reason.as_str(), told[0].age), ("rate limited", Duration::from_secs(12)));
        assert_eq!((told[1].reason.as_str(), told[1].age), ("stream interrupted", Duration::ZERO));
        assert_eq!(rows[0].name, "a[2J/m");
    }

    #[test]
    fn a_limit_without_its_whole_has_no_share() {
        let limit = |limit| RateLimit { limit, remaining: 50, reset_after: None };
        assert_eq!(left(limit(None)), Left { remaining: 50, share: None });
        assert_eq!(left(limit(Some(200))).share, Share::of(1.0, 4.0));
        assert_eq!(
            left(RateLimit { limit: Some(0), remaining: -1, reset_after: None }),
            Left { remaining: 0, share: None }
        );
    }
}
