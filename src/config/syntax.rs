//! Why a file is no YAML, in words for those who write the file. The library's own speak to who calls it.
//!
//! Nothing here quotes a line, which might hold a key.

use super::node::DEEPEST;
use super::problem::{Mark, Wrong};

/// Why a file is no YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    /// Where.
    pub(super) mark: Option<Mark>,
    /// What is wrong, and what would be right.
    pub(super) wrong: Wrong,
}

impl SyntaxError {
    /// What the library found in `text`.
    pub(super) fn of(error: &serde_saphyr::Error, text: &str) -> Self {
        let mark = error.location().map(Mark::from);
        let rendered = error.without_snippet().to_string();
        let found = bare(rendered.lines().next().unwrap_or_default());
        if let Some(mark) = mark.and_then(|mark| tab(found, mark, text)) {
            let wrong = Wrong::new("a line is indented with a tab", "YAML is indented with spaces: replace it");
            return Self { mark: Some(mark), wrong };
        }
        if TOO_DEEP.iter().any(|words| found.contains(words)) {
            let rule = format!("lists and maps stand in each other deeper than {DEEPEST} levels");
            return Self { mark, wrong: Wrong::new(rule, "no setting does") };
        }
        let known = KNOWN.iter().find(|(words, ..)| found.contains(words));
        let wrong = known.map_or_else(|| Wrong::new(found, ""), |(_, rule, right)| Wrong::new(*rule, *right));
        Self { mark, wrong }
    }
}

/// What the library says of what is nested too deep, as it is read and behind a name.
const TOO_DEEP: [&str; 2] = ["recursion limit exceeded", "budget breached: Depth"];

/// What the library says, what that is called here, and what would be right.
const KNOWN: [(&str, &str, &str); 7] = [
    ("tab", "a tab stands where a space must", "write spaces in its place"),
    (
        "mapping values are not allowed",
        "a second `key: value` stands where a value goes on",
        "begin each key on a line of its own, as far to the right as its neighbours, and put text that has `: ` in quotes",
    ),
    ("did not find expected key", "a line is not as far to the right as its neighbours", "indent them all alike"),
    ("simple key expected ':'", "a line has neither a key nor is it an item", "write `key: value`, or `- item`"),
    (
        "while parsing a flow mapping",
        "a `{ ... }` is not a list of `key: value` with commas",
        "put values that have `{`, `}`, `[`, `]` or `,` in quotes, as in `\"${NAME}\"`",
    ),
    ("multiple YAML documents", "a second document begins", "keep one, and leave out the `---` between them"),
    (
        "unexpected character",
        "a value begins with a character that has a meaning of its own",
        "put the value in quotes",
    ),
];

/// The library's message without the place, which it writes both before and behind it.
fn bare(message: &str) -> &str {
    let message = message.split(" at line ").next().unwrap_or(message);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    match message.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => message,
    }
}

/// The tab in an indentation that an error at `mark` comes from.
fn tab(found: &str, mark: Mark, text: &str) -> Option<Mark> {
    let lines = text.lines().zip(1_u64..).skip_while(|(_, line)| *line < mark.line);
    // Where tabs are spoken of, the error may stand on the line above; otherwise its own line must have one.
    let lines = lines.take_while(|(_, line)| found.contains("tab") || *line == mark.line);
    lines.filter_map(|(content, line)| Some(Mark { line, column: indenting_tab(content)? })).next()
}

/// The column of the first tab before a line's content.
fn indenting_tab(line: &str) -> Option<u64> {
    let before = line.chars().zip(1_u64..).take_while(|(c, _)| matches!(c, ' ' | '\t'));
    before.filter(|(c, _)| *c == '\t').map(|(_, column)| column).next()
}

#[cfg(test)]
mod tests {
    use super::super::node::parse;

    fn told(text: &str) -> String {
        let error = parse(text).unwrap_err();
        let place = error.mark.map_or(String::new(), |mark| format!("{}:{}: ", mark.line, mark.column));
        format!("{place}{}; {}", error.wrong.rule, error.wrong.right)
    }

    #[test]
    fn a_tab_is_told_where_it_stands() {
        let indented = [
            ("a:\n\tb: 1", "2:1"),
            ("a:\n  b: 1\n\tc: 2", "3:1"),
            ("a:\n  - x\n  \t- y", "3:3"),
            ("a: {\n\tb: 1 }", "2:1"),
            ("a: |\n\tx", "2:1"),
            ("a: b\n \tc: d", "2:2"),
        ];
        for (text, place) in indented {
            let expected = format!("{place}: a line is indented with a tab; YAML is indented with spaces: replace it");
            assert_eq!(told(text), expected, "{text:?}");
        }
        // A tab that is no indentation is not blamed for another slip.
        assert!(!told("a:\tb\nc: [x").contains("tab"));
    }

    #[test]
    fn common_slips_are_told_in_words() {
        let cases = [
            ("a: b: c", "1:5: a second `key: value` stands where"),
            ("a: 1\n  b: 2", "2:4: a second `key: value` stands where"),
            ("a:\n  b: 1\n c: 2", "3:2: a line is not as far to the right"),
            ("a: 1\nb", "2:1: a line has neither a key nor"),
            ("a: {b: ${X}}", "1:9: a `{ ... }` is not a list"),
            ("---\na: 1\n---\nb: 2", "4:1: a second document begins"),
            ("a: @x", "1:4: a value begins with a character"),
            ("a: [x", "1:4: unclosed bracket '['; "),
        ];
        for (text, expected) in cases {
            assert!(told(text).starts_with(expected), "{text:?}: {}", told(text));
        }
    }

    #[test]
    fn what_is_no_yaml_is_said_without_quoting_it() {
        for text in ["a: [sk-secret", "a: b: sk-secret", "a: *sk-secret", "a: 1\n- sk-secret", "a:\n\tb: sk-secret"] {
            let error = parse(text).unwrap_err();
            assert!(error.mark.is_some(), "{text}: {error:?}");
            let rule = &error.wrong.rule;
            assert!(!rule.contains("sk-secret") && !error.wrong.right.contains("sk-secret"), "{text}: {error:?}");
            assert!(!rule.contains('\n') && !rule.is_empty(), "{text}: {error:?}");
        }
    }
}
