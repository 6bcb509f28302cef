//! The keys of an issuer, kept: read on a schedule and when a token names one that is not among them, and kept for a while
//! when they cannot be read any more.
//!
//! However many tokens name keys that nobody has, they are read no more often than once in [`SPACING`], for all who wait.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::fetch::Way;
use super::jwks::{KeySet, MAX_KEY_ID};
use super::settings::{KeysAt, KeysFrom};
use crate::count::{Count, Total};

/// The time between two readings, whoever asks for one.
const SPACING: Duration = Duration::from_secs(2);
/// The longest time until it is tried again after it has failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many calls may wait for the keys of one issuer.
const MAX_WAITING: usize = 256;
/// How many names of keys are remembered that were not there.
const MAX_MISSING: usize = 1024;

/// The keys of one issuer. As long as this is there, they are read.
pub(in crate::callers) struct Kept {
    shared: Arc<Shared>,
    reading: AbortHandle,
}

struct Shared {
    from: KeysFrom,
    way: Way,
    good: ArcSwapOption<Good>,
    /// Somebody wants them to be read.
    wanted: Notify,
    rounds: watch::Sender<Rounds>,
    missing: Mutex<Missing>,
    waiting: Count,
    failures: Total,
}

/// What was read last and could be used.
#[derive(Debug)]
struct Good {
    set: Arc<KeySet>,
    at: Instant,
}

/// Readings, by their numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// The last one that has ended was in vain.
    failed: bool,
}

/// Names of keys that were not there in a round, and are not looked for again before the next.
#[derive(Debug, Default)]
struct Missing {
    round: u64,
    names: HashSet<String>,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer does not show it.
    NotShown,
    /// The issuer cannot be asked now.
    Away,
}

/// How the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysNow {
    /// Whose.
    pub name: String,
    /// How many there are; 0: its tokens cannot be checked.
    pub keys: u64,
    /// How long ago they were read; none: never.
    pub age: Option<Duration>,
}

impl Kept {
    /// Begins to read the keys on `runtime`; `failures` counts when that is in vain.
    pub(in crate::callers) fn new(from: &KeysFrom, runtime: &Handle, failures: Total) -> Arc<Self> {
        let shared = Arc::new(Shared {
            from: from.clone(),
            way: Way::to(&from.at),
            good: ArcSwapOption::empty(),
            wanted: Notify::new(),
            rounds: watch::Sender::new(Rounds::default()),
            missing: Mutex::default(),
            waiting: Count::default(),
            failures,
        });
        let reading = runtime.spawn(Arc::clone(&shared).keep_reading()).abort_handle();
        Arc::new(Self { shared, reading })
    }

    /// Whether these are the keys from there.
    pub(in crate::callers) fn are_from(&self, from: &KeysFrom) -> bool {
        self.shared.from == *from
    }

    /// The keys; none: they were never read, or not for longer than they are kept.
    pub(super) fn set(&self) -> Option<Arc<KeySet>> {
        let good = self.shared.good.load();
        let good = good.as_ref().filter(|good| good.at.elapsed() <= self.shared.from.keep)?;
        Some(Arc::clone(&good.set))
    }

    /// How they are.
    pub(in crate::callers) fn now(&self) -> KeysNow {
        let age = self.shared.good.load().as_ref().map(|good| good.at.elapsed());
        let keys = self.set().map_or(0, |set| u64::try_from(set.len()).unwrap_or(u64::MAX));
        KeysNow { name: self.shared.from.name.clone(), keys, age }
    }

    /// Whether it is worth waiting for a key of this name, which is not there. None: the token names no key.
    pub(super) fn may_come(&self, id: Option<&str>) -> Result<(), NoKey> {
        let rounds = *self.shared.rounds.borrow();
        match id {
            Some(id) if id.len() > MAX_KEY_ID => Err(NoKey::NotShown),
            Some(id) if !rounds.failed && self.shared.was_missing(id, rounds.ended) => Err(NoKey::NotShown),
            _ => Ok(()),
        }
    }

