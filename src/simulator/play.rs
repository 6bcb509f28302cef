//! An answer as a sequence of steps: what every wire format puts into frames of its own.

use super::answer::Answer;
use super::text::Cursor;

/// A step of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// The answer begins.
    Start,
    /// A part begins.
    Open(usize),
    /// A part grows by one token.
    Token(usize, &'a str),
    /// A part has all that it will have; what vouches for it may come now.
    Seal(usize),
    /// A part is done.
    Close(usize),
    /// Why the answer ended.
    Finish,
    /// What it used.
    Usage,
    /// Nothing follows.
    Done,
}

/// A place in an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Place {
    #[default]
    Start,
    Open(usize),
    Within(usize, Cursor),
    Close(usize),
    Finish,
    Usage,
    Done,
    Over,
}

impl Place {
    /// The step at this place of `answer`, and the place behind it.
    pub(super) fn step<'a>(&mut self, answer: &'a Answer) -> Option<Step<'a>> {
        let part_or_end = |part: usize| if part < answer.parts.len() { Self::Open(part) } else { Self::Finish };
        let (step, next) = match *self {
            Self::Start => (Step::Start, part_or_end(0)),
            Self::Open(part) => (Step::Open(part), Self::Within(part, Cursor::default())),
            Self::Within(part, mut cursor) => {
                match answer.parts.get(part).and_then(|part| part.text.next(&mut cursor)) {
                    Some(token) => (Step::Token(part, token), Self::Within(part, cursor)),
                    None => (Step::Seal(part), Self::Close(part)),
                }
            }
            Self::Close(part) => (Step::Close(part), part_or_end(part + 1)),
            Self::Finish => (Step::Finish, Self::Usage),
            Self::Usage => (Step::Usage, Self::Done),
            Self::Done => (Step::Done, Self::Over),
            Self::Over => return None,
        };
        *self = next;
        Some(step)
    }
}
