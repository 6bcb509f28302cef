//! What is wanted of the cache in which a provider keeps the beginnings of prompts.

use std::time::Duration;

/// How a provider's cache of prompts is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptCache {
    /// Whether prefixes are marked that the caller has not marked.
    pub mode: PromptCacheMode,
    /// How long the provider shall keep what is marked so, from its last use on; none: as long as it does by default.
    pub ttl: Option<Duration>,
}

/// Whether prefixes are marked that the caller has not marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptCacheMode {
    /// Nothing is said: as others say, and in the end not.
    #[default]
    Unsaid,
    /// They are not.
    Off,
    /// They are, wherever it is of use.
    Automatic,
}

impl PromptCache {
    /// The same, and `otherwise` for what it leaves open.
    #[must_use]
    pub fn or(self, otherwise: Self) -> Self {
        let mode = if self.mode == PromptCacheMode::Unsaid { otherwise.mode } else { self.mode };
        Self { mode, ttl: self.ttl.or(otherwise.ttl) }
    }

    /// Whether prefixes are marked that the caller has not marked.
    pub fn is_automatic(self) -> bool {
        self.mode == PromptCacheMode::Automatic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_something_is_not_overruled_and_what_is_left_open_is_filled_in() {
        let of = |mode, secs: Option<u64>| PromptCache { mode, ttl: secs.map(Duration::from_secs) };
        let (unsaid, off, automatic) = (PromptCacheMode::Unsaid, PromptCacheMode::Off, PromptCacheMode::Automatic);
        let cases = [
            (of(unsaid, None), of(automatic, Some(60)), of(automatic, Some(60))),
            (of(unsaid, Some(5)), of(automatic, Some(60)), of(automatic, Some(5))),
            (of(off, None), of(automatic, Some(60)), of(off, Some(60))),
            (of(automatic, None), of(off, Some(60)), of(automatic, Some(60))),
            (of(automatic, Some(5)), of(unsaid, None), of(automatic, Some(5))),
        ];
        for (ours, otherwise, both) in cases {
            assert_eq!(ours.or(otherwise), both, "{ours:?} or {otherwise:?}");
        }
        assert!(!PromptCache::default().is_automatic());
    }
}
