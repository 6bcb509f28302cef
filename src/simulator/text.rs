//! Text that is never held whole twice: tokens of given words, then made-up words, each made when it is asked for.

/// Words for answers that only have to be long.
const WORDS: [&str; 32] = [
    " simulated",
    " words",
    " follow",
    " one",
    " another",
    " without",
    " any",
    " meaning",
    " so",
    " that",
    " a",
    " client",
    " can",
    " be",
    " tried",
    " against",
    " an",
    " answer",
    " of",
    " every",
    " length",
    " and",
    " at",
    " every",
    " pace",
    " while",
    " no",
    " model",
    " is",
    " asked",
    " at",
    " all",
];

/// The most characters of a token.
const TOKEN_CHARS: usize = 8;

/// A text in tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    given: String,
    seed: u64,
    /// How many made-up words follow what is given.
    made_up: u32,
    /// Where it ends, in bytes; none: where its words end.
    bytes: Option<usize>,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    given: usize,
    made_up: u32,
    sent: usize,
}

/// How far a text goes after its bounds were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Its tokens.
    pub(super) tokens: u32,
    /// The bound on tokens cut it.
    pub(super) cut: bool,
    /// The stop sequence that ended it.
    pub(super) stopped_by: Option<String>,
}

impl Text {
    /// Exactly these words.
    pub(super) fn given(text: impl Into<String>) -> Self {
        Self { given: text.into(), ..Self::default() }
    }

    /// `intro`, cut or followed by made-up words, so that it has exactly `tokens` tokens.
    pub(super) fn long(intro: impl Into<String>, tokens: u32, seed: u64) -> Self {
        let mut text = Self::given(intro);
        let given = text.bound(tokens, &[]).tokens;
        Self { made_up: tokens.saturating_sub(given), seed, ..text }
    }

    /// The next token; none at the end.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<&str> {
        let token = match self.given.get(cursor.given..).filter(|rest| !rest.is_empty()) {
            Some(rest) => {
                let token = first_token(rest);
                cursor.given += token.len();
                token
            }
            None if cursor.made_up < self.made_up => {
                cursor.made_up += 1;
                word(self.seed, cursor.made_up)
            }
            None => return None,
        };
        let left = self.bytes.map_or(token.len(), |bytes| bytes.saturating_sub(cursor.sent).min(token.len()));
        cursor.sent += left;
        token.get(..left).filter(|token| !token.is_empty())
    }

    /// Ends it after at most `tokens` tokens and before the first of `stops`.
    pub(super) fn bound(&mut self, tokens: u32, stops: &[String]) -> Extent {
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let mut extent = Extent::default();
        let (mut cursor, mut tail) = (Cursor::default(), String::new());
        loop {
            let before = cursor.sent;
            let Some(token) = self.next(&mut cursor) else { return extent };
            if extent.tokens == tokens {
                extent.cut = true;
                self.bytes = Some(before);
                return extent;
            }
            extent.tokens += 1;
            tail.push_str(token);
            if let Some((place, stop)) = first_stop(&tail, stops) {
                extent.stopped_by = Some(stop.to_owned());
                self.bytes = Some(cursor.sent - tail.len() + place);
                return extent;
            }
            keep_end(&mut tail, longest);
        }
    }

    /// All of it in one piece.
    pub(super) fn whole(&self) -> String {
        let (mut cursor, mut whole) = (Cursor::default(), String::new());
        while let Some(token) = self.next(&mut cursor) {
            whole.push_str(token);
        }
        whole
    }
}

/// White space and what follows it, up to [`TOKEN_CHARS`] characters or the next white space.
fn first_token(text: &str) -> &str {
    let mut in_word = false;
    for (chars, (place, char)) in text.char_indices().enumerate() {
        if chars == TOKEN_CHARS || (in_word && char.is_whitespace()) {
            return text.get(..place).unwrap_or(text);
        }
        in_word |= !char.is_whitespace();
    }
    text
}

/// The word at a place of a made-up text.
fn word(seed: u64, place: u32) -> &'static str {
    let step = seed % 7 * 2 + 1;
    let at = seed.wrapping_add(u64::from(place).wrapping_mul(step)) % 32;
    usize::try_from(at).ok().and_then(|at| WORDS.get(at)).copied().unwrap_or(" and")
}

/// The earliest stop sequence in a text.
fn first_stop<'a>(text: &str, stops: &'a [String]) -> Option<(usize, &'a str)> {
    let found = stops.iter().filter(|stop| !stop.is_empty());
    found
        .filter_map(|stop| text.find(stop.as_str()).map(|place| (place, stop.as_str())))
        .min_by_key(|(place, _)| *place)
}

/// Forgets all but the last `bytes` bytes, or a little more where a character would be cut.
fn keep_end(text: &mut String, bytes: usize) {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    text.drain(..from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_join_to_the_text() {
        for text in ["", "one", "one two  three\n\nfour", "日本語のとても長い文です。", "incomprehensibilities", "   "]
        {
            assert_eq!(Text::given(text).whole(), text);
        }
    }

    #[test]
    fn a_long_text_has_exactly_its_tokens() {
        for tokens in [0, 1, 3, 5, 500] {
            let mut text = Text::long("an intro of five tokens", tokens, 42);
            let extent = text.bound(u32::MAX, &[]);
            assert_eq!((extent.tokens, extent.cut), (tokens, false));
        }
    }

    #[test]
    fn a_stop_sequence_ends_it_wherever_tokens_are_cut() {
        let stops = |all: &[&str]| all.iter().map(|stop| (*stop).to_owned()).collect::<Vec<_>>();
        for (given, all, whole, stopped_by) in [
            ("a STOP b", &["STOP"][..], "a ", Some("STOP")),
            ("a STOP b", &["b", "STOP"], "a ", Some("STOP")),
            ("one two three", &["two th"], "one ", Some("two th")),
            ("incomprehensibilities", &["hensibil"], "incompre", Some("hensibil")),
            ("naïve 日本語 🙂 text", &["語 🙂"], "naïve 日本", Some("語 🙂")),
            ("STOP", &["STOP"], "", Some("STOP")),
            ("a b", &["c", ""], "a b", None),
        ] {
            let mut text = Text::given(given);
            let extent = text.bound(100, &stops(all));
            assert_eq!((text.whole().as_str(), extent.stopped_by.as_deref()), (whole, stopped_by), "{given:?} {all:?}");
        }
    }

    #[test]
    fn the_bound_on_tokens_cuts_only_what_is_longer() {
        let mut text = Text::given("one two three");
        assert_eq!(text.clone().bound(3, &[]), Extent { tokens: 3, cut: false, stopped_by: None });
        assert_eq!(text.bound(2, &[]), Extent { tokens: 2, cut: true, stopped_by: None });
        assert_eq!(text.whole(), "one two");
    }
}
