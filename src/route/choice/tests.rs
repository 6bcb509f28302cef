#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

use super::*;

fn standing() -> Standing {
    Standing { access: Access::Free, in_flight: 0, latency: None, is_short: false }
}

fn candidate(name: &str, weight: u32) -> Candidate<'_> {
    Candidate { name, weight, standing: standing() }
}

#[test]
fn among_equals_each_is_first_as_often_as_its_weight_says() {
    let candidates = [candidate("a", 1), candidate("b", 3), candidate("c", 2)];
    let mut firsts = Vec::new();
    for number in 0..6 {
        let mut rolled = Some(number);
        firsts.extend(choose(&candidates, None, |below| rolled.take().inspect(|_| assert_eq!(below, 6)).unwrap_or(0)));
    }
    assert_eq!(firsts, [0, 1, 1, 1, 2, 2]);
}
