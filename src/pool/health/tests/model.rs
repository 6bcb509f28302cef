//! Random lives of attempts at three endpoints, two of which share a key, against what must hold after every step.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::*;

/// Endpoints 0 and 1 share a key.
const ENDPOINTS: usize = 3;
/// When a probe that says nothing counts as lost.
const LOST: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
enum Step {
    Lease { at: usize, right: Right },
    Accept(prop::sample::Index),
    Settle(prop::sample::Index, Ending),
    Drop(prop::sample::Index),
    Wait(Duration),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Finished,
    Dropped,
    Failed(Reason, u16),
}

fn step() -> impl Strategy<Value = Step> {
    let failure = |reason, status| Just(Ending::Failed(reason, status));
    let ending = prop_oneof![
        3 => Just(Ending::Finished),
        2 => Just(Ending::Dropped),
        3 => failure(Reason::ProviderUnavailable, 500),
        1 => failure(Reason::ProviderTimeout, 408),
        1 => failure(Reason::ProviderRateLimited, 429),
        1 => failure(Reason::ProviderModelNotFound, 404),
        1 => failure(Reason::ProviderCredentialsRefused, 403),
        1 => failure(Reason::ProviderCredentialsRefused, 401),
        1 => failure(Reason::ProviderRejected, 400),
        1 => failure(Reason::DeadlineExceeded, 0),
    ];
    let lease = |right| (0..ENDPOINTS).prop_map(move |at| Step::Lease { at, right });
    prop_oneof![
        5 => lease(Right::Standing),
        3 => lease(Right::LastResort),
        3 => any::<prop::sample::Index>().prop_map(Step::Accept),
        5 => (any::<prop::sample::Index>(), ending).prop_map(|(lease, ending)| Step::Settle(lease, ending)),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        3 => (0u64..2_500).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
    ]
}

/// A breaker, by whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Key(usize),
    Own(usize),
}

const BREAKERS: [Whose; 5] = [Whose::Key(0), Whose::Key(2), Whose::Own(0), Whose::Own(1), Whose::Own(2)];

impl Whose {
    /// The breakers that an attempt at an endpoint passes.
    fn passed_at(at: usize) -> [Self; 2] {
        [Self::Key(if at == 1 { 0 } else { at }), Self::Own(at)]
    }
}

/// A probe that is out.
#[derive(Clone, Copy, Debug)]
struct Probe {
    breaker: Whose,
    lease: u64,
    since: Instant,
}

struct World {
    endpoints: Vec<Arc<Health>>,
    limits: [Option<u32>; ENDPOINTS],
    /// Number, endpoint and lease; settled ones stay for a while, to be settled again.
    leases: Vec<(u64, usize, Lease)>,
    granted: [u64; ENDPOINTS],
    failed: [u64; ENDPOINTS],
    probes: Vec<Probe>,
    now: Instant,
}

impl World {
    fn new(now: Instant) -> Self {
        let (shared, own) = (key(), key());
        let limits = [Some(3), None, Some(1)];
        let endpoints = vec![health(&shared, limits[0]), health(&shared, limits[1]), health(&own, limits[2])];
        let (granted, failed) = ([0; ENDPOINTS], [0; ENDPOINTS]);
        Self { endpoints, limits, leases: Vec::new(), granted, failed, probes: Vec::new(), now }
    }

    fn admits(&self, breaker: Whose) -> Admits {
        match breaker {
            Whose::Key(at) => lock(&self.endpoints[at].key).admits(self.now),
            Whose::Own(at) => self.endpoints[at].state().breaker.admits(self.now),
        }
    }

    fn take(&mut self, step: &Step) -> TestCaseResult {
        let before = BREAKERS.map(|breaker| self.admits(breaker));
        let (acted, number) = match *step {
            Step::Lease { at, right } => return self.lease(at, right),
            Step::Wait(_) => return Ok(()),
            Step::Accept(_) | Step::Settle(..) | Step::Drop(_) if self.leases.is_empty() => return Ok(()),
            Step::Accept(index) => {
                let (number, at, lease) = index.get_mut(&mut self.leases);
                lease.accepted(self.now);
                (*at, *number)
            }
            Step::Settle(index, ending) => self.settle(index, ending),
            Step::Drop(index) => {
                let (number, at, _) = self.leases.remove(index.index(self.leases.len()));
                (at, number)
            }
        };
        self.check_breakers(acted, number, before)
    }

