//! A cache of prompts as providers have it: what was marked before need not be read again.
//!
//! It remembers hashes and nothing else, at most [`MOST`] of them, those that were not used for longest forgotten first.
//! It knows no time: a lifetime is only counted under its name.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The most prefixes that are remembered.
const MOST: usize = 1024;
/// How many pieces are looked at for the end of an earlier prefix, counted back from a mark and with its own.
const LOOKBACK: usize = 20;

/// The beginning of a prompt up to the end of one of its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    hash: [u8; 32],
    tokens: u32,
    mark: Option<Mark>,
}

/// How long a prefix shall live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Short,
    Long,
}

/// What the cache had to do with a prompt, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Read from it.
    pub(super) read: u32,
    /// Written to it, for the short lifetime.
    pub(super) short: u32,
    /// Written to it, for the long one.
    pub(super) long: u32,
}

impl Share {
    /// Of `tokens`, those that it had nothing to do with.
    pub(super) fn rest(self, tokens: u32) -> u32 {
        tokens.saturating_sub(self.read).saturating_sub(self.written())
    }

    /// Written to it.
    pub(super) fn written(self) -> u32 {
        self.short.saturating_add(self.long)
    }
}

/// The prefixes of a prompt whose pieces are marked by `key`; none where no piece is. A mark is no part of a prefix.
pub(super) fn prefixes<'a>(pieces: impl Iterator<Item = (&'a str, Value)>, key: &str) -> Vec<Prefix> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut prefixes = Vec::new();
    for (whose, mut piece) in pieces {
        let mark = piece.as_object_mut().and_then(|fields| fields.remove(key));
        let mark = mark.map(|mark| match mark.get("ttl").and_then(Value::as_str) {
            Some("1h" | "12h") => Mark::Long,
            _ => Mark::Short,
        });
        let piece = piece.to_string();
        hash.update(format!("{whose} {} ", piece.len()));
        hash.update(&piece);
        bytes += piece.len();
        let tokens = u32::try_from(bytes / 4).unwrap_or(u32::MAX);
        prefixes.push(Prefix { hash: hash.clone().finalize().into(), tokens, mark });
    }
    if prefixes.iter().any(|prefix| prefix.mark.is_some()) { prefixes } else { Vec::new() }
}

/// What was marked before. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct PromptCache(Arc<Mutex<VecDeque<[u8; 32]>>>);

impl PromptCache {
    /// What the cache has to do with a prompt of so many tokens, which it knows from then on.
    pub(super) fn serve(&self, prompt: &[Prefix], tokens: u32) -> Share {
        // A panic elsewhere leaves the list whole.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = prompt.iter().enumerate().rev().find(|(at, prefix)| {
            let is_near = prompt.iter().skip(*at).take(LOOKBACK).any(|later| later.mark.is_some());
            is_near && known.contains(&prefix.hash)
        });
        let found = found.map(|(_, prefix)| prefix.tokens);
        for prefix in prompt.iter().filter(|prefix| prefix.mark.is_some()) {
            known.retain(|hash| *hash != prefix.hash);
            known.push_back(prefix.hash);
        }
        let excess = known.len().saturating_sub(MOST);
        known.drain(..excess);
        drop(known);
        let end = |is_one: &dyn Fn(Mark) -> bool| {
            let marked = prompt.iter().filter(|prefix| prefix.mark.is_some_and(is_one));
            marked.map(|prefix| prefix.tokens.min(tokens)).max().unwrap_or(0)
        };
        let read = found.unwrap_or(0).min(tokens);
        let (long, all) = (end(&|mark| mark == Mark::Long).max(read), end(&|_| true).max(read));
        Share { read, long: long - read, short: all.saturating_sub(long) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt(pieces: &[(usize, &str)]) -> Vec<Prefix> {
        let pieces = pieces.iter().map(|(bytes, ttl)| {
            // As many bytes as are asked for, the quotes and the braces included.
            let mut piece = json!({ "t": "x".repeat(bytes - 8) });
            if !ttl.is_empty() {
                piece["mark"] = json!({ "ttl": ttl });
            }
            ("user", piece)
        });
        prefixes(pieces, "mark")
    }

    fn share(read: u32, short: u32, long: u32) -> Share {
        Share { read, short, long }
    }

    #[test]
    fn what_was_marked_before_is_read_and_the_rest_up_to_the_last_mark_is_written() {
        let cache = PromptCache::default();
        assert_eq!(cache.serve(&prompt(&[(40, ""), (40, "")]), 100), share(0, 0, 0), "without a mark nothing is kept");
        assert_eq!(cache.serve(&prompt(&[(40, "1h"), (40, "5m"), (80, "")]), 100), share(0, 10, 10));
        assert_eq!(cache.serve(&prompt(&[(40, "1h"), (40, "5m"), (80, "")]), 100), share(20, 0, 0));
        assert_eq!(cache.serve(&prompt(&[(40, ""), (40, ""), (80, "5m")]), 100), share(20, 20, 0), "marks may move");
        assert_eq!(
            cache.serve(&prompt(&[(40, ""), (44, ""), (80, "5m")]), 100),
            share(10, 31, 0),
            "another second piece"
        );
        assert_eq!(cache.serve(&prompt(&[(44, "5m")]), 5), share(0, 5, 0), "never more than the prompt has");
    }

    #[test]
    fn it_looks_back_so_far_and_remembers_so_much() {
        let cache = PromptCache::default();
        let long = |pieces: usize| {
            let mut all = vec![(40, "5m")];
            all.extend(vec![(40, ""); pieces - 1]);
            all.push((40, "5m"));
            all[0].1 = if pieces == 1 { "5m" } else { "" };
            prompt(&all)
        };
        cache.serve(&prompt(&[(40, "5m")]), 1000);
        assert_eq!(cache.serve(&long(20), 1000).read, 0);
        assert_eq!(cache.serve(&long(19), 1000).read, 10);
        for n in 0..2 * MOST {
            cache.serve(&prompt(&[(40 + n, "5m")]), u32::MAX);
        }
        assert_eq!(cache.0.lock().unwrap().len(), MOST);
    }
}
