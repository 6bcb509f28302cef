//! Which part of a list is seen, and how it moves.

use super::screen::Scroll;

/// A list of `all` rows of which a screen shows `seen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) all: usize,
    pub(crate) seen: usize,
}

impl Rows {
    /// The first row of the last screen: beyond it there is nothing to scroll to.
    pub(crate) fn last_top(self) -> usize {
        self.all.saturating_sub(self.seen)
    }

    /// The first row that is seen, after the list was moved from `top`.
    pub(crate) fn scrolled(self, top: usize, scroll: Scroll) -> usize {
        let last = self.last_top();
        let top = top.min(last);
        let page = self.seen.max(1);
        match scroll {
            Scroll::Up => top.saturating_sub(1),
            Scroll::Down => top.saturating_add(1),
            Scroll::PageUp => top.saturating_sub(page),
            Scroll::PageDown => top.saturating_add(page),
            Scroll::Top => 0,
            Scroll::Bottom => last,
        }
        .min(last)
    }

    /// `3 to 12 of 40` from `top` on; none where all are seen.
    pub(crate) fn told(self, top: usize) -> Option<String> {
        let last = self.all.min(top.saturating_add(self.seen));
        (self.all > self.seen).then(|| format!("{} to {last} of {}", self.all.min(top.saturating_add(1)), self.all))
    }
}
