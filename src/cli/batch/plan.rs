//! Which items a batch has and where the result of each is: 24 bytes for each, and nothing of what is in them.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::lines::{Kind, Lines};

/// The items of an input, in its order.
#[derive(Debug)]
pub(super) struct Plan {
    items: Vec<Planned>,
    left: usize,
}

/// One item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    /// The number of its line.
    pub(super) line: u64,
    /// The hash of its line.
    pub(super) hash: u64,
    /// Where its result is in the journal. 0, where no result can be: it has none.
    result: u64,
}

impl Planned {
    /// Where its result is in the journal.
    pub(super) fn result(&self) -> Option<u64> {
        Some(self.result).filter(|at| *at != 0)
    }
}

/// A result whose line is not there any more, or is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// The number of the line.
    pub(super) line: u64,
}

impl Plan {
    /// Reads the input once, to its end.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn survey(input: &Path) -> io::Result<Self> {
        let mut lines = Lines::new(BufReader::with_capacity(1 << 16, File::open(input)?), 1, 0);
        let mut items = Vec::new();
        while let Some(line) = lines.next(None)? {
            if line.kind != Kind::Blank {
                items.push(Planned { line: line.number, hash: line.hash, result: 0 });
            }
        }
        let left = items.len();
        Ok(Self { items, left })
    }

    pub(super) fn items(&self) -> &[Planned] {
        &self.items
    }

    /// Items without a result.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Notes where the result of a line is. True: it had none before.
    ///
    /// # Errors
    /// The input has no such line.
    pub(super) fn settle(&mut self, line: u64, hash: u64, at: u64) -> Result<bool, Changed> {
        let found = self.items.binary_search_by_key(&line, |item| item.line).ok();
        let item = found.and_then(|index| self.items.get_mut(index)).filter(|item| item.hash == hash);
        let item = item.ok_or(Changed { line })?;
        let first = item.result == 0;
        item.result = at;
        self.left = self.left.saturating_sub(usize::from(first));
        Ok(first)
    }
}
