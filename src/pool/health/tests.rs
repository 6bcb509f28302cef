//! Health as a whole: whose fault moves what, and that no sequence of calls loses a place.

mod model;

use super::*;
use crate::domain::{Allowance, Error, Quota};

const SECOND: Duration = Duration::from_secs(1);
const STREAM: Delivery = Delivery::Stream;

fn key() -> Arc<Mutex<Breaker>> {
    Arc::new(Mutex::new(Breaker::new()))
}

fn health(key: &Arc<Mutex<Breaker>>, most: Option<u32>) -> Arc<Health> {
    Arc::new(Health::new(Arc::clone(key), ConcurrencyRule { most, adaptive: false }))
}

fn access(health: &Health, now: Instant) -> Access {
    health.standing(STREAM, now).access
}

fn refusal(reason: Reason, status: u16) -> Error {
    Error::new(reason, "refused").with(|details| details.upstream_status = Some(status))
}

fn lease(health: &Arc<Health>, now: Instant) -> Lease {
    health.lease(STREAM, Right::Standing, now).expect("its standing allows it")
}

fn fail(health: &Arc<Health>, error: &Error, now: Instant) {
    lease(health, now).settle(Settled::Failed(error), now);
}

#[test]
fn a_refused_key_ejects_all_models_of_the_account_and_an_unknown_model_only_itself() {
    let now = Instant::now();
    for (reason, status, others) in [
        (Reason::ProviderCredentialsRefused, 401, Access::LockedOut { until: now + SECOND }),
        (Reason::ProviderQuotaExhausted, 402, Access::LockedOut { until: now + SECOND }),
        (Reason::ProviderCredentialsRefused, 403, Access::Free),
        (Reason::ProviderModelNotFound, 404, Access::Free),
    ] {
        let key = key();
        let (one, other) = (health(&key, None), health(&key, None));
        fail(&one, &refusal(reason, status), now);
        let until = now + SECOND;
        let expected = if others == Access::Free { Access::Ejected { until } } else { others };
        assert_eq!(access(&one, now), expected, "{status}");
        assert_eq!(access(&other, now), others, "{status}");
    }
}

#[test]
fn one_model_probes_the_key_for_all() {
    let now = Instant::now();
    let key = key();
    let (one, other) = (health(&key, None), health(&key, None));
    fail(&one, &refusal(Reason::ProviderCredentialsRefused, 401), now);
    let now = now + SECOND;
    let mut probe = lease(&one, now);
    assert_eq!(access(&other, now), Access::LockedOut { until: now + 3 * SECOND });
    probe.accepted(now);
    assert_eq!((access(&one, now), access(&other, now)), (Access::Free, Access::Free));
}

#[test]
fn a_fault_of_the_endpoint_says_nothing_about_the_key_and_frees_its_probe() {
    let now = Instant::now();
    let key = key();
    let (one, other) = (health(&key, None), health(&key, None));
    fail(&one, &refusal(Reason::ProviderCredentialsRefused, 401), now);
    fail(&one, &refusal(Reason::ProviderUnavailable, 500), now + SECOND);
    assert_eq!(access(&other, now + SECOND), Access::Probe);
}

#[test]
fn an_endpoint_is_ejected_until_both_its_breakers_admit() {
    let start = Instant::now();
    let key = key();
    let (one, other) = (health(&key, None), health(&key, None));
    let before = lease(&one, start);
    fail(&one, &refusal(Reason::ProviderModelNotFound, 404), start);
    let now = start + SECOND / 2;
    fail(&other, &refusal(Reason::ProviderCredentialsRefused, 401), now);
    assert_eq!(access(&one, now), Access::LockedOut { until: now + SECOND });
    drop(before);
    assert!(one.lease(STREAM, Right::Standing, now).is_none());
    let mut last = one.lease(STREAM, Right::LastResort, now).expect("the last endpoint is never ejected");
    last.accepted(now);
    assert_eq!(access(&one, now), Access::Free, "and if it answers it is well");
}

#[test]
fn a_rate_limit_holds_an_endpoint_that_is_well() {
    let now = Instant::now();
    let endpoint = health(&key(), None);
    let limited = refusal(Reason::ProviderRateLimited, 429);
    let hinted = limited.clone().with(|details| details.retry_after = Some(7 * SECOND));
    for _ in 0..20 {
        fail(&endpoint, &limited, now);
    }
    assert_eq!(access(&endpoint, now), Access::Free, "without a hint it is for the call to wait");
    fail(&endpoint, &hinted, now);
    assert_eq!(access(&endpoint, now), Access::Held { until: now + 7 * SECOND });
    assert!(endpoint.lease(STREAM, Right::Standing, now).is_none());
    assert!(endpoint.lease(STREAM, Right::LastResort, now).is_some());
    assert_eq!(access(&endpoint, now + 7 * SECOND), Access::Free);
    let report = endpoint.report(now + SECOND);
    assert_eq!((report.breaker, report.held_for), (BreakerState::Closed, Some(6 * SECOND)));
    assert_eq!(report.last_error, Some((Reason::ProviderRateLimited, SECOND)));
}

