//! Any targets, standings and failures whatever: what no call does.

use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::{Config, TestCaseResult};

use super::*;

/// What happens at a target that is to be asked next.
#[derive(Clone, Debug)]
enum Turn {
    /// Somebody else was faster.
    Missed,
    /// It cannot take the request.
    Unfit,
    /// It fails after a while, and its pause is this share of a thousandth of its bound.
    Fails { reason: Reason, hint: Option<Duration>, after: Duration, pause: u64 },
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![(0u64..40_000).prop_map(millis), Just(Duration::ZERO), Just(Duration::MAX)]
}

fn turn() -> impl Strategy<Value = Turn> {
    let reason = prop_oneof![
        4 => Just(Reason::ProviderUnavailable),
        3 => Just(Reason::ProviderRateLimited),
        1 => Just(Reason::ProviderTimeout),
        1 => Just(Reason::ContextLengthExceeded),
        1 => prop::sample::select(Reason::ALL.to_vec()),
    ];
    let fails = (reason, prop::option::of(duration()), 0u64..3_000, 0u64..=1000)
        .prop_map(|(reason, hint, after, pause)| Turn::Fails { reason, hint, after: millis(after), pause });
    prop_oneof![1 => Just(Turn::Missed), 1 => Just(Turn::Unfit), 8 => fails]
}

/// How an endpoint stands; a time is counted from now.
type StandsAt = fn(Instant, Duration) -> Access;

fn access() -> impl Strategy<Value = StandsAt> {
    fn free(_: Instant, _: Duration) -> Access {
        Access::Free
    }
    fn probe(_: Instant, _: Duration) -> Access {
        Access::Probe
    }
    fn full(_: Instant, _: Duration) -> Access {
        Access::Full
    }
    fn held(now: Instant, time: Duration) -> Access {
        Access::Held { until: now + time }
    }
    fn ejected(now: Instant, time: Duration) -> Access {
        Access::Ejected { until: now + time }
    }
    fn locked_out(now: Instant, time: Duration) -> Access {
        Access::LockedOut { until: now + time }
    }
    prop::sample::select(vec![free as StandsAt, free, free, probe, full, held, held, ejected, locked_out])
}

const NAMES: [&str; 6] = ["a/one", "a/two", "b/one", "b/two", "c/one", "c/two"];

/// What is known about a target from outside.
#[derive(Clone, Copy, Debug)]
enum Known {
    Fresh,
    /// Not before this.
    Later(Instant),
    Out,
}

struct Run {
    itinerary: Itinerary,
    known: BTreeMap<String, Known>,
    standings: BTreeMap<String, Access>,
    attempts: u32,
    max_attempts: u32,
    now: Instant,
    deadline: Instant,
}

impl Run {
    fn next(&mut self) -> Option<Step> {
        let Self { itinerary, standings, now, deadline, .. } = self;
        let standing = |target: &Target| {
            let access = standings[&target.endpoint.identity.to_string()];
            Standing { access, in_flight: 0, latency: None, is_short: false, limited_until: None }
        };
        let view =
            View { now: *now, deadline: *deadline, conversation: None, standing: &standing, roll: &|below| below / 2 };
        let step = itinerary.next(&view);
        for (identity, access) in itinerary.passed_over(step.as_ref(), &view) {
            assert!(!matches!(access, Access::Free | Access::Probe), "{identity} could have been asked");
        }
        step
    }

    fn name(&self, place: Place) -> String {
        self.itinerary.target(place).unwrap().endpoint.identity.to_string()
    }

