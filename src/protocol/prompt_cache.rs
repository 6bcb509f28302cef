//! Where a request tells the provider's cache of prompts to end a prefix: one pure function for all protocols that can.
//!
//! It knows neither wire formats nor requests. An encoder lays out what it is about to send as [`Slot`]s, in the
//! provider's order, and is told which of them get a mark. A mark is a hint: one that is left out makes the same answer
//! dearer and slower, and is never an error.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::domain::{CacheBreakpoint, ModelFacts, PromptCache, Tokens};

/// What a block adds to a prompt beside its own text, at most.
const TOKENS_AROUND_A_BLOCK: u64 = 16;
/// What a provider itself says about tools, at most.
const TOKENS_ABOUT_TOOLS: u64 = 512;

/// A piece of the prompt behind which a mark may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The part of the prompt that it stands in.
    pub(super) section: Section,
    /// What the caller says about it.
    pub(super) breakpoint: Option<CacheBreakpoint>,
    /// The bytes of its text; none: it is more than text, and how many tokens it has is not known.
    pub(super) bytes: Option<usize>,
    /// Whose mark it can take.
    pub(super) takes: Takes,
}

/// A part of the prompt. They come in this order, and the last two by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// The tools.
    Tools,
    /// The system prompt.
    System,
    /// What the model is told: by the user or by tools.
    Told,
    /// What the model said.
    Said,
}

/// Whose mark a piece can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Anybody's.
    Any,
    /// Only the caller's.
    Callers,
    /// Nobody's.
    None,
    /// Nobody's, because the caller has written one in the provider's own words.
    Marked,
}

/// What a provider's cache can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The most marks in a request.
    pub(super) most: usize,
    /// How long a prefix is kept where nothing is said.
    pub(super) short: Lifetime,
    /// How long it can be kept instead.
    pub(super) long: Lifetime,
    /// How many pieces, counted back from a mark and with its own, are looked at for the end of an earlier prefix.
    pub(super) lookback: usize,
    /// Whether no mark may live longer than one before it.
    pub(super) longest_first: bool,
    /// The shortest prefix that is kept; none: not known.
    pub(super) least: Option<Tokens>,
}

/// How long a prefix is kept from its last use on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// As a time.
    pub(super) length: Duration,
    /// In the provider's words.
    pub(super) word: &'static str,
}

/// A mark. None: for the provider's short lifetime, which need not be said.
pub(super) type Mark = Option<Lifetime>;

/// Which pieces get a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// One for each piece.
    pub(super) marks: Vec<Option<Mark>>,
    /// Of which pieces something that the caller said was left out.
    pub(super) left_out: Vec<(usize, LeftOut)>,
    /// How long the provider is asked to keep something, at most; none: no mark was placed.
    pub(super) ttl: Option<Duration>,
    /// Whether there are marks beside the caller's.
    pub(super) is_automatic: bool,
}

/// What of a caller's breakpoint was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// All of it.
    Breakpoint,
    /// Its lifetime: it got a shorter one.
    Ttl,
}

impl Placement {
    /// The one lifetime that all marks ask for; none: they differ, or ask for none.
    pub(super) fn written_for(&self) -> Option<Duration> {
        let mut marks = self.marks.iter().flatten();
        let first = marks.next()?;
        marks.all(|mark| mark == first).then_some(*first)?.map(|lifetime| lifetime.length)
    }
}

impl LeftOut {
    /// The path of what was left out, where `path` is that of the piece.
    pub(super) fn path(self, path: impl std::fmt::Display) -> String {
        match self {
            Self::Breakpoint => format!("{path}.cache_breakpoint"),
            Self::Ttl => format!("{path}.cache_breakpoint.ttl"),
        }
    }
}

impl Rules {
    /// These rules for a model of which `facts` are known.
    pub(super) fn of(self, facts: Option<&ModelFacts>) -> Self {
        Self { least: facts.and_then(|facts| facts.cached_prompts.least), ..self }
    }

    /// The shortest lifetime that is not shorter than `ttl`, else the longest.
    fn lifetime(&self, ttl: Duration) -> Lifetime {
        if ttl <= self.short.length { self.short } else { self.long }
    }

    fn length(&self, mark: Mark) -> Duration {
        mark.unwrap_or(self.short).length
    }
}

/// Which of `slots` get a mark: those that the caller wants, in order, then those that are of most use.
pub(super) fn place(slots: &[Slot], rules: &Rules, wish: PromptCache) -> Placement {
    let mut placing = Placing { slots, rules, placed: Placement::default() };
    placing.placed.marks = vec![None; slots.len()];
    placing.callers();
    // Who writes marks in the provider's own words decides about all of them.
    if wish.is_automatic() && slots.iter().all(|slot| slot.takes != Takes::Marked) {
        placing.automatic(wish.ttl);
    }
    let lengths = placing.placed.marks.iter().flatten().map(|mark| rules.length(*mark));
    placing.placed.ttl = lengths.max();
    placing.placed
}

struct Placing<'a> {
    slots: &'a [Slot],
    rules: &'a Rules,
    placed: Placement,
}