    /// Waits until the keys were read once more, or one of this name is there.
    ///
    /// # Errors
    /// [`NoKey`]: it did not come.
    pub(super) async fn look_for(&self, id: Option<&str>, within: Duration) -> Result<(), NoKey> {
        let shared = &self.shared;
        let Some(_waits) = shared.waiting.one_of(MAX_WAITING) else { return Err(NoKey::Away) };
        let mut rounds = shared.rounds.subscribe();
        // What is being read now may have been asked for before the key was there.
        let next = rounds.borrow().begun.saturating_add(1);
        shared.wanted.notify_one();
        let is_there = |set: Arc<KeySet>| id.is_none_or(|id| set.has(id));
        let looked = async {
            loop {
                let now = *rounds.borrow_and_update();
                if self.set().is_some_and(is_there) {
                    return Ok(());
                }
                if now.ended >= next {
                    return Err(shared.did_not_come(id, now));
                }
                if rounds.changed().await.is_err() {
                    return Err(NoKey::Away);
                }
            }
        };
        tokio::time::timeout(within, looked).await.unwrap_or(Err(NoKey::Away))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("from", &self.shared.from).finish_non_exhaustive()
    }
}

impl Shared {
    async fn keep_reading(self: Arc<Self>) {
        let mut told = Told::default();
        loop {
            self.rounds.send_modify(|rounds| rounds.begun += 1);
            let failed = self.read(&mut told).await;
            self.rounds.send_modify(|rounds| {
                rounds.ended = rounds.begun;
                rounds.failed = failed;
            });
            let pause = match told.failures {
                0 => self.from.refresh_interval,
                failures => pause(failures).min(self.from.refresh_interval),
            };
            tokio::time::sleep(SPACING.min(pause)).await;
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(SPACING)) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Reads the keys once, and says whether that was in vain.
    async fn read(&self, told: &mut Told) -> bool {
        let read = match self.way.read().await {
            Ok(bytes) => KeySet::read(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match read {
            Ok(set) => {
                self.take(set, told);
                false
            }
            Err(problem) => {
                self.failures.once();
                told.failures = told.failures.saturating_add(1);
                self.tell(problem, told);
                true
            }
        }
    }

    fn take(&self, set: KeySet, told: &mut Told) {
        let before = self.good.load_full();
        let is_new = before.as_ref().is_none_or(|before| before.set.fingerprint != set.fingerprint);
        if is_new || told.failures > 0 {
            tracing::info!(
                issuer = self.from.name,
                keys = set.len(),
                changed = is_new,
                "the keys of an issuer were read"
            );
        }
        *told = Told::default();
        let set = match before {
            Some(before) if !is_new => Arc::clone(&before.set),
            _ => Arc::new(set),
        };
        self.good.store(Some(Arc::new(Good { set, at: Instant::now() })));
    }

    /// Says once what is wrong, again when something else is, and when the keys that were kept do not count any more.
    fn tell(&self, problem: String, told: &mut Told) {
        let counts = self.good.load().as_ref().is_some_and(|good| good.at.elapsed() <= self.from.keep);
        if told.problem.as_ref() == Some(&problem) && told.counted == counts {
            return;
        }
        let (issuer, at) = (&self.from.name, place(&self.from.at));
        match counts {
            true => tracing::warn!(issuer, at, problem, "the keys of an issuer cannot be read: those of before count"),
            false => tracing::error!(
                issuer,
                at,
                problem,
                "the keys of an issuer cannot be read: its tokens cannot be checked"
            ),
        }
        (told.problem, told.counted) = (Some(problem), counts);
    }

    fn was_missing(&self, id: &str, round: u64) -> bool {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.round == round && missing.names.contains(id)
    }

    fn did_not_come(&self, id: Option<&str>, now: Rounds) -> NoKey {
        if now.failed {
            return NoKey::Away;
        }
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.round != now.ended {
            *missing = Missing { round: now.ended, names: HashSet::new() };
        }
        if let (Some(id), true) = (id, missing.names.len() < MAX_MISSING) {
            missing.names.insert(id.to_owned());
        }
        NoKey::NotShown
    }
}

/// What was said last about keys that cannot be read.
#[derive(Debug, Default)]
struct Told {
    /// How often in a row.
    failures: u32,
    problem: Option<String>,
    /// Whether those of before counted then.
    counted: bool,
}

fn pause(failures: u32) -> Duration {
    SPACING.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LONGEST_PAUSE)
}

fn place(at: &KeysAt) -> String {
    match at {
        // A query may hold a secret.
        KeysAt::Url(url) => url.split('?').next().unwrap_or_default().to_owned(),
        KeysAt::File(path) => path.display().to_string(),
    }
}