    fn check(&self, step: &Step) -> TestCaseResult {
        let name = self.name(step.place);
        prop_assert!(self.attempts < self.max_attempts);
        prop_assert!(step.at < self.deadline || step.at == self.now, "behind the deadline");
        prop_assert!(step.at <= self.now + Retry::default().max_delay + Retry::default().max_delay);
        match self.known[&name] {
            Known::Fresh => {}
            Known::Later(at) => prop_assert!(step.at >= at, "{} before its pause was over", name),
            Known::Out => prop_assert!(false, "{} is out", name),
        }
        let access = self.standings[&name];
        match step.right {
            Right::LastResort => {
                prop_assert_eq!(self.attempts, 0);
                prop_assert!(matches!(access, Access::Ejected { .. } | Access::LockedOut { .. }), "{:?}", access);
            }
            Right::Standing => match access {
                Access::Free | Access::Probe => {}
                Access::Held { until } => prop_assert!(step.at >= until, "before its hint is over"),
                Access::Ejected { .. } | Access::LockedOut { .. } | Access::Full => prop_assert!(false, "{:?}", access),
            },
        }
        Ok(())
    }

    /// False when the call is over.
    fn take(&mut self, step: Step, turn: &Turn) -> Result<bool, proptest::test_runner::TestCaseError> {
        let name = self.name(step.place);
        self.now = self.now.max(step.at);
        let (reason, hint, after, pause) = match turn {
            Turn::Missed => {
                self.itinerary.missed();
                return Ok(true);
            }
            Turn::Unfit => {
                self.itinerary.strike(step.place);
                self.known.insert(name, Known::Out);
                return Ok(true);
            }
            Turn::Fails { reason, hint, after, pause } => (*reason, *hint, *after, *pause),
        };
        self.itinerary.begun(step.place);
        self.attempts += 1;
        prop_assert_eq!(self.itinerary.attempts(), self.attempts);
        self.now += after;
        let error = error(reason).with(|details| details.retry_after = hint);
        let rolled = std::cell::Cell::new(Duration::ZERO);
        let goes_on = self.itinerary.failed(step.place, &error, self.now, &|below| {
            let pause = below / 1000 * pause.min(999);
            rolled.set(Duration::from_nanos(pause));
            pause
        });
        let known = match error.recovery() {
            Recovery::Again if hint.is_none_or(|hint| hint <= Retry::default().max_delay) => {
                Known::Later(self.now + rolled.get().max(hint.unwrap_or_default()))
            }
            _ => Known::Out,
        };
        self.known.insert(name, known);
        if error.recovery() == Recovery::Never {
            prop_assert!(!goes_on || reason == Reason::ContextLengthExceeded);
        } else {
            prop_assert!(goes_on);
        }
        Ok(goes_on)
    }
}

proptest! {
    #![proptest_config(Config::with_cases(1024))]

    #[test]
    fn no_call_asks_too_often_too_early_too_late_or_whom_it_may_not(
        leads in prop::collection::vec(prop::collection::vec((prop::sample::select(&NAMES[..]), 0u32..3), 0..4), 1..4),
        max_attempts in 1u32..8,
        deadline in 0u64..60_000,
        turns in prop::collection::vec((turn(), prop::collection::vec((access(), 0u64..40_000), NAMES.len())), 1..12),
    ) {
        let now = Instant::now();
        let leads = leads.into_iter().map(|lead| lead.into_iter().map(|(name, priority)| target(name, priority)).collect());
        let retry = Retry { max_attempts: NonZeroU32::new(max_attempts).unwrap(), ..Retry::default() };
        let mut run = Run {
            itinerary: Itinerary::new(leads.collect(), retry),
            known: NAMES.iter().map(|name| ((*name).to_owned(), Known::Fresh)).collect(),
            standings: BTreeMap::new(),
            attempts: 0,
            max_attempts,
            now,
            deadline: now + millis(deadline),
        };
        let mut steps = 0;
        for (turn, standings) in turns.iter().cycle() {
            let standings = NAMES.iter().zip(standings);
            let at = |(name, (access, time)): (&&str, &(StandsAt, u64))| {
                ((*name).to_owned(), access(run.now, millis(*time)))
            };
            run.standings = standings.map(at).collect();
            let Some(step) = run.next() else { break };
            run.check(&step)?;
            if !run.take(step, turn)? {
                break;
            }
            steps += 1;
            prop_assert!(steps <= (max_attempts + 1) * MOST_MISSES + 6, "it does not end");
        }
    }
}
