//! Tokens that were verified, so that their next calls cost a hash. It must not know how a token is verified.

use std::sync::Arc;
use std::time::SystemTime;

use moka::sync::Cache;

use crate::callers::Caller;

/// The most tokens of one issuer that are remembered.
const MOST: u64 = 10_000;
/// The most bytes that what is remembered of one issuer's tokens takes. A token may name hundreds of models, and those that do
/// are remembered in smaller number.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// What each takes at least: by it their number is bounded as well.
const LEAST_BYTES: u64 = MOST_BYTES.div_ceil(MOST);

/// A token that was verified.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    /// Whom it tells.
    pub(super) caller: Arc<Caller>,
    /// When it ends.
    pub(super) end: SystemTime,
    /// By which keys: when the issuer shows others, it is looked at again.
    pub(super) by: [u8; 32],
}

/// Those of one issuer, by their hashes.
pub(super) fn remembered() -> Cache<[u8; 32], Verified> {
    Cache::builder().max_capacity(MOST_BYTES).weigher(|_, verified: &Verified| verified.bytes()).build()
}

impl Verified {
    /// What it takes. A caller that others have as well, since it stands in the configuration, is not looked for: it counts
    /// as one of its own.
    fn bytes(&self) -> u32 {
        /// The cache's own entry, with the hash twice and what it counts by.
        const ENTRY: usize = 256;
        let bytes = ENTRY.saturating_add(size_of::<Self>()).saturating_add(self.caller.bytes());
        u32::try_from(bytes.max(usize::try_from(LEAST_BYTES).unwrap_or(usize::MAX))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callers::Models;
    use crate::domain::CallerName;

    fn telling(number: u32, models: Models) -> ([u8; 32], Verified) {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        let name = CallerName::new(format!("corp:{number}"));
        let caller = Arc::new(Caller { name, models, ..Caller::default() });
        (hash, Verified { caller, end: SystemTime::now(), by: [0; 32] })
    }

    fn filled(with: impl Fn(u32) -> Models) -> Vec<Verified> {
        let remembered = remembered();
        for number in 0..20_000 {
            let (hash, verified) = telling(number, with(number));
            remembered.insert(hash, verified);
        }
        remembered.run_pending_tasks();
        assert!(remembered.weighted_size() <= MOST_BYTES);
        remembered.iter().map(|(_, verified)| verified).collect()
    }

    #[test]
    fn tokens_that_name_many_models_take_no_more_together_than_others() {
        let large = |_| Models::Only((0..256).map(|model| format!("{model:>60}").parse().unwrap()).collect());
        let kept = filled(large);
        // Counted from what was put in, whatever is weighed.
        let texts: usize = kept.iter().map(|one| if one.caller.models == large(0) { 256 * 60 } else { 0 }).sum();
        assert!(texts <= usize::try_from(MOST_BYTES).unwrap(), "{} tokens of {texts} bytes", kept.len());
        assert!(kept.len() > 100, "{}", kept.len());
    }

    #[test]
    fn small_ones_are_as_many_as_are_documented() {
        let kept = filled(|_| Models::All).len();
        assert!((9_000..=10_000).contains(&kept), "{kept}");
    }

    #[test]
    fn what_two_allow_weighs_what_both_do() {
        let named = |text: &str| Models::Only(vec![text.repeat(100_000).parse().unwrap()]);
        let (_, one) = telling(1, named("a"));
        let (_, both) = telling(1, named("a").within(named("b")));
        assert!(one.bytes() > 100_000 && both.bytes() > one.bytes() + 100_000);
    }
}
