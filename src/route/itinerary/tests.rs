//! The order of attempts as stories, each told whole: whom a call asks, how long after its beginning, and by which right.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

mod any;
mod contexts;
mod standings;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::*;
use crate::domain::ModelId;
use crate::pool::Endpoint;
use crate::route::table::tests::provider;

const SECOND: Duration = Duration::from_secs(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The target `provider/model`.
fn target(name: &str, priority: u32) -> Target {
    let (at, model) = name.split_once('/').unwrap_or((name, "own"));
    let endpoint = Endpoint::known(&provider(at), ModelId::new(model));
    Target { endpoint: Arc::new(endpoint), priority, weight: 1 }
}

fn targets<const N: usize>(names: [(&str, u32); N]) -> Vec<Target> {
    names.map(|(name, priority)| target(name, priority)).into()
}

fn error(reason: Reason) -> Error {
    Error::new(reason, "x")
}

fn down() -> Error {
    error(Reason::ProviderUnavailable)
}

fn silent() -> Error {
    error(Reason::ProviderTimeout)
}

fn limited(hint: Duration) -> Error {
    error(Reason::ProviderRateLimited).with(|details| details.retry_after = Some(hint))
}

/// A call, a clock, and how the endpoints stand. Every pause is as long as it may be, and among equals the first is
/// chosen.
struct Story {
    itinerary: Itinerary,
    access: BTreeMap<String, Access>,
    limited: Option<(&'static str, Instant)>,
    start: Instant,
    now: Instant,
    deadline: Instant,
}

impl Story {
    fn of(leads: Vec<Vec<Target>>, max_attempts: u32) -> Self {
        let max_attempts = NonZeroU32::new(max_attempts).unwrap();
        let now = Instant::now();
        Self {
            itinerary: Itinerary::new(leads, Retry { max_attempts, ..Retry::default() }),
            access: BTreeMap::new(),
            limited: None,
            start: now,
            now,
            deadline: now + 3600 * SECOND,
        }
    }

    fn ends_after(mut self, deadline: Duration) -> Self {
        self.deadline = self.start + deadline;
        self
    }

    fn with(mut self, provider: &str, access: Access) -> Self {
        self.set(provider, access);
        self
    }

    fn set(&mut self, provider: &str, access: Access) {
        self.access.insert(provider.to_owned(), access);
    }

    fn held(self, provider: &str, time: Duration) -> Self {
        let until = self.start + time;
        self.with(provider, Access::Held { until })
    }

    /// It refuses most calls of late.
    fn limited(mut self, provider: &'static str, time: Duration) -> Self {
        self.limited = Some((provider, self.start + time));
        self
    }

    fn ejected(self, provider: &str) -> Self {
        let until = self.start + SECOND;
        self.with(provider, Access::Ejected { until })
    }

    /// Asks with a view of the world as it stands. What is held is free when its time has come.
    fn look<T>(&mut self, question: impl FnOnce(&mut Itinerary, &View<'_>) -> T) -> T {
        let (access, now) = (&self.access, self.now);
        let standing = |target: &Target| {
            let access = access.get(target.endpoint.identity.provider.as_str()).copied().unwrap_or(Access::Free);
            let is_over = matches!(access, Access::Held { until } if until <= now);
            let access = if is_over { Access::Free } else { access };
            let limited_until =
                self.limited.filter(|(limited, _)| *limited == target.endpoint.identity.provider.as_str());
            let limited_until = limited_until.map(|(_, until)| until).filter(|until| *until > now);
            Standing { access, in_flight: 0, latency: None, is_short: false, limited_until }
        };
        let (deadline, roll) = (self.deadline, |_: u64| 0);
        let view = View { now, deadline, conversation: None, standing: &standing, roll: &roll };
        question(&mut self.itinerary, &view)
    }

    fn next(&mut self) -> Option<Step> {
        self.look(Itinerary::next)
    }

    fn name(&self, place: Place) -> String {
        let identity = &self.itinerary.target(place).unwrap().endpoint.identity;
        let name = identity.to_string();
        name.strip_suffix("/own").unwrap_or(&name).to_owned()
    }

    /// The next attempt begins: at whom.
    fn ask(&mut self) -> Option<(Place, String)> {
        let step = self.next()?;
        self.now = self.now.max(step.at);
        self.itinerary.begun(step.place);
        let name = self.name(step.place);
        let after = match self.now - self.start {
            Duration::ZERO => String::new(),
            after => format!(" after {after:?}"),
        };
        let right = if step.right == Right::LastResort { " as a last resort" } else { "" };
        Some((step.place, format!("{name}{after}{right}")))
    }

    fn fail(&mut self, place: Place, error: &Error) -> bool {
        self.itinerary.failed(place, error, self.now, &|below| below - 1)
    }

    /// All attempts, when each that is made at a provider fails at once as `failure` says.
    fn told(&mut self, failure: impl Fn(&str) -> Error) -> Vec<String> {
        let mut told = Vec::new();
        while let Some((place, asked)) = self.ask() {
            told.push(asked);
            let provider = self.itinerary.target(place).unwrap().endpoint.identity.provider.clone();
            if !self.fail(place, &failure(provider.as_str())) {
                break;
            }
        }
        told
    }
}

/// Two of one priority, one of the next, and one of the model to fall back to.
fn usual(max_attempts: u32) -> Story {
    Story::of(vec![targets([("c", 7), ("a", 0), ("b", 0)]), targets([("d", 0)])], max_attempts)
}

#[test]
fn equals_are_asked_at_once_then_one_of_them_again_then_the_next_then_another_model_then_anyone() {
    assert_eq!(
        usual(11).told(|_| down()),
        [
            "a",
            "b",
            "a after 500ms",
            "c after 500ms",
            "c after 1s",
            "d after 1s",
            "d after 1.5s",
            // Anyone again, by whose pause is over first: twice failed is twice the pause.
            "b after 1.5s",
            "a after 1.5s",
            "c after 2s",
            "b after 2.5s",
        ]
    );
}

#[test]
fn who_refuses_most_calls_for_their_rate_is_asked_when_nobody_else_is_left() {
    let story = || Story::of(vec![targets([("a", 0), ("b", 1)]), targets([("c", 0)])], 6).limited("a", 9 * SECOND);
    assert_eq!(
        story().told(|_| down()),
        ["b", "b after 500ms", "c after 500ms", "c after 1s", "a after 1s", "a after 1.5s"]
    );
    let mut held = story().held("a", SECOND);
    assert_eq!(held.ask().unwrap().1, "b", "nor is its hint waited for");
    let passed = held.look(|itinerary, view| itinerary.passed_over(None, view));
    assert!(matches!(passed.as_slice(), [(_, Access::Held { .. })]), "{passed:?}");
    let mut only = Story::of(vec![targets([("a", 0)])], 3).limited("a", 9 * SECOND);
    assert_eq!(only.told(|_| down()), ["a", "a after 500ms", "a after 1.5s"]);
}

#[test]
fn no_more_attempts_are_made_than_allowed_over_all_targets() {
    for most in 1..=11 {
        assert_eq!(usual(most).told(|_| down()).len(), usize::try_from(most).unwrap());
    }
}

#[test]
fn the_only_endpoint_is_asked_again_after_pauses_that_double_up_to_the_longest() {
    let mut story = Story::of(vec![targets([("a", 0)])], 9);
    assert_eq!(
        story.told(|_| down()),
        [
            "a",
            "a after 500ms",
            "a after 1.5s",
            "a after 3.5s",
            "a after 7.5s",
            "a after 15.5s",
            "a after 31.5s",
            "a after 61.5s",
            "a after 91.5s",
        ]
    );
}

#[test]
fn a_pause_is_anything_between_nothing_and_its_bound() {
    let retry = Retry::default();
    for (failures, bound) in [(1, millis(500)), (2, SECOND), (3, 2 * SECOND), (7, 30 * SECOND), (u32::MAX, 30 * SECOND)]
    {
        assert_eq!(backoff(&retry, failures, &|_| 0), Duration::ZERO);
        assert_eq!(backoff(&retry, failures, &|below| below - 1), bound, "after {failures}");
        assert_eq!(backoff(&retry, failures, &|below| below / 2), bound / 2);
    }
    let endless = Retry { base_delay: Duration::MAX, max_delay: Duration::MAX, ..retry };
    assert_eq!(backoff(&endless, u32::MAX, &|below| below - 1), Duration::from_nanos(u64::MAX - 1));
}

#[test]
fn one_that_was_silent_or_would_fail_again_is_never_asked_twice() {
    assert_eq!(silent().recovery(), Recovery::Elsewhere);
    for reason in Reason::ALL.into_iter().filter(|reason| reason.recovery() == Recovery::Elsewhere) {
        assert_eq!(usual(11).told(|_| error(reason)), ["a", "b", "c", "d"], "{reason}");
    }
    assert_eq!(
        usual(7).told(|name| if name == "a" { silent() } else { down() }),
        ["a", "b", "b after 500ms", "c after 500ms", "c after 1s", "d after 1s", "d after 1.5s"]
    );
    let futile = || down().with(|details| details.futile = true);
    assert_eq!(usual(11).told(|_| futile()), ["a", "b", "c", "d"], "nor one that says itself that it cannot help");
}

#[test]
fn a_rejected_request_goes_nowhere_else() {
    for reason in Reason::ALL.into_iter().filter(|reason| reason.recovery() == Recovery::Never) {
        assert_eq!(usual(11).told(|_| error(reason)), ["a"], "{reason}");
    }
    let late = |name: &str| if name == "b" { error(Reason::ProviderRejected) } else { down() };
    assert_eq!(usual(11).told(late), ["a", "b"]);
}

#[test]
fn a_short_hint_is_waited_for_before_the_next_priority_and_a_long_one_when_nobody_else_is_left() {
    let hinted = |hint| move |name: &str| if name == "a" { limited(hint) } else { silent() };
    let story = || Story::of(vec![targets([("a", 0), ("b", 1)]), targets([("c", 0)])], 4);
    assert_eq!(story().told(hinted(5 * SECOND)), ["a", "a after 5s", "b after 5s", "c after 5s"]);
    assert_eq!(story().told(hinted(millis(5_001))), ["a", "b", "c", "a after 5.001s"]);
    assert_eq!(story().told(hinted(30 * SECOND)), ["a", "b", "c", "a after 30s"]);
    assert_eq!(story().told(hinted(millis(30_001))), ["a", "b", "c"], "never");
    assert_eq!(story().told(hinted(Duration::MAX)), ["a", "b", "c"], "never ever");
}

#[test]
fn a_long_hint_is_not_waited_for_while_another_model_can_be_waited_for_more_shortly() {
    let mut story = Story::of(vec![targets([("a", 0)]), targets([("b", 0)])], 3).held("b", 3 * SECOND);
    assert_eq!(story.told(|_| limited(8 * SECOND)), ["a", "b after 3s", "a after 8s"]);
}

#[test]
fn a_hint_that_is_shorter_than_the_pause_does_not_shorten_it() {
    let mut story = Story::of(vec![targets([("a", 0)])], 3);
    assert_eq!(story.told(|_| limited(millis(700))), ["a", "a after 700ms", "a after 1.7s"]);
}

#[test]
fn nothing_is_waited_for_that_lies_behind_the_deadline() {
    let story = || Story::of(vec![targets([("a", 0)])], 9);
    assert_eq!(story().ends_after(millis(1_500)).told(|_| down()), ["a", "a after 500ms"]);
    assert_eq!(story().ends_after(millis(1_501)).told(|_| down()), ["a", "a after 500ms", "a after 1.5s"]);
    assert_eq!(story().ends_after(2 * SECOND).told(|_| limited(2 * SECOND)), ["a"]);
    let mut held = story().held("a", 2 * SECOND).ends_after(2 * SECOND);
    assert_eq!(held.told(|_| down()), [""; 0]);
}

#[test]
fn one_whose_pause_is_too_long_leaves_it_to_another() {
    let failure = |name: &str| if name == "a" { limited(4 * SECOND) } else { down() };
    let mut story = Story::of(vec![targets([("a", 0), ("b", 0)])], 9).ends_after(3 * SECOND);
    assert_eq!(story.told(failure), ["a", "b", "b after 500ms", "b after 1.5s"]);
}

#[test]
fn a_target_that_stands_twice_has_its_first_place_only() {
    let leads = vec![
        targets([("a", 0), ("b", 1), ("a", 1), ("a", 2)]),
        targets([("b", 0), ("c", 0)]),
        targets([("a", 0), ("c", 0)]),
        Vec::new(),
        targets([("a/other", 0)]),
    ];
    assert_eq!(Story::of(leads, 9).told(|_| silent()), ["a", "b", "c", "a/other"]);
}

#[test]
fn equal_priorities_of_two_models_are_two_groups() {
    let mut story = Story::of(vec![targets([("a", 0)]), targets([("b", 0)]), targets([("c", 0)])], 4);
    assert_eq!(story.told(|_| down()), ["a", "a after 500ms", "b after 500ms", "c after 500ms"]);
}

#[test]
fn nobody_is_asked_twice_while_the_attempts_are_needed_for_those_behind() {
    assert_eq!(usual(4).told(|_| down()), ["a", "b", "c", "d"]);
    assert_eq!(usual(5).told(|_| down()), ["a", "b", "a after 500ms", "c after 500ms", "d after 500ms"]);
    // Who cannot be asked needs none.
    assert_eq!(usual(4).ejected("d").told(|_| down()), ["a", "b", "a after 500ms", "c after 500ms"]);
}

#[test]
fn without_targets_nobody_is_asked() {
    assert_eq!(Story::of(Vec::new(), 4).next(), None);
}

#[test]
fn one_that_is_struck_is_not_asked_whatever_it_says_afterwards() {
    let mut story = Story::of(vec![targets([("a", 0), ("b", 0)])], 9);
    let (a, _) = story.ask().unwrap();
    story.itinerary.strike(a);
    assert!(story.fail(a, &down()), "others are left");
    assert_eq!(story.told(|_| silent()), ["b"]);
}
