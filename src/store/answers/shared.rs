//! Answers in Redis or Valkey: those of all processes, with nothing in front of them, so that what one forgets all do.
//!
//! The keys are spread over groups, by the first byte of the answer's own key. In a cluster a group stays together, and with
//! it a word that changes when something is forgotten: a script compares it and keeps the answer in one step. Keys have the
//! hashes of caller and model in them, so that what belongs to one is found by its pattern.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use ::redis::{Cmd, cmd};
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::packed;
use super::super::redis::{Effect, Health, Link, reading_text};
use super::{AnswerKey, Scope, Whose};
use crate::domain::KeptAnswer;

/// What all keys begin with. The number says how they are laid out.
const PREFIX: &str = "completiond:answers:1";
/// How long a group knows that something was forgotten, in seconds: longer than any answer is made.
const WORD_LASTS: u32 = 24 * 60 * 60;
/// How many groups are told at a time that something is forgotten.
const AT_A_TIME: usize = 32;

/// Keeps an answer: KEYS are its own and that of its group's word; ARGV the answer, how long it is kept in milliseconds, and
/// the word when it was begun.
const KEEP: &str = reading_text!(
    r"
if (text(KEYS[2]) or '') ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"
);

/// The answers of all processes.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    link: Link,
}

/// The word of a group; none: it could not be read, and what is made now is not kept.
pub(super) type Word = Option<Vec<u8>>;

impl Shared {
    pub(super) fn over(link: Link) -> Self {
        Self { link }
    }

    /// The answer, if there is one that is not too old, and the word of its group.
    pub(super) async fn find(
        &self,
        key: AnswerKey,
        whose: Whose<'_>,
        max_age: Option<Duration>,
    ) -> (Option<KeptAnswer>, Word) {
        let mut both = cmd("MGET");
        both.arg(name(key, whose)).arg(word(group(key)));
        let Some((packed, word)) = self.link.ask::<(Option<Vec<u8>>, Option<Vec<u8>>)>(&both, Effect::Read).await
        else {
            return (None, None);
        };
        let found = packed.and_then(|packed| packed::unpack(&packed));
        // The clock of whoever made it may be a little ahead.
        let right = |made: SystemTime| max_age.is_none_or(|max_age| made.elapsed().unwrap_or_default() <= max_age);
        let answer = found.filter(|found| right(found.made)).map(|found| found.answer);
        (answer, Some(word.unwrap_or_default()))
    }

    /// The word of the group.
    pub(super) async fn word(&self, key: AnswerKey) -> Word {
        Some(self.link.text(word(group(key))).await?.unwrap_or_default())
    }

    /// Keeps an answer that was begun when its group had this word.
    pub(super) async fn keep(
        &self,
        key: AnswerKey,
        whose: Whose<'_>,
        answer: &KeptAnswer,
        ttl: Duration,
        began: &[u8],
    ) {
        let Some(packed) = packed::pack(answer) else { return };
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, MOST_TTL);
        let mut keep = cmd("EVAL");
        keep.arg(KEEP).arg(2).arg(name(key, whose)).arg(word(group(key)));
        keep.arg(packed).arg(ttl).arg(began);
        let _: Option<i64> = self.link.ask(&keep, Effect::Write).await;
    }

    /// Forgets; returns how many.
    pub(super) async fn forget(&self, scope: &Scope) -> Result<u64, String> {
        // What is being made now is not kept: this comes before anything is looked for.
        let fresh = Uuid::now_v7();
        stream::iter(0..=u8::MAX)
            .map(|group| async move { self.link.tell(&changed(group, fresh)).await })
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await?;
        self.link.delete(&pattern(scope)).await
    }

    pub(super) fn health(&self) -> Health {
        self.link.health()
    }
}

/// The longest that an answer is kept, in milliseconds: Redis refuses what goes beyond its clock.
const MOST_TTL: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

fn changed(group: u8, fresh: Uuid) -> Cmd {
    let mut set = cmd("SET");
    set.arg(word(group)).arg(fresh.as_bytes()).arg("EX").arg(WORD_LASTS);
    set
}

/// The first byte of the hash.
fn group(AnswerKey([group, ..]): AnswerKey) -> u8 {
    group
}

fn word(group: u8) -> String {
    format!("{PREFIX}:{{{group:02x}}}:word")
}

fn name(key: AnswerKey, whose: Whose<'_>) -> String {
    let (caller, model) = (hashed(whose.caller), hashed(whose.model));
    format!("{PREFIX}:{{{:02x}}}:{caller}:{model}:{}", group(key), hex(&key.0))
}

fn pattern(scope: &Scope) -> String {
    let (caller, model) = match scope {
        Scope::All => ("*".to_owned(), "*".to_owned()),
        Scope::Model(model) => ("*".to_owned(), hashed(model)),
        Scope::Caller(caller) => (hashed(caller), "*".to_owned()),
    };
    format!("{PREFIX}:{{??}}:{caller}:{model}:*")
}

/// A name, so that nothing in it is taken for a pattern, and nobody's name is shown to who looks at the keys.
fn hashed(name: &str) -> String {
    hex(Sha256::digest(name).get(..8).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Text takes whatever is written.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose<'a>(caller: &'a str, model: &'a str) -> Whose<'a> {
        Whose { caller, model }
    }

    #[test]
    fn keys_have_no_names_in_them_and_stay_with_their_group() {
        let key = AnswerKey([0xab; 32]);
        let name = name(key, whose("alice*", "m"));
        assert!(name.starts_with("completiond:answers:1:{ab}:") && !name.contains("alice"), "{name}");
        assert_eq!(word(group(key)), "completiond:answers:1:{ab}:word");
        assert_ne!(name.split(':').nth(4), super::name(key, whose("alice", "m")).split(':').nth(4));
    }

    #[test]
    fn patterns_have_the_places_of_names() {
        let name = name(AnswerKey([1; 32]), whose("a", "m"));
        let parts: Vec<_> = name.split(':').collect();
        for (scope, place, other) in [(Scope::Caller("a".to_owned()), 4, 5), (Scope::Model("m".to_owned()), 5, 4)] {
            let pattern = pattern(&scope);
            let pattern: Vec<_> = pattern.split(':').collect();
            assert_eq!((pattern.len(), pattern.get(place)), (parts.len(), parts.get(place)));
            assert_eq!(pattern.get(other), Some(&"*"));
        }
    }
}