#[test]
fn where_most_calls_are_refused_for_their_rate_others_are_asked_first_until_a_probe_is_answered() {
    let start = Instant::now();
    let endpoint = health(&key(), None);
    let limited_until = |now| endpoint.standing(STREAM, now).limited_until;
    let too_large = refusal(Reason::ProviderRateLimited, 429).with(|details| details.futile = true);
    for _ in 0..20 {
        fail(&endpoint, &too_large, start);
    }
    assert_eq!(limited_until(start), None, "the limit of a single request says nothing about others");
    for _ in 0..5 {
        assert_eq!(limited_until(start), None);
        fail(&endpoint, &refusal(Reason::ProviderRateLimited, 429), start);
    }
    assert_eq!(limited_until(start), Some(start + SECOND));
    assert_eq!(access(&endpoint, start), Access::Free, "who has nobody else may ask it");
    let now = start + SECOND;
    assert_eq!(limited_until(now), None);
    let mut probe = lease(&endpoint, now);
    assert_eq!(limited_until(now), Some(now + 3 * SECOND), "one at a time");
    drop(lease(&endpoint, now));
    probe.accepted(now);
    assert_eq!(limited_until(now), None);
}

#[test]
fn neither_a_bad_request_nor_an_impatient_caller_is_the_endpoints_fault() {
    let now = Instant::now();
    let endpoint = health(&key(), None);
    for reason in [Reason::ProviderRejected, Reason::DeadlineExceeded, Reason::Cancelled] {
        for _ in 0..20 {
            fail(&endpoint, &Error::new(reason, "x"), now);
            lease(&endpoint, now).settle(Settled::Dropped, now);
        }
    }
    assert_eq!(access(&endpoint, now), Access::Free);
}

#[test]
fn a_rejection_shows_that_an_endpoint_is_back_and_a_callers_deadline_does_not() {
    let now = Instant::now();
    for (reason, after) in [(Reason::ProviderRejected, Access::Free), (Reason::DeadlineExceeded, Access::Probe)] {
        let endpoint = health(&key(), None);
        fail(&endpoint, &refusal(Reason::ProviderModelNotFound, 404), now);
        fail(&endpoint, &Error::new(reason, "x"), now + SECOND);
        assert_eq!(access(&endpoint, now + SECOND), after);
    }
}

#[test]
fn the_first_event_of_a_probe_lets_the_others_through() {
    let now = Instant::now();
    let endpoint = health(&key(), None);
    fail(&endpoint, &refusal(Reason::ProviderModelNotFound, 404), now);
    let now = now + SECOND;
    assert_eq!(access(&endpoint, now), Access::Probe);
    let mut probe = lease(&endpoint, now);
    assert_eq!(access(&endpoint, now), Access::Ejected { until: now + 3 * SECOND });
    probe.accepted(now);
    assert_eq!(access(&endpoint, now), Access::Free, "long before its answer ends");
    probe.settle(Settled::Failed(&Error::cut_short()), now);
    assert_eq!(access(&endpoint, now), Access::Free, "one answer that breaks off may be chance");
}

#[test]
fn answers_that_all_break_off_after_their_first_event_eject() {
    let now = Instant::now();
    let endpoint = health(&key(), None);
    for _ in 0..5 {
        let mut lease = lease(&endpoint, now);
        lease.accepted(now);
        lease.settle(Settled::Failed(&Error::cut_short()), now);
    }
    assert_eq!(access(&endpoint, now), Access::Ejected { until: now + SECOND });
}

#[test]
fn callers_in_a_hurry_do_not_take_an_endpoint_away_from_the_others() {
    let now = Instant::now();
    let silent = |endpoint: &Arc<Health>, accepted: bool, waited: Duration| {
        let hurried: Vec<_> = (0..10).map(|_| lease(endpoint, now).in_haste()).collect();
        for mut lease in hurried {
            if accepted {
                lease.accepted(now);
            }
            let error = Error::new(Reason::ProviderTimeout, "silent");
            lease.settle(Settled::Failed(&error), now + waited);
        }
        access(endpoint, now + waited)
    };
    let known = |first_event: Duration| {
        let endpoint = health(&key(), None);
        for _ in 0..20 {
            let mut lease = lease(&endpoint, now);
            lease.sent = now - first_event;
            lease.accepted(now);
            lease.settle(Settled::Finished, now);
        }
        endpoint
    };
    let millis = Duration::from_millis;
    let adaptive = Arc::new(Health::new(key(), ConcurrencyRule { most: None, adaptive: true }));
    assert_eq!(silent(&adaptive, false, millis(5)), Access::Free, "nobody knows how long it takes");
    assert_eq!(adaptive.report(now).limit, Some(16));
    assert!(matches!(silent(&adaptive, false, SECOND), Access::Ejected { .. }));
    assert_eq!(silent(&known(3 * SECOND), false, 2 * SECOND), Access::Free, "it takes longer as a rule");
    assert!(matches!(silent(&known(millis(100)), false, millis(100)), Access::Ejected { .. }));
    assert_eq!(silent(&known(millis(100)), true, millis(200)), Access::Free, "it has begun");
    assert!(matches!(silent(&known(millis(100)), true, SECOND), Access::Ejected { .. }));
}

