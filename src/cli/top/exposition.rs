//! Prometheus' text form, as samples. It knows no metric by name.
//!
//! Read is what version 0.0.4 says: a sample in each line, with its labels, and comments. Types and help are passed over:
//! who asks for a sample by name knows what it is.

use std::borrow::Cow;

/// One line of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

impl Sample<'_> {
    /// The value of a label; empty where it is not there, which is the same to Prometheus.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| value)
    }
}

/// Where a text is none of Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}")]
pub(super) struct NotUnderstood {
    /// Counted from 1.
    line: usize,
    what: &'static str,
}

/// The samples of `text`.
///
/// # Errors
/// The first line that is no sample, comment or empty.
pub(super) fn samples(text: &str) -> Result<Vec<Sample<'_>>, NotUnderstood> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| sample(text).map_err(|what| NotUnderstood { line, what })).collect()
}

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let end = line.find(|letter: char| !is_name(letter)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
        return Err("does not begin with the name of a metric");
    }
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().ok_or("has no value")?.parse().map_err(|_| "has a value that is no number")?;
    // A time may follow; the time of the scrape is good enough.
    match (words.next().map(str::parse::<f64>), words.next()) {
        (None | Some(Ok(_)), None) => Ok(Sample { name, labels, value }),
        _ => Err("goes on after its value"),
    }
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, quoted) = rest.split_once('=').ok_or("has labels that do not end")?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(is_name) {
            return Err("has a label without a proper name");
        }
        let quoted =
            quoted.trim_start().strip_prefix('"').ok_or("has a label whose value is not in quotation marks")?;
        let end = closing_quote(quoted).ok_or("has a label whose value does not end")?;
        let (value, after) = quoted.split_at(end);
        labels.push((name, unescaped(value)));
        rest = after.strip_prefix('"').unwrap_or(after);
    }
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':')
}

/// Where the first quotation mark stands that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            (letter, false) => plain.push(letter),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Sample<'_> {
        samples(line).unwrap_or_else(|error| panic!("{line}: {error}")).remove(0)
    }

    #[test]
    fn a_sample_has_a_name_labels_and_a_value() {
        for (line, name, labels, value) in [
            ("up 1", "up", &[][..], 1.0),
            ("a:b_total{} 2.5", "a:b_total", &[], 2.5),
            ("x{a=\"b\"} 3", "x", &[("a", "b")], 3.0),
            ("x{ a = \"b\" , c=\"\", } 4e3 1700000000000", "x", &[("a", "b"), ("c", "")], 4000.0),
            (r#"x{a="q\"s\\n\nb",c="}, d=\"1"} 0"#, "x", &[("a", "q\"s\\n\nb"), ("c", "}, d=\"1")], 0.0),
            ("x{le=\"+Inf\"} +Inf", "x", &[("le", "+Inf")], f64::INFINITY),
            ("x -1", "x", &[], -1.0),
            ("  x\t7  ", "x", &[], 7.0),
            ("x{a=\"日本\"} 1", "x", &[("a", "日本")], 1.0),
        ] {
            let sample = one(line);
            assert_eq!((sample.name, sample.value), (name, value), "{line}");
            assert_eq!(sample.labels.len(), labels.len(), "{line}");
            for (label, expected) in labels {
                assert_eq!(sample.label(label), *expected, "{line}");
            }
        }
        assert!(one("x NaN").value.is_nan());
        assert_eq!(one("x 1").label("not there"), "");
    }

    #[test]
    fn comments_and_empty_lines_are_passed_over() {
        let text = "# HELP a What it is.\n# TYPE a counter\n\na 1\r\n# EOF\n";
        assert_eq!(samples(text).unwrap().len(), 1);
        assert_eq!(samples(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_sample_is_told_with_its_line() {
        for (line, what) in [
            ("<html>", "does not begin with the name of a metric"),
            ("1x 2", "does not begin with the name of a metric"),
            ("x", "has no value"),
            ("x{a=\"b\"}", "has no value"),
            ("x one", "has a value that is no number"),
            ("x 1 2 3", "goes on after its value"),
            ("x 1 soon", "goes on after its value"),
            ("x{a=\"b\" 1", "has labels that do not end"),
            ("x{a=b} 1", "has a label whose value is not in quotation marks"),
            ("x{a=\"b} 1", "has a label whose value does not end"),
            ("x{a=\"b\\\"} 1", "has a label whose value does not end"),
            ("x{=\"b\"} 1", "has a label without a proper name"),
            ("Hello, world", "has a value that is no number"),
        ] {
            assert_eq!(samples(&format!("ok 1\n{line}")), Err(NotUnderstood { line: 2, what }), "{line}");
        }
    }
}
