//! What was said so far in an answer, for readers who come when they like.
//!
//! Neighbouring pieces of one block are joined, so that it takes about as much memory as the answer itself, however small
//! the pieces were and however far its readers are behind.

use crate::domain::{Delta, Event, TokenLogprob, Usage};

/// The most that one piece has, in bytes.
const PIECE: usize = 16 * 1024;
/// What an event takes that is no piece of text, in bytes: about.
const EVENT: usize = 128;

/// Events, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    /// The latest usage, and how many there were: older ones are void.
    usage: Option<(u64, Usage)>,
    bytes: usize,
}

#[derive(Debug)]
enum Entry {
    Event(Event),
    Text { index: u32, kind: Kind, text: String },
}

/// What a text is a piece of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    ToolInput,
}

impl Kind {
    fn delta(self, text: &str) -> Delta {
        match self {
            Self::Text => Delta::Text(text.to_owned()),
            Self::Reasoning => Delta::Reasoning(text.to_owned()),
            Self::ToolInput => Delta::ToolInput(text.to_owned()),
        }
    }
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    entry: usize,
    /// Within a text, in bytes.
    offset: usize,
    usages: u64,
    /// All that was read, in bytes.
    bytes: usize,
}

impl Cursor {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Log {
    /// All that was said, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, event: Event) {
        let event = match event {
            Event::Usage(usage) => {
                let count = self.usage.as_ref().map_or(0, |(count, _)| *count);
                self.usage = Some((count + 1, usage));
                return;
            }
            Event::BlockDelta { index, delta, logprobs } if logprobs.is_empty() => match text(delta) {
                Ok((kind, text)) => return self.grow(index, kind, text),
                Err(delta) => Event::delta(index, delta),
            },
            event => event,
        };
        self.bytes += size(&event);
        self.entries.push(Entry::Event(event));
    }

    fn grow(&mut self, index: u32, kind: Kind, more: String) {
        self.bytes += more.len();
        match self.entries.last_mut() {
            Some(Entry::Text { index: last, kind: same, text }) if *last == index && *same == kind => {
                text.push_str(&more);
            }
            _ => self.entries.push(Entry::Text { index, kind, text: more }),
        }
    }

    /// The next event for a reader; none: there is nothing new for it.
    pub(super) fn read(&self, cursor: &mut Cursor) -> Option<Event> {
        while let Some(entry) = self.entries.get(cursor.entry) {
            match entry {
                Entry::Event(event) => {
                    // The latest usage stands before the end, however it came.
                    if matches!(event, Event::Completed(_))
                        && let Some(usage) = self.fresh_usage(cursor)
                    {
                        return Some(usage);
                    }
                    cursor.entry += 1;
                    cursor.bytes += size(event);
                    return Some(event.clone());
                }
                Entry::Text { index, kind, text } => {
                    let rest = text.get(cursor.offset..).unwrap_or_default();
                    if !rest.is_empty() {
                        let piece = beginning(rest);
                        cursor.offset += piece.len();
                        cursor.bytes += piece.len();
                        return Some(Event::delta(*index, kind.delta(piece)));
                    }
                    if cursor.entry + 1 == self.entries.len() {
                        // It may still grow.
                        break;
                    }
                    cursor.entry += 1;
                    cursor.offset = 0;
                }
            }
        }
        // Before its start an answer has nothing to tell.
        if cursor.entry == 0 { None } else { self.fresh_usage(cursor) }
    }

    fn fresh_usage(&self, cursor: &mut Cursor) -> Option<Event> {
        let (count, usage) = self.usage.as_ref().filter(|(count, _)| *count > cursor.usages)?;
        cursor.usages = *count;
        Some(Event::Usage(usage.clone()))
    }

    /// All of it, from the beginning.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        let mut cursor = Cursor::default();
        std::iter::from_fn(move || self.read(&mut cursor))
    }
}

/// The beginning of a text, no longer than a piece.
fn beginning(text: &str) -> &str {
    let end = (0..=PIECE.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// A piece of text that can be joined with others.
fn text(delta: Delta) -> Result<(Kind, String), Delta> {
    match delta {
        Delta::Text(text) => Ok((Kind::Text, text)),
        Delta::Reasoning(text) => Ok((Kind::Reasoning, text)),
        Delta::ToolInput(text) => Ok((Kind::ToolInput, text)),
        other => Err(other),
    }
}

/// What an event takes, about.
fn size(event: &Event) -> usize {
    match event {
        Event::BlockDelta { delta: Delta::Audio(bytes), .. } => EVENT + bytes.len(),
        Event::BlockDelta {
            delta: Delta::Text(text) | Delta::Reasoning(text) | Delta::ToolInput(text),
            logprobs,
            ..
        } => EVENT + text.len() + logprobs.iter().map(TokenLogprob::footprint).sum::<usize>(),
        _ => EVENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Block, ModelId, ProviderId, Started};

    fn said(events: impl IntoIterator<Item = Event>) -> Log {
        let mut log = Log::default();
        log.push(Event::Started(Started::new(ProviderId::new("p"), ModelId::new("m"))));
        log.push(Event::BlockStarted { index: 0, block: Box::new(Block::text("")) });
        events.into_iter().for_each(|event| log.push(event));
        log
    }

    fn piece(text: &str) -> Event {
        Event::delta(0, Delta::Text(text.to_owned()))
    }

    #[test]
    fn a_reader_gets_what_is_new_and_one_that_comes_late_gets_all() {
        let mut log = said([piece("one ")]);
        let mut early = Cursor::default();
        while log.read(&mut early).is_some() {}
        log.push(piece("two "));
        log.push(piece("three"));
        assert_eq!(log.read(&mut early), Some(piece("two three")));
        assert_eq!(log.read(&mut early), None);
        let all: Vec<_> = log.events().collect();
        assert_eq!(all.last(), Some(&piece("one two three")));
        assert_eq!(all.len(), 3);
        assert_eq!(early.bytes(), log.bytes());
    }

    #[test]
    fn a_long_text_comes_in_pieces_that_are_text() {
        let long = "ä".repeat(PIECE);
        let log = said([piece(&long)]);
        let pieces = log.events().filter_map(|event| match event {
            Event::BlockDelta { delta: Delta::Text(text), .. } => Some(text),
            _ => None,
        });
        let pieces: Vec<_> = pieces.collect();
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces.concat(), long);
    }

    #[test]
    fn only_the_latest_usage_is_told() {
        let mut log = said([piece("one")]);
        for _ in 0..1000 {
            log.push(Event::Usage(Usage::default()));
            log.push(piece("."));
        }
        assert_eq!(log.entries.len(), 3, "usage keeps no pieces apart");
        let usages = log.events().filter(|event| matches!(event, Event::Usage(_))).count();
        assert_eq!(usages, 1);
    }
}
