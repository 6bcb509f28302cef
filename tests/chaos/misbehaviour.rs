//! The ways in which an upstream misbehaves, as a table, and what the contract makes of each.

/// One way to misbehave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Misbehaviour {
    /// Its name.
    pub(crate) name: &'static str,
    /// What A plays, one script for each request; the last one is played from then on.
    pub(crate) scripts: &'static [&'static str],
    /// What each attempt that meets it ends with.
    pub(crate) effect: Effect,
}

/// What an attempt ends with that meets a misbehaviour, and so what may be tried after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It answers, late.
    Late,
}
