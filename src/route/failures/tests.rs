//! What is told after several failures: the contract's sentence, row by row.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

use std::slice::from_ref;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The order of the contract: "rejected or context length; rate limited, if all are; unavailable; timeout; protocol
/// error; credentials or quota". Rate limits that are not all stand where they do no harm.
const ORDER: [&[Reason]; 7] = [
    &[Reason::ProviderRejected, Reason::ContextLengthExceeded, Reason::RequestTooLarge],
    &[Reason::ProviderUnavailable],
    &[Reason::ProviderTimeout],
    &[Reason::DeadlineExceeded],
    &[Reason::ProviderProtocolError],
    &[Reason::ProviderRateLimited],
    &[Reason::ProviderCredentialsRefused, Reason::ProviderQuotaExhausted, Reason::ProviderModelNotFound],
];

fn error(reason: Reason) -> Error {
    Error::new(reason, "x")
}

fn hinted(reason: Reason, seconds: u32) -> Error {
    error(reason).with(|details| details.retry_after = Some(SECOND * seconds))
}

fn told(failed: &[Error], passed_over: &[Error]) -> Error {
    let mut failures = Failures::default();
    failed.iter().cloned().for_each(|error| failures.failed(error));
    passed_over.iter().cloned().for_each(|error| failures.passed_over(error));
    failures.most_useful()
}

fn reason(failed: &[Error], passed_over: &[Error]) -> Reason {
    told(failed, passed_over).reason
}

#[test]
fn of_two_the_more_useful_is_told_in_whichever_order_they_came() {
    for (rank, useful) in ORDER.iter().enumerate() {
        for less_useful in ORDER[rank + 1..].iter().copied().flatten() {
            for useful in *useful {
                let (useful, other) = (error(*useful), error(*less_useful));
                let pair = [useful.clone(), other.clone()];
                assert_eq!(reason(&pair, &[]), useful.reason, "{pair:?}");
                assert_eq!(reason(&[other.clone(), useful.clone()], &[]), useful.reason, "{pair:?}");
                assert_eq!(reason(from_ref(&useful), from_ref(&other)), useful.reason, "{pair:?}");
                assert_eq!(reason(&[other], from_ref(&useful)), useful.reason, "{pair:?}");
            }
        }
    }
}

#[test]
fn one_failure_is_told_as_it_is() {
    for reason in Reason::ALL {
        let alone = hinted(reason, 3);
        assert_eq!(told(from_ref(&alone), &[]), alone);
        assert_eq!(told(&[], from_ref(&alone)), alone);
    }
}

#[test]
fn every_reason_has_its_place() {
    for reason in Reason::ALL.into_iter().filter(|reason| reason.recovery() == crate::domain::Recovery::Never) {
        let is_placed = matches!(reason, Reason::StreamInterrupted | Reason::DeadlineExceeded | Reason::Overloaded);
        assert_eq!(usefulness(reason, false) == 0, !is_placed, "{reason}: what nobody else can mend is told first");
    }
}

#[test]
fn a_rate_limit_is_told_when_all_are_limited_with_the_shortest_hint() {
    let limited = |seconds| hinted(Reason::ProviderRateLimited, seconds);
    let all = told(&[limited(9), limited(7)], &[limited(8)]);
    assert_eq!((all.reason, all.details.retry_after), (Reason::ProviderRateLimited, Some(7 * SECOND)));
    let expected = told(&[limited(9)], &[limited(2)]);
    assert_eq!(expected.details.retry_after, Some(2 * SECOND), "of one that was not asked as well");
    let unsaid = told(&[error(Reason::ProviderRateLimited), limited(4)], &[]);
    assert_eq!(unsaid.details.retry_after, Some(4 * SECOND));
    assert_eq!(told(&[error(Reason::ProviderRateLimited)], &[]).details.retry_after, None);
}

#[test]
fn one_that_is_down_among_limited_ones_is_what_is_told_with_the_shortest_hint_of_all() {
    let mixed = told(&[hinted(Reason::ProviderRateLimited, 5), error(Reason::ProviderUnavailable)], &[]);
    assert_eq!((mixed.reason, mixed.details.retry_after), (Reason::ProviderUnavailable, Some(5 * SECOND)));
    let ejected = told(&[hinted(Reason::ProviderRateLimited, 5)], &[hinted(Reason::ProviderUnavailable, 2)]);
    assert_eq!((ejected.reason, ejected.details.retry_after), (Reason::ProviderUnavailable, Some(2 * SECOND)));
}

