//! What is taken out of text before it leaves: addresses, numbers of cards and telephones, keys, and what the
//! configuration adds. It knows neither requests nor spans.
//!
//! Every expression is matched in time linear in the text, whatever the text is. What is taken out is replaced by the name
//! of its kind, so that a reader sees that something stood there.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};
use serde_json::Value;

/// What one expression of the configuration may take when it is compiled, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

const KEY: &str = "[key]";
const EMAIL: &str = "[e-mail]";
const CARD: &str = "[card]";
const PHONE: &str = "[phone]";
const OWN: &str = "[redacted]";

/// An expression of the configuration.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl std::str::FromStr for Pattern {
    type Err = regex::Error;

    /// Reads an expression in the syntax of Rust's `regex`: no look-around and no back-references.
    fn from_str(text: &str) -> Result<Self, regex::Error> {
        RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().map(Self)
    }
}

/// What is taken out. Clones share their expressions.
#[derive(Clone, Debug, Default)]
pub(super) struct Redaction(Vec<Pattern>);

impl Redaction {
    /// The built-in kinds, and what `own` matches.
    pub(super) const fn new(own: Vec<Pattern>) -> Self {
        Self(own)
    }

    /// `text` without what is taken out.
    pub(super) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        // First, as they speak of the text as it is.
        for pattern in &self.0 {
            replace(&mut text, &pattern.0, |_| Some(OWN));
        }
        for keys in KEYS.iter() {
            replace(&mut text, keys, |_| Some(KEY));
        }
        if let Some(emails) = EMAILS.as_ref() {
            replace(&mut text, emails, |_| Some(EMAIL));
        }
        if let Some(runs) = RUNS.as_ref()
            && let Cow::Owned(without) = runs.replace_all(&text, |found: &Captures<'_>| {
                without_cards(found.get(0).map_or("", |whole| whole.as_str()))
            })
        {
            text = Cow::Owned(without);
        }
        for phones in PHONES.iter() {
            replace(&mut text, phones, |found| is_phone(found).then_some(PHONE));
        }
        text
    }

    /// The same for every name, text and number in `value`.
    pub(super) fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text).into_owned()),
            Value::Number(number) => {
                let text = number.to_string();
                match self.text(&text) {
                    Cow::Owned(without) => Value::String(without),
                    Cow::Borrowed(_) => Value::Number(number),
                }
            }
            Value::Array(values) => values.into_iter().map(|value| self.json(value)).collect(),
            Value::Object(fields) => {
                let clean = fields.into_iter().map(|(name, value)| (self.text(&name).into_owned(), self.json(value)));
                Value::Object(clean.collect())
            }
            other @ (Value::Null | Value::Bool(_)) => other,
        }
    }
}

/// Replaces what `pattern` finds; `by` says by what, and nothing where it stays.
fn replace(text: &mut Cow<'_, str>, pattern: &Regex, by: impl Fn(&str) -> Option<&'static str>) {
    let replaced = pattern.replace_all(text, |found: &Captures<'_>| {
        let found = found.get(0).map_or("", |whole| whole.as_str());
        by(found).map_or_else(|| found.to_owned(), str::to_owned)
    });
    if let Cow::Owned(without) = replaced
        && without != **text
    {
        *text = Cow::Owned(without);
    }
}

/// Keys: after a word that announces one, or by a shape that their issuers have given them.
static KEYS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    compiled(&[
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}",
        r#"(?i)\b(?:[a-z]+[_-])*(?:api[_-]?key|authorization|password|passwd|secret|token|credential)s?["']?\s*[:=]\s*["']?[^\s"',;]{6,}"#,
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        // A short word, a separator, and what nobody would write otherwise.
        r"\b(?:sk|pk|rk|key|api|pat)[-_][A-Za-z0-9_-]{16,}",
        r"\b[a-z]{2,4}_[A-Za-z0-9]{20,}",
        r"\b[a-z]{2,4}-[A-Za-z0-9]{24,}",
        r"\bgithub_pat_\w{20,}",
        r"\bxox[a-z]-[A-Za-z0-9-]{10,}",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bAIza[0-9A-Za-z_-]{30,}",
    ])
});

static EMAILS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+").ok());

/// Digits in which the number of a card may stand.
static RUNS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9](?:[ -]?[0-9]){12,}").ok());

static PHONES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    compiled(&[
        // International.
        r"(?:\+|\b00)[1-9][0-9]{0,2}(?:[ ./-]?\(?[0-9]{1,5}\)?){2,7}",
        // National: with a zero before it, or in the North American form.
        r"(?:\(0[0-9]{1,5}\)|\b0[0-9]{1,5})[ /-][0-9]{2,}(?:[ -]?[0-9]{2,}){0,5}\b",
        r"(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}\b",
    ])
});

/// Expressions that are written here; a test holds that each can be read.
fn compiled(patterns: &[&str]) -> Vec<Regex> {
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
}

fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (7..=17).contains(&digits)
}

/// `run` with each number of a card in it replaced: 13 to 19 digits of which the last checks the others.
fn without_cards(run: &str) -> String {
    let digits: Vec<(usize, u32)> =
        run.char_indices().filter_map(|(place, letter)| Some((place, letter.to_digit(10)?))).collect();
    let is_edge = |place: usize| !run.as_bytes().get(place).is_some_and(u8::is_ascii_digit);
    // Those that stand apart first: among so many digits others may pass the check by chance.
    let apart = cards(&digits, &|begins, ends| (begins == 0 || is_edge(begins - 1)) && is_edge(ends));
    let mut all = Vec::new();
    let mut rest = digits.as_slice();
    for (begins, ends) in apart {
        let before = rest.iter().take_while(|(place, _)| *place < begins).count();
        all.extend(cards(rest.get(..before).unwrap_or_default(), &|_, _| true));
        all.push((begins, ends));
        let behind = rest.iter().take_while(|(place, _)| *place < ends).count();
        rest = rest.get(behind..).unwrap_or_default();
    }
    all.extend(cards(rest, &|_, _| true));
    let mut clean = String::with_capacity(run.len());
    let mut copied = 0;
    for (begins, ends) in all {
        clean.push_str(run.get(copied..begins).unwrap_or_default());
        clean.push_str(CARD);
        copied = ends;
    }
    clean.push_str(run.get(copied..).unwrap_or_default());
    clean
}

/// Where numbers of cards begin and end of which `fits` approves; the longest of those that begin at the same place.
fn cards(digits: &[(usize, u32)], fits: &dyn Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut first = 0;
    while let Some(rest) = digits.get(first..).filter(|rest| rest.len() >= 13) {
        let places = |number: &[(usize, u32)]| Some((number.first()?.0, number.last()?.0 + 1));
        let numbers = (13..=19).rev().filter_map(|length| rest.get(..length)).filter(|number| is_card(number));
        let card = numbers
            .filter_map(|number| Some((places(number)?, number.len())))
            .find(|((begins, ends), _)| fits(*begins, *ends));
        first += card.map_or(1, |(_, length)| length);
        found.extend(card.map(|(places, _)| places));
    }
    found
}

/// Luhn's check, for numbers that begin as cards do.
fn is_card(number: &[(usize, u32)]) -> bool {
    let begins_so = number.first().is_some_and(|(_, digit)| (2..=6).contains(digit));
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(place, (_, digit))| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    begins_so && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests;
