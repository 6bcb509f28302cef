//! Why a batch ends before its output is there, and what can be done.

use std::io;
use std::path::Path;

use super::journal::Unusable;
use super::plan::Changed;
use crate::cli::{Exit, tell, usage};

/// Why a batch ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The command has to be another one.
    Usage(String),
    /// It cannot go on.
    Failed(String),
    /// The server has been away for too long.
    Unreachable(String),
    /// Somebody said so.
    Interrupted,
    /// It was told already.
    Told(Exit),
    /// The input's line is not that of which the journal has the result.
    Changed(Changed),
    /// The journal cannot be used.
    Journal(Unusable),
}

impl From<Changed> for Stop {
    fn from(changed: Changed) -> Self {
        Self::Changed(changed)
    }
}

impl From<Unusable> for Stop {
    fn from(unusable: Unusable) -> Self {
        Self::Journal(unusable)
    }
}

impl Stop {
    /// A file that cannot be read or written.
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    /// Tells it. `kept` is how many results are in the journal, where that is known.
    pub(super) fn tell(self, input: &Path, journal: &Path, kept: Option<u64>) -> Exit {
        let (input, journal) = (input.display(), journal.display());
        let exit = match self {
            Self::Usage(what) => usage(&what),
            Self::Told(exit) => return exit,
            Self::Changed(Changed { line }) => {
                tell(format_args!(
                    "line {line} of {input} is not the one whose result is in {journal}: the input was changed since. \
                     Put the old input back to go on, or delete {journal} to ask everything anew"
                ));
                return Exit::Failed;
            }
            Self::Journal(Unusable::Taken) => {
                tell(format_args!("{journal} belongs to a batch that runs right now"));
                return Exit::Failed;
            }
            Self::Journal(Unusable::Foreign) => {
                tell(format_args!("{journal} is no journal of a batch; delete it, or take another output"));
                return Exit::Failed;
            }
            Self::Journal(Unusable::Broken(error)) => {
                tell(format_args!("{journal}: {error}"));
                Exit::Failed
            }
            Self::Failed(what) => {
                tell(what);
                Exit::Failed
            }
            Self::Unreachable(what) => {
                tell(what);
                Exit::Unreachable
            }
            Self::Interrupted => Exit::Interrupted,
        };
        if let Some(kept) = kept {
            tell(format_args!("{kept} results are kept in {journal}: the same command goes on from there"));
        }
        exit
    }
}