#[test]
fn a_hint_is_not_carried_by_a_failure_that_does_not_pass() {
    let limited = hinted(Reason::ProviderRateLimited, 5);
    for reason in [Reason::ProviderRejected, Reason::ContextLengthExceeded, Reason::ProviderTimeout] {
        let told = told(&[limited.clone(), error(reason)], &[]);
        assert_eq!((told.reason, told.details.retry_after), (reason, None));
    }
    let refused = hinted(Reason::ProviderCredentialsRefused, 1);
    let told = told(&[limited, refused], &[]);
    assert_eq!((told.reason, told.details.retry_after), (Reason::ProviderRateLimited, Some(5 * SECOND)));
}

#[test]
fn among_equals_the_last_that_was_seen_is_told() {
    let named = |name: &'static str| Error::new(Reason::ProviderUnavailable, name);
    assert_eq!(told(&[named("first"), named("last")], &[named("expected")]).message, "last");
    assert_eq!(told(&[], &[named("first"), named("last")]).message, "last");
}

#[test]
fn that_trying_again_cannot_help_is_told_when_it_holds_for_all() {
    let futile = |reason| hinted(reason, 1).with(|details| details.futile = true);
    let down = Reason::ProviderUnavailable;
    let all = told(&[futile(down), futile(Reason::ProviderRateLimited)], &[]);
    assert!(all.details.futile, "{all:?}");
    for other in [hinted(down, 4), hinted(Reason::ProviderRateLimited, 4), hinted(Reason::Overloaded, 4)] {
        let some = told(&[other.clone(), futile(down)], &[]);
        assert_eq!((some.reason, some.details.futile), (down, false), "{other:?}");
        assert_eq!(some.details.retry_after, Some(4 * SECOND), "of those that may be asked again");
    }
}

#[test]
fn where_nobody_can_take_the_request_that_is_told_unless_somebody_was_asked() {
    let capability = || Unfit::Capability { field: "tools".into(), lacks: "call tools" };
    let parameters = || Unfit::Parameters(vec!["top_k".into()]);
    let told = |misfits: Vec<Unfit>, failed: Option<Reason>| {
        let mut failures = Failures::default();
        misfits.into_iter().for_each(|unfit| failures.unfit(unfit));
        failed.into_iter().for_each(|reason| failures.failed(error(reason)));
        failures.most_useful()
    };
    assert_eq!(told(vec![capability()], None).reason, Reason::CapabilityNotSupported);
    let mendable = told(vec![capability(), parameters()], None);
    assert_eq!((mendable.reason, mendable.details.violations[0].field.as_str()), (Reason::InvalidRequest, "top_k"));
    let one_could = told(vec![capability(), parameters()], Some(Reason::ProviderRateLimited));
    assert_eq!(one_could.reason, Reason::ProviderRateLimited, "all that could are limited");
}

#[test]
fn who_was_always_too_late_is_told_to_come_again() {
    let outrun = Failures::default().most_useful();
    assert_eq!((outrun.reason, outrun.details.retry_after), (Reason::Overloaded, Some(SECOND)));
}

#[test]
fn one_that_was_not_asked_stands_for_a_failure_with_a_hint() {
    let now = Instant::now();
    let until = now + 7 * SECOND;
    let locked = not_asked(Access::LockedOut { until }, now).unwrap();
    assert_eq!((locked.reason, locked.details.retry_after), (Reason::ProviderCredentialsRefused, None));
    for (access, expected) in [
        (Access::Free, None),
        (Access::Probe, None),
        (Access::Held { until }, Some((Reason::ProviderRateLimited, 7 * SECOND))),
        (Access::Ejected { until }, Some((Reason::ProviderUnavailable, 7 * SECOND))),
        (Access::Ejected { until: now }, Some((Reason::ProviderUnavailable, Duration::ZERO))),
        (Access::Full, Some((Reason::Overloaded, SECOND))),
    ] {
        let told = not_asked(access, now).map(|error| (error.reason, error.details.retry_after.unwrap()));
        assert_eq!(told, expected, "{access:?}");
    }
}

#[test]
fn a_refused_key_is_told_as_it_was_seen_and_not_as_an_endpoint_that_was_passed_over_for_it() {
    for reason in [Reason::ProviderCredentialsRefused, Reason::ProviderQuotaExhausted] {
        let now = Instant::now();
        let passed_over = not_asked(Access::LockedOut { until: now + SECOND }, now).unwrap();
        let told = told(&[Error::new(reason, "seen")], &[passed_over]);
        assert_eq!((told.reason, told.message.as_ref()), (reason, "seen"));
    }
}

#[test]
fn full_ones_are_told_of_when_nothing_else_is() {
    let full = hinted(Reason::Overloaded, 1);
    assert_eq!(reason(&[], &[full.clone(), full.clone()]), Reason::Overloaded);
    let limited = hinted(Reason::ProviderRateLimited, 9);
    let told = told(&[], &[limited, full]);
    assert_eq!((told.reason, told.details.retry_after), (Reason::ProviderRateLimited, Some(SECOND)));
}
