//! What becomes of many choices: endpoints with the health that the pool learns, calls that come at random, and a clock
//! that stands still but where it is moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Uri;

use super::*;
use crate::domain::{Finish, FinishReason, Request, Terms};
use crate::pool::{Endpoint, Entry, Ledger, Meter, RetryBudget, Right};
use crate::protocol::Delivery;
use crate::route::table::tests::provider;
use crate::telemetry::{CallTrace, Target};
use crate::transport::Departure;

const STREAM: Delivery = Delivery::Stream;

struct Simulation {
    endpoints: Vec<(Arc<Endpoint>, u32)>,
    dice: StdRng,
    budget: RetryBudget,
    ledger: Ledger,
    /// What happens when; the number tells apart what happens at the same time.
    agenda: BTreeMap<(Instant, u64), (Entry, Next)>,
    number: u64,
}

enum Next {
    Begins { then: Duration },
    Ends,
}

impl Simulation {
    /// Endpoints with these weights.
    fn new(weights: &[u32]) -> Self {
        let endpoint = |number: usize| {
            let provider = provider(&format!("p{number}"));
            Arc::new(Endpoint::known(&provider, crate::domain::ModelId::new("own")))
        };
        Self {
            endpoints: weights.iter().enumerate().map(|(number, weight)| (endpoint(number), *weight)).collect(),
            dice: StdRng::seed_from_u64(7),
            budget: RetryBudget::full(Instant::now()),
            ledger: Ledger::default(),
            agenda: BTreeMap::new(),
            number: 0,
        }
    }

    /// Lets calls come for so many seconds, 50 in each, while an endpoint takes so many milliseconds to its first event,
    /// give or take a half, and three times that to its end. How many went to each.
    async fn run(&mut self, seconds: u32, millis: &[u64]) -> Vec<u32> {
        let end = Instant::now() + SECOND * seconds;
        let mut counts = vec![0; millis.len()];
        loop {
            let comes = Instant::now() + SECOND.mul_f64(-f64::ln(1.0 - self.dice.random::<f64>()) / 50.0);
            self.play_until(comes.min(end)).await;
            if comes >= end {
                return counts;
            }
            let to = self.call(millis);
            counts[to] += 1;
        }
    }

    fn call(&mut self, millis: &[u64]) -> usize {
        let now = Instant::now();
        let names: Vec<String> = self.endpoints.iter().map(|(endpoint, _)| endpoint.identity.to_string()).collect();
        let candidates: Vec<_> = names
            .iter()
            .zip(&self.endpoints)
            .map(|(name, (endpoint, weight))| Candidate {
                name,
                weight: *weight,
                standing: endpoint.health.standing(STREAM, now),
            })
            .collect();
        let chosen = choose(&candidates, None, |below| self.dice.random_range(0..below)).unwrap();
        let endpoint = &self.endpoints[chosen].0;
        let lease = endpoint.health.lease(STREAM, Right::Standing, now).unwrap();
        let address = Uri::from_static("http://localhost/");
        let span =
            CallTrace::off().attempt(Target { identity: &endpoint.identity, telemetry_name: "v", address: &address });
        let meter = Meter::new(endpoint, &Request::default(), Departure::default(), None);
        let entry = self.ledger.begin(meter, span, lease, self.budget.clone());
        let first = Duration::from_millis(millis[chosen]).mul_f64(0.5 + self.dice.random::<f64>());
        self.plan(now + first, entry, Next::Begins { then: first * 2 });
        chosen
    }

    fn plan(&mut self, at: Instant, entry: Entry, next: Next) {
        self.number += 1;
        self.agenda.insert((at, self.number), (entry, next));
    }

    async fn play_until(&mut self, until: Instant) {
        while let Some(first) = self.agenda.first_entry().filter(|first| first.key().0 <= until) {
            let ((at, _), (mut entry, next)) = first.remove_entry();
            tokio::time::advance(at.saturating_duration_since(Instant::now())).await;
            match next {
                Next::Begins { then } => {
                    entry.accepted(Instant::now());
                    self.plan(Instant::now() + then, entry, Next::Ends);
                }
                Next::Ends => {
                    entry.finished(&mut Finish::new(FinishReason::Stop, ""), &Terms::default());
                }
            }
        }
        tokio::time::advance(until.saturating_duration_since(Instant::now())).await;
    }
}

/// What part of all went to the first.
fn share(counts: &[u32]) -> f64 {
    f64::from(counts[0]) / f64::from(counts.iter().sum::<u32>())
}

#[tokio::test(start_paused = true)]
async fn two_that_are_equal_share_the_work() {
    let counts = Simulation::new(&[1, 1]).run(120, &[200, 200]).await;
    assert!((share(&counts) - 0.5).abs() < 0.03, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn weights_hold_among_equally_fast_ones() {
    let counts = Simulation::new(&[3, 1]).run(120, &[200, 200]).await;
    assert!((share(&counts) - 0.75).abs() < 0.04, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_ten_times_as_slow_gets_far_less_and_its_share_again_when_it_has_recovered() {
    let mut simulation = Simulation::new(&[1, 1]);
    simulation.run(30, &[200, 200]).await;
    let slow = simulation.run(60, &[2_000, 200]).await;
    assert!(share(&slow) < 0.08, "while it is slow {slow:?}");
    simulation.run(20, &[200, 200]).await;
    let after = simulation.run(60, &[200, 200]).await;
    assert!((share(&after) - 0.5).abs() < 0.05, "from twenty seconds after it has recovered {after:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_to_a_halt_is_relieved_by_its_load_alone() {
    let mut simulation = Simulation::new(&[1, 1]);
    simulation.run(10, &[200, 200]).await;
    let halted = simulation.run(10, &[60_000, 200]).await;
    assert!(share(&halted) < 0.25, "no answer has told that it is slow: {halted:?}");
}
