//! The ways in which an upstream misbehaves, as a table, and what the contract makes of each of them.

use std::time::Duration;

use crate::pair::Peer;
use crate::way::Way;

/// One way to misbehave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Misbehaviour {
    /// Its name.
    pub(crate) name: &'static str,
    /// What A plays, for each of its first requests.
    pub(crate) first: &'static [&'static str],
    /// What it plays after that; empty: it is well again.
    pub(crate) then: &'static str,
    /// What an attempt ends with that meets it before anything has left for the caller; empty: it answers.
    pub(crate) reason: &'static str,
    /// What a stream ends with of which a part has left; none: by then nothing has left.
    pub(crate) after_content: Option<&'static str>,
    /// When A may be asked again in the same call.
    pub(crate) again: Again,
}

/// When an endpoint may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// After the usual pause.
    Soon,
    /// After so many seconds, as it asked.
    After(u64),
    /// Not in this call.
    Never,
}

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The requests that A receives. All but the last fail, and the last one too where A does not answer.
    pub(crate) a: usize,
    /// The requests that B receives.
    pub(crate) b: usize,
    /// What the caller sees.
    pub(crate) end: End,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A answers.
    A,
    /// B answers.
    B,
    /// It fails before anything of an answer.
    Refused(&'static str),
    /// It fails after a part of the answer.
    Broken(&'static str),
}

/// `retry.max_attempts` as it comes.
const MAX_ATTEMPTS: usize = 4;
/// The longest wait for which another target is not asked first, in seconds.
const SHORT_HINT: u64 = 5;

impl Misbehaviour {
    /// What the contract says about a call in this way when B is well.
    pub(crate) fn expected(&self, way: Way, peer: Peer) -> Expected {
        if self.reason.is_empty() {
            return Expected { a: 1, b: 0, end: End::A };
        }
        let broken = self.after_content.filter(|_| way.streams());
        if let (Some(reason), Way::Stream) = (broken, way) {
            return Expected { a: 1, b: 0, end: End::Broken(reason) };
        }
        // How often A is asked before somebody else is, or nobody. What has broken begins anew on another target.
        let most = match (peer, self.again) {
            _ if broken.is_some() => 1,
            (Peer::Equal | Peer::Drawn, _) | (_, Again::Never) => 1,
            (Peer::Next, Again::After(seconds)) if seconds > SHORT_HINT => 1,
            (Peer::Next, _) => 2,
            (Peer::None, Again::After(seconds)) if Duration::from_secs(seconds) > crate::way::DEADLINE => 1,
            (Peer::None, _) => MAX_ATTEMPTS,
        };
        let failures = if self.then.is_empty() { self.first.len() } else { usize::MAX };
        if failures < most {
            return Expected { a: failures + 1, b: 0, end: End::A };
        }
        match (peer, broken) {
            (Peer::None, Some(reason)) => Expected { a: most, b: 0, end: End::Broken(reason) },
            (Peer::None, None) => Expected { a: most, b: 0, end: End::Refused(self.reason) },
            _ => Expected { a: most, b: 1, end: End::B },
        }
    }

    /// What a failure says about how long to wait; none: it says that trying again cannot help, or nothing.
    pub(crate) fn hint(&self) -> Option<Duration> {
        match self.again {
            Again::After(seconds) => Some(Duration::from_secs(seconds)),
            Again::Soon | Again::Never => None,
        }
    }
}

const LIMITED: &str = "PROVIDER_RATE_LIMITED";
const DOWN: &str = "PROVIDER_UNAVAILABLE";
const SLOW: &str = "PROVIDER_TIMEOUT";
const STRANGE: &str = "PROVIDER_PROTOCOL_ERROR";
const INTERRUPTED: Option<&str> = Some("STREAM_INTERRUPTED");

const fn always(name: &'static str, then: &'static str, reason: &'static str) -> Misbehaviour {
    Misbehaviour { name, first: &[], then, reason, after_content: None, again: Again::Soon }
}

const fn at_first(name: &'static str, first: &'static [&'static str], reason: &'static str) -> Misbehaviour {
    Misbehaviour { name, first, then: "", reason, after_content: None, again: Again::Soon }
}

impl Misbehaviour {
    const fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }

    const fn midway(self, after_content: Option<&'static str>) -> Self {
        Self { after_content, ..self }
    }
}

/// All of them. What comes in mid-stream comes behind the seventh frame, when something of the answer has left.
pub(crate) const TABLE: &[Misbehaviour] = &[
    always("nothing", "", ""),
    always("the first token late", "first_event=400ms", ""),
    always("429", "error=429", LIMITED),
    at_first("429 once", &["error=429"], LIMITED),
    at_first("429 once, Retry-After in seconds", &["error=429 retry_after=1"], LIMITED).again(Again::After(1)),
    at_first("429 once, Retry-After as a date", &["error=429 retry_after=date:2"], LIMITED).again(Again::After(2)),
    at_first("429 once, retry-after-ms", &["error=429 retry_after_ms=200"], LIMITED).again(Again::After(0)),
    always("429, Retry-After past the deadline", "error=429 retry_after=25", LIMITED).again(Again::After(25)),
    always("429, Retry-After beyond all patience", "error=429 retry_after=90", LIMITED).again(Again::After(90)),
    always("429, limits that reset in a minute", "error=429 left=0", LIMITED).again(Again::After(60)),
    always("429, x-should-retry: false", "error=429 no_retry", LIMITED).again(Again::Never),
    at_first("500 once", &["error=500"], DOWN),
    always("500", "error=500", DOWN),
    always("503", "error=503", DOWN),
    at_first("503 once, Retry-After in seconds", &["error=503 retry_after=1"], DOWN).again(Again::After(1)),
    always("529", "error=529", DOWN),
    always("502 without a body", "status=502", DOWN),
    always("502 with a web page", "html", DOWN),
    at_first("reset before the head once", &["reset_before_head"], DOWN),
    always("reset before the head", "reset_before_head", DOWN),
    // A reset takes what was not read yet with it, so what comes before it comes slowly.
    always("reset in mid-stream", "reset_after=6 pace=20ms", DOWN).midway(INTERRUPTED),
    at_first("cut in mid-stream once", &["cut_after=6"], DOWN).midway(INTERRUPTED),
    always("cut in mid-stream", "cut_after=6", DOWN).midway(INTERRUPTED),
    always("the end mark is missing", "no_end", DOWN).midway(INTERRUPTED),
    always("stall in mid-stream", "stall_after=6", SLOW).midway(INTERRUPTED).again(Again::Never),
    always("stall before the first block", "stall_after=1", SLOW).again(Again::Never),
    always("silence", "silence", SLOW).again(Again::Never),
    always("the first token too late", "first_event=1m", SLOW).again(Again::Never),
    always("a malformed first frame", "malformed_after=0", STRANGE),
    always("a malformed frame in mid-stream", "malformed_after=6", STRANGE).midway(Some(STRANGE)),
    always("a web page with 200", "html=200", STRANGE),
    always("an error body with 200", "error_body_200", DOWN),
    always("an error body with 200, rate limited", "error_body_200 type=rate_limit", LIMITED),
    always("an error in mid-stream", "error_after=6", DOWN).midway(Some(DOWN)),
    at_first("flapping", &["error=503", "reset_before_head", "error=500"], DOWN),
];
