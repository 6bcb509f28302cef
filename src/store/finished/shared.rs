//! What processes tell each other of calls that have ids of their callers' own: who makes one, and the answers.
//!
//! Two keys for a call: by the caller's id stands which call it is, what was asked, and whether it runs; by our id stands
//! the answer. Each is written by itself, the answer first, so that in a cluster they may be anywhere.

use std::time::{Duration, SystemTime};

use ::redis::cmd;

use super::super::packed;
use super::super::redis::{Effect, Health, Link, reading_text};
use super::Named;
use super::claims::{Claim, Claims, LEASE, milliseconds};
use super::entry::{Standing, answer_name, name, named_value, read};
use crate::domain::{CallId, KeptAnswer, Owned, RequestId};

/// Claims an id, where nobody has, or where what stands there is of no use: KEYS is the caller's id; ARGV the claim, its
/// lease in milliseconds, and what is of no use. Returns what stands there; nothing: it is claimed now.
const CLAIM: &str = reading_text!(
    r"
local there = text(KEYS[1])
if there and there ~= ARGV[3] then return there end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"
);
/// Puts the end in place of a claim: KEYS is the caller's id; ARGV the claim, the end, and how long it is known in
/// milliseconds. Another's claim stays.
const FINISH: &str = reading_text!(
    r"
local there = text(KEYS[1])
if there and there ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"
);

/// What a call meets that begins under its caller's own id.
#[derive(Debug)]
pub enum Met {
    /// Nobody: it is claimed.
    Nobody(Claim),
    /// This call, which another process makes now.
    Running(Named),
    /// This call, which was made, and its answer.
    Ended(Named, Box<KeptAnswer>),
    /// The server does not answer.
    NoAnswer,
}

/// What is known of a caller's own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The call that it stands for.
    pub named: Named,
    /// Whether that runs.
    pub runs: bool,
}

/// What processes share. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    link: Link,
    claims: Claims,
    keep: Duration,
}

impl Shared {
    pub(super) fn over(link: Link, keep: Duration) -> Self {
        Self { claims: Claims::over(link.clone()), link, keep }
    }

    pub(super) async fn claim(&self, id: Owned<RequestId>, named: Named) -> Met {
        let mut useless = Vec::new();
        // What is of no use is replaced once; if another was faster, that is what is met.
        for _ in 0..2 {
            let mut claim = cmd("EVAL");
            claim.arg(CLAIM).arg(1).arg(name(id));
            claim.arg(named_value(Standing::Runs, named)).arg(milliseconds(LEASE)).arg(&useless);
            let Some(there) = self.link.ask::<Option<Vec<u8>>>(&claim, Effect::Write).await else {
                return Met::NoAnswer;
            };
            let Some(there) = there else { return Met::Nobody(self.claims.hold(id, named)) };
            match read(&there) {
                Some((Standing::Runs, other)) => return Met::Running(other),
                Some((Standing::Ended, other)) => {
                    if let Some((answer, _)) = self.fetch(id.with(other.call)).await {
                        return Met::Ended(other, Box::new(answer));
                    }
                }
                None => {}
            }
            useless = there;
        }
        Met::NoAnswer
    }

    pub(super) async fn look_up(&self, id: Owned<RequestId>) -> Option<Found> {
        let there = self.link.text(name(id)).await??;
        read(&there).map(|(standing, named)| Found { named, runs: standing == Standing::Runs })
    }

    pub(super) async fn fetch(&self, call: Owned<CallId>) -> Option<(KeptAnswer, SystemTime)> {
        let packed = self.link.text(answer_name(call)).await??;
        packed::unpack(&packed).map(|unpacked| (unpacked.answer, unpacked.made))
    }

    /// Keeps a packed answer; says whether it is kept.
    pub(super) async fn keep(&self, call: Owned<CallId>, packed: Vec<u8>) -> bool {
        let mut set = cmd("SET");
        set.arg(answer_name(call)).arg(packed).arg("PX").arg(self.lasts());
        self.link.ask::<()>(&set, Effect::Write).await.is_some()
    }

    /// Keeps the answer of a call that was claimed. One that cannot be kept is claimed no more.
    pub(super) async fn finish(&self, claim: Claim, packed: Vec<u8>) {
        let (id, named) = claim.of();
        if !self.keep(id.with(named.call), packed).await {
            return;
        }
        let mut finish = cmd("EVAL");
        finish.arg(FINISH).arg(1).arg(name(id));
        finish.arg(named_value(Standing::Runs, named)).arg(named_value(Standing::Ended, named)).arg(self.lasts());
        if self.link.ask::<i64>(&finish, Effect::Write).await.is_some() {
            claim.done();
        }
    }

    fn lasts(&self) -> u64 {
        /// A hundred years: Redis refuses what goes beyond its clock.
        const MOST: u64 = 100 * 365 * 24 * 60 * 60 * 1000;
        milliseconds(self.keep).clamp(1, MOST)
    }

    pub(super) fn health(&self) -> Health {
        self.link.health()
    }

    pub(super) async fn end(&self) {
        self.claims.end().await;
    }
}
