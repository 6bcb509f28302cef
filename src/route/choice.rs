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