#[test]
fn a_hurried_silence_is_charged_only_where_nobody_is_answered() {
    let now = Instant::now();
    let endpoint = health(&key(), None);
    let error = Error::new(Reason::ProviderTimeout, "silent");
    let hurried: Vec<_> = (0..10).map(|_| lease(&endpoint, now).in_haste()).collect();
    let mut other = lease(&endpoint, now);
    other.accepted(now + SECOND);
    for mut lease in hurried {
        lease.settle(Settled::Failed(&error), now + 2 * SECOND);
    }
    assert_eq!(access(&endpoint, now + 2 * SECOND), Access::Free, "only what they asked for takes longer");
    for _ in 0..5 {
        lease(&endpoint, now + 2 * SECOND).in_haste().settle(Settled::Failed(&error), now + 4 * SECOND);
    }
    assert!(matches!(access(&endpoint, now + 4 * SECOND), Access::Ejected { .. }));
}

#[test]
fn only_waiting_tells_how_slow_an_endpoint_is() {
    let now = Instant::now();
    let endpoint = health(&key(), None);
    let latency = |delivery| endpoint.standing(delivery, now + 5 * SECOND).latency;
    lease(&endpoint, now).settle(Settled::Failed(&refusal(Reason::ProviderUnavailable, 500)), now + 5 * SECOND);
    assert_eq!(latency(STREAM), None, "a refusal is no answer");
    lease(&endpoint, now).settle(Settled::Dropped, now + 5 * SECOND);
    assert_eq!(latency(STREAM), Some(5 * SECOND), "somebody waited in vain");
    let mut answered = endpoint.lease(Delivery::Whole, Right::Standing, now).unwrap();
    answered.accepted(now + 2 * SECOND);
    answered.accepted(now + 4 * SECOND);
    answered.settle(Settled::Dropped, now + 5 * SECOND);
    assert!(latency(Delivery::Whole) < Some(2 * SECOND), "the first event came after two, and that fades");
    assert_eq!(latency(STREAM), Some(5 * SECOND), "whole answers are another matter");
}

#[test]
fn a_place_is_given_back_once() {
    let now = Instant::now();
    let endpoint = health(&key(), Some(2));
    let (mut one, other) = (lease(&endpoint, now), lease(&endpoint, now));
    assert_eq!(access(&endpoint, now), Access::Full);
    assert!(endpoint.lease(STREAM, Right::LastResort, now).is_none(), "not even as a last resort");
    one.settle(Settled::Finished, now);
    one.settle(Settled::Failed(&Error::cut_short()), now);
    one.accepted(now);
    drop(one);
    assert_eq!(endpoint.standing(STREAM, now).in_flight, 1);
    drop(other);
    let report = endpoint.report(now);
    assert_eq!((report.in_flight, report.sent, report.failed, report.limit), (0, 2, 0, Some(2)));
    assert_eq!(report.latency, None, "what is over does not begin any more");
}

#[test]
fn what_an_answer_said_about_its_limits_is_counted_down() {
    let now = Instant::now();
    let endpoint = health(&key(), None);
    let quota = Quota { limit: Some(10), remaining: 2, resets_in: Some(9 * SECOND) };
    let told = lease(&endpoint, now);
    told.learn(&Allowance { requests: Some(quota), tokens: None }, now);
    assert!(!endpoint.standing(STREAM, now).is_short);
    let _next = lease(&endpoint, now);
    assert!(endpoint.standing(STREAM, now).is_short);
    assert_eq!(endpoint.report(now).left.requests, Some(Quota { remaining: 1, ..quota }));
}

#[test]
fn of_one_that_has_never_answered_nothing_is_told_unless_others_know_it_or_it_wants_to_be_left_alone() {
    let (one, now) = (health(&key(), None), Instant::now());
    let quota = Quota { limit: Some(100), remaining: 50, resets_in: Some(60 * SECOND) };
    lease(&one, now).learn(&Allowance { requests: Some(quota), tokens: None }, now);
    assert_eq!(one.limit_news(now), (1, None));
    // Nothing had been counted there yet.
    one.agree(&FleetLimits::default(), now);
    drop(lease(&one, now));
    let (sent, news) = one.limit_news(now);
    assert_eq!((sent, news.map(|news| news.sent)), (2, Some(1)));
    let other = health(&key(), None);
    let limited = refusal(Reason::ProviderRateLimited, 429).with(|details| details.retry_after = Some(9 * SECOND));
    fail(&other, &limited, now);
    assert_eq!(other.limit_news(now).1.and_then(|news| news.hold), Some(9 * SECOND));
}