impl Placing<'_> {
    /// The caller's marks. One that would outlive an earlier one gets that one's lifetime: the request would be refused
    /// otherwise, and the other way round it would cost more than was asked for.
    fn callers(&mut self) {
        let own = self.slots.iter().filter(|slot| slot.takes == Takes::Marked).count();
        let mut free = self.rules.most.saturating_sub(own);
        let mut shortest: Option<Mark> = None;
        for (at, slot) in self.slots.iter().enumerate() {
            let Some(breakpoint) = slot.breakpoint else { continue };
            if free == 0 || !matches!(slot.takes, Takes::Any | Takes::Callers) {
                self.placed.left_out.push((at, LeftOut::Breakpoint));
                continue;
            }
            free -= 1;
            let mut mark = breakpoint.ttl.map(|ttl| self.rules.lifetime(ttl));
            if let Some(earlier) = shortest.filter(|_| self.rules.longest_first)
                && self.rules.length(mark) > self.rules.length(earlier)
            {
                self.placed.left_out.push((at, LeftOut::Ttl));
                mark = earlier;
            }
            shortest = Some(mark);
            self.set(at, mark);
        }
    }

    /// Marks where they are of most use, as long as there is one left: behind all that is sent, so that the next turn
    /// reads it; where the last turn put that mark, if it would not be found otherwise; behind the system prompt and
    /// behind the tools, which other conversations share.
    fn automatic(&mut self, ttl: Option<Duration>) {
        let wanted = ttl.map(|ttl| self.rules.lifetime(ttl));
        let is_turn = |slot: &Slot| matches!(slot.section, Section::Told | Section::Said);
        self.add(self.last(self.slots.len(), is_turn), wanted);
        let before = self.end_of_last_turn();
        if before.is_some_and(|before| !self.finds(before)) {
            self.add(before, wanted);
        }
        self.add(self.last(self.slots.len(), |slot| slot.section == Section::System), wanted);
        self.add(self.last(self.slots.len(), |slot| slot.section == Section::Tools), wanted);
    }

    /// The last piece before `end` that can be marked and is one of these.
    fn last(&self, end: usize, is_one: impl Fn(&Slot) -> bool) -> Option<usize> {
        let before = self.slots.iter().take(end).enumerate();
        before.rev().find(|(_, slot)| slot.takes == Takes::Any && is_one(slot)).map(|(at, _)| at)
    }

    /// Where the last turn's request had its last mark: that request ended before what the model said last.
    fn end_of_last_turn(&self) -> Option<usize> {
        let said = self.slots.iter().rposition(|slot| slot.section == Section::Said)?;
        let begin = self.slots.iter().take(said).rposition(|slot| slot.section != Section::Said)? + 1;
        self.last(begin, |slot| matches!(slot.section, Section::Told | Section::Said))
    }

    /// Whether a prefix that ends at `at` is found from a mark.
    fn finds(&self, at: usize) -> bool {
        let near = self.placed.marks.iter().skip(at).take(self.rules.lookback);
        near.flatten().next().is_some()
    }

    /// One mark more, if there is one left, nothing is there yet, and the prefix may be long enough to be kept.
    fn add(&mut self, at: Option<usize>, wanted: Mark) {
        let Some(at) = at else { return };
        let placed = self.placed.marks.iter().flatten().count();
        let is_free = self.placed.marks.get(at).is_some_and(Option::is_none);
        if placed < self.rules.most && is_free && self.may_be_kept(at) {
            let mark = self.in_order(at, wanted);
            self.set(at, mark);
            self.placed.is_automatic = true;
        }
    }

    /// Whether the prefix up to `at` may have as many tokens as are kept. No text has more tokens than bytes.
    fn may_be_kept(&self, at: usize) -> bool {
        let Some(least) = self.rules.least else { return true };
        let prefix = self.slots.iter().take(at + 1);
        let has_tools = self.slots.first().is_some_and(|slot| slot.section == Section::Tools);
        let mut tokens = if has_tools { TOKENS_ABOUT_TOOLS } else { 0 };
        for slot in prefix {
            let Some(bytes) = slot.bytes.and_then(|bytes| u64::try_from(bytes).ok()) else { return true };
            tokens = tokens.saturating_add(bytes).saturating_add(TOKENS_AROUND_A_BLOCK);
        }
        tokens >= u64::from(least.get())
    }

    /// The lifetime of a mark at `at` that shall have `wanted`, where those before it must not be shorter and those
    /// behind it must not be longer. What lies before a longer one is written for the longer time anyway.
    fn in_order(&self, at: usize, wanted: Mark) -> Mark {
        if !self.rules.longest_first {
            return wanted;
        }
        let length = |mark: &&Mark| self.rules.length(**mark);
        let before = self.placed.marks.iter().take(at).flatten().min_by_key(length).copied();
        let behind = self.placed.marks.iter().skip(at + 1).flatten().max_by_key(length).copied();
        let longer = |mark: Mark, than: Mark| self.rules.length(mark) > self.rules.length(than);
        let raised = behind.filter(|behind| longer(*behind, wanted)).unwrap_or(wanted);
        before.filter(|before| longer(raised, *before)).unwrap_or(raised)
    }

    fn set(&mut self, at: usize, mark: Mark) {
        if let Some(place) = self.placed.marks.get_mut(at) {
            *place = Some(mark);
        }
    }
}