    fn settle(&mut self, index: prop::sample::Index, ending: Ending) -> (usize, u64) {
        let (number, at, lease) = index.get_mut(&mut self.leases);
        match ending {
            Ending::Finished => lease.settle(Settled::Finished, self.now),
            Ending::Dropped => lease.settle(Settled::Dropped, self.now),
            Ending::Failed(reason, status) => {
                self.failed[*at] += u64::from(!lease.settled);
                lease.settle(Settled::Failed(&refusal(reason, status)), self.now);
            }
        }
        (*at, *number)
    }

    fn lease(&mut self, at: usize, right: Right) -> TestCaseResult {
        let standing = self.endpoints[at].standing(STREAM, self.now);
        let probing = Whose::passed_at(at).map(|breaker| (breaker, self.admits(breaker)));
        let lease = self.endpoints[at].lease(STREAM, right, self.now);
        let is_full = self.limits[at].is_some_and(|limit| standing.in_flight >= limit);
        prop_assert_eq!(standing.access == Access::Full, is_full);
        let allowed = match right {
            Right::Standing => matches!(standing.access, Access::Free | Access::Probe),
            Right::LastResort => !is_full,
        };
        prop_assert_eq!(lease.is_some(), allowed, "{:?} at {:?}", right, standing);
        let Some(lease) = lease else { return Ok(()) };
        let number = self.granted.iter().sum();
        self.granted[at] += 1;
        for (breaker, admits) in probing {
            if admits == Admits::Probe {
                self.probes.retain(|probe| probe.breaker != breaker || self.now < probe.since + LOST);
                let other = self.probes.iter().find(|probe| probe.breaker == breaker);
                prop_assert!(other.is_none(), "a second probe beside {:?}", other);
                self.probes.push(Probe { breaker, lease: number, since: self.now });
                let is_closed_to_others = matches!(self.admits(breaker), Admits::None { .. });
                prop_assert!(is_closed_to_others);
            }
        }
        self.leases.push((number, at, lease));
        Ok(())
    }

    /// What the lease `number` at endpoint `acted` did to the breakers is what it may do.
    fn check_breakers(&mut self, acted: usize, number: u64, before: [Admits; 5]) -> TestCaseResult {
        for (breaker, before) in BREAKERS.into_iter().zip(before) {
            let after = self.admits(breaker);
            let is_probe = self.probes.iter().any(|probe| probe.breaker == breaker && probe.lease == number);
            if !Whose::passed_at(acted).contains(&breaker) {
                prop_assert_eq!(before, after, "{:?} is none of its business", breaker);
            } else if after == Admits::Probe && before != after {
                prop_assert!(is_probe, "{:?}: somebody else's probe was freed", breaker);
            } else if let (Admits::None { .. }, Admits::None { .. }) = (before, after) {
                prop_assert!(before == after || is_probe, "{:?}: the pause was moved", breaker);
            }
            if after == Admits::All || (is_probe && before != after) {
                self.probes.retain(|probe| probe.breaker != breaker);
            }
        }
        Ok(())
    }

    fn check_places(&self) -> TestCaseResult {
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let running = self.leases.iter().filter(|(_, place, lease)| *place == at && !lease.settled).count();
            let report = endpoint.report(self.now);
            prop_assert_eq!(usize::try_from(report.in_flight).unwrap(), running);
            prop_assert!(self.limits[at].is_none_or(|limit| report.in_flight <= limit));
            prop_assert_eq!((report.sent, report.failed), (self.granted[at], self.failed[at]));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_life_of_attempts_loses_a_place_or_lets_two_probes_out(steps in prop::collection::vec(step(), 1..200)) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(Instant::now());
            for step in steps {
                if let Step::Wait(time) = step {
                    tokio::time::advance(time).await;
                }
                world.now = Instant::now();
                world.take(&step)?;
                world.check_places()?;
            }
            world.leases.clear();
            world.check_places()
        })?;
    }
}
