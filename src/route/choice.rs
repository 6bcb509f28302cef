//! The order in which targets are tried: by priority, and by weight among equals.

use super::Target;

/// Orders `targets`; `roll(n)` gives a number below `n`.
pub(super) fn in_order(mut targets: Vec<Target>, mut roll: impl FnMut(u64) -> u64) -> Vec<Target> {
    targets.sort_by_key(|target| target.priority);
    let mut ordered = Vec::with_capacity(targets.len());
    while let Some(first) = targets.first() {
        let equals = targets.iter().take_while(|target| target.priority == first.priority);
        let total: u64 = equals.map(|target| u64::from(target.weight)).sum();
        let mut left = if total == 0 { 0 } else { roll(total) };
        let chosen = targets.iter().position(|target| {
            let weight = u64::from(target.weight);
            let here = left < weight;
            left = left.saturating_sub(weight);
            here
        });
        ordered.push(targets.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::ModelId;
    use crate::pool::Endpoint;
    use crate::route::table::tests::provider;

    fn target(model: &str, priority: u32, weight: u32) -> Target {
        let endpoint = Endpoint::known(&provider("p"), ModelId::new(model));
        Target { endpoint: Arc::new(endpoint), priority, weight }
    }

    fn order(targets: &[Target], roll: impl FnMut(u64) -> u64) -> Vec<String> {
        let ordered = in_order(targets.to_vec(), roll);
        ordered.iter().map(|target| target.endpoint.identity.model.to_string()).collect()
    }

    #[test]
    fn a_lower_priority_goes_first_whatever_the_weight() {
        let targets = [target("spare", 1, 100), target("first", 0, 1)];
        assert_eq!(order(&targets, |_| 0), ["first", "spare"]);
    }

    #[test]
    fn among_equals_each_is_first_as_often_as_its_weight_says() {
        let targets = [target("a", 0, 1), target("b", 0, 3), target("c", 0, 2)];
        let mut firsts = Vec::new();
        for number in 0..6 {
            let mut rolled = Some(number);
            let ordered = order(&targets, |below| rolled.take().inspect(|_| assert_eq!(below, 6)).unwrap_or(0));
            assert_eq!(ordered.len(), 3);
            firsts.extend(ordered.into_iter().next());
        }
        assert_eq!(firsts, ["a", "b", "b", "b", "c", "c"]);
    }
}
