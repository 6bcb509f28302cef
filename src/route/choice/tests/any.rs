//! Any candidates whatever: the choice is one of them.

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::Config;

use super::*;

fn extreme(ordinary: std::ops::Range<u32>) -> impl Strategy<Value = u32> {
    prop_oneof![4 => ordinary, 1 => Just(0), 1 => Just(u32::MAX)]
}

fn latency() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![
        1 => Just(None),
        4 => (0u64..100_000).prop_map(|millis| Some(Duration::from_millis(millis))),
        1 => Just(Some(Duration::ZERO)),
        1 => Just(Some(Duration::MAX)),
    ]
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let access = prop_oneof![9 => Just(Access::Free), 1 => Just(Access::Probe)];
    (access, extreme(0..100), latency(), any::<bool>()).prop_map(|(access, in_flight, latency, is_short)| Standing {
        access,
        in_flight,
        latency,
        is_short,
        limited_until: None,
    })
}

/// Whether it is neither short nor slower than anybody.
fn is_fine(standing: &Standing, fastest: Option<Duration>) -> bool {
    !standing.is_short && (standing.latency.is_none() || standing.latency == fastest)
}

proptest! {
    #![proptest_config(Config::with_cases(2048))]

    #[test]
    fn the_choice_is_one_of_the_candidates(
        any in prop::collection::vec((extreme(1..100), any_standing()), 1..8),
        conversation in prop::option::of(".{0,8}"),
        seed in any::<u64>(),
    ) {
        let mut dice = StdRng::seed_from_u64(seed);
        let names: Vec<String> = (0..any.len()).map(|number| format!("endpoint {number}")).collect();
        let candidates: Vec<_> = names
            .iter()
            .zip(any)
            .map(|(name, (weight, standing))| Candidate { name, weight, standing })
            .collect();
        let chosen = choose(&candidates, conversation.as_deref(), |below| {
            assert!(below > 0, "nothing is below 0");
            dice.random_range(0..below)
        });
        let chosen = chosen.and_then(|place| candidates.get(place)).unwrap().standing;
        let probes = candidates.iter().any(|candidate| candidate.standing.access == Access::Probe);
        prop_assert_eq!(chosen.access == Access::Probe, probes);
        let fastest = candidates.iter().filter_map(|candidate| candidate.standing.latency).min();
        let some_are_fine = candidates.iter().any(|candidate| is_fine(&candidate.standing, fastest));
        prop_assert!(probes || !some_are_fine || !chosen.is_short, "a short one was not spared");
    }
}
