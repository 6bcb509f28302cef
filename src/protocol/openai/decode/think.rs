//! Reasoning that stands in the text, between `<think>` and `</think>`, from servers that do not take it out.

const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

/// Tells reasoning from text, however the tags are cut.
#[derive(Debug)]
pub(super) enum Splitter {
    /// Nothing but white space or the beginning of an opening tag has come; this is it.
    Undecided(String),
    /// Within the tags; held is what may be the beginning of the closing one.
    Inside(String),
    /// Behind the closing tag, where line ends belong to it.
    Behind,
    /// All that comes is text.
    Text,
}

/// A piece, told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Text(String),
    Reasoning(String),
}

impl Splitter {
    pub(super) const fn new(looks: bool) -> Self {
        if looks { Self::Undecided(String::new()) } else { Self::Text }
    }

    /// Whether text goes through untouched from now on.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Text)
    }

    /// The server tells reasoning apart by itself: tags in its text are text.
    pub(super) fn stop(&mut self) -> Option<Told> {
        let held = self.rest();
        *self = Self::Text;
        held
    }

    /// Takes a piece of text and says what is certain so far.
    pub(super) fn push(&mut self, piece: &str) -> Vec<Told> {
        let mut told = Vec::new();
        match std::mem::replace(self, Self::Text) {
            Self::Undecided(held) => self.undecided(held + piece, &mut told),
            Self::Inside(held) => self.inside(&(held + piece), &mut told),
            Self::Behind => self.behind(piece, &mut told),
            Self::Text => told.push(Told::Text(piece.to_owned())),
        }
        told
    }

    /// What is held when nothing more comes.
    pub(super) fn rest(&mut self) -> Option<Told> {
        match std::mem::replace(self, Self::Text) {
            Self::Undecided(held) if !held.is_empty() => Some(Told::Text(held)),
            Self::Inside(held) if !held.is_empty() => Some(Told::Reasoning(held)),
            _ => None,
        }
    }

    fn undecided(&mut self, held: String, told: &mut Vec<Told>) {
        let begun = held.trim_start();
        if let Some(inside) = begun.strip_prefix(OPENING) {
            self.inside(inside.trim_start_matches('\n'), told);
        } else if OPENING.starts_with(begun) && held.len() < 64 {
            *self = Self::Undecided(held);
        } else {
            told.push(Told::Text(held));
        }
    }

    fn inside(&mut self, piece: &str, told: &mut Vec<Told>) {
        if let Some((reasoning, behind)) = piece.split_once(CLOSING) {
            push_reasoning(reasoning.trim_end_matches('\n'), told);
            self.behind(behind, told);
            return;
        }
        let held = (1..CLOSING.len())
            .rev()
            .find(|length| CLOSING.get(..*length).is_some_and(|beginning| piece.ends_with(beginning)));
        let (certain, held) = piece.split_at(piece.len() - held.unwrap_or(0));
        push_reasoning(certain, told);
        *self = Self::Inside(held.to_owned());
    }

    fn behind(&mut self, piece: &str, told: &mut Vec<Told>) {
        let text = piece.trim_start_matches('\n');
        *self = if text.is_empty() { Self::Behind } else { Self::Text };
        if !text.is_empty() {
            told.push(Told::Text(text.to_owned()));
        }
    }
}

fn push_reasoning(text: &str, told: &mut Vec<Told>) {
    if !text.is_empty() {
        told.push(Told::Reasoning(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let mut splitter = Splitter::new(true);
        let mut told: Vec<_> = pieces.iter().flat_map(|piece| splitter.push(piece)).collect();
        told.extend(splitter.rest());
        let (mut reasoning, mut text) = (String::new(), String::new());
        for piece in told {
            match piece {
                Told::Reasoning(piece) => reasoning += &piece,
                Told::Text(piece) => text += &piece,
            }
        }
        (reasoning, text)
    }

    #[test]
    fn reasoning_is_found_at_the_beginning_and_nowhere_else() {
        let cases = [
            ("<think>plan</think>answer", "plan", "answer"),
            ("\n<think>a < b </t</think>\n\nanswer\n", "a < b </t", "answer\n"),
            ("<think></think>answer", "", "answer"),
            ("<think>never closed </th", "never closed </th", ""),
            ("the tag <think> is text", "", "the tag <think> is text"),
            ("<thing>", "", "<thing>"),
            ("<thin", "", "<thin"),
            ("  indented", "", "  indented"),
            ("", "", ""),
            ("<think>é</think>日", "é", "日"),
        ];
        for (text, reasoning, answer) in cases {
            let whole = split(&[text]);
            let chars: Vec<String> = text.chars().map(String::from).collect();
            let cut = split(&chars.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(whole, (reasoning.to_owned(), answer.to_owned()), "{text:?}");
            assert_eq!(cut.1, answer, "{text:?} cut");
            assert_eq!(cut.0.trim_end_matches('\n'), reasoning, "{text:?} cut");
        }
    }
}
