//! Where in a request something is wrong, and what would be right.
//!
//! A path is a chain on the stack and becomes text only when a rule is broken, so that a request in order costs nothing.
//! Rules never quote the request: they may be logged.

use std::borrow::Cow;
use std::fmt;

use crate::domain::{Error, Violation};

/// The violations that are told; what is beyond them is counted.
pub(super) const MAX_TOLD: usize = 20;
/// The characters of a map's key that a path shows.
const MAX_KEY_CHARS: usize = 64;

/// The place of a field in a request.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'static str),
    Item(&'static str, usize),
    Entry(&'static str, &'a str),
}

impl<'a> Path<'a> {
    /// The request itself.
    pub(super) const ROOT: Self = Self { parent: None, step: Step::Root };

    /// A field of what is here.
    pub(super) const fn field(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of a list that is a field of what is here.
    pub(super) const fn item(&'a self, name: &'static str, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Item(name, index) }
    }

    /// The value under a key of a map that is a field of what is here.
    pub(super) const fn entry(&'a self, name: &'static str, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Entry(name, key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if parent.parent.is_some() {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => f.write_str(name),
            Step::Item(name, index) => write!(f, "{name}[{index}]"),
            Step::Entry(name, key) => {
                let shown: String = key.chars().take(MAX_KEY_CHARS).collect();
                write!(f, "{name}[{shown:?}]")
            }
        }
    }
}

/// What is wrong with a request so far.
#[derive(Debug, Default)]
pub(super) struct Violations {
    told: Vec<Violation>,
    untold: usize,
}

impl Violations {
    /// Notes that the field at `path` breaks `rule`, which says what would be right.
    pub(super) fn report(&mut self, path: &Path<'_>, rule: impl Into<Cow<'static, str>>) {
        if self.told.len() < MAX_TOLD {
            self.told.push(Violation { field: path.to_string(), rule: rule.into() });
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    /// Notes it where `right` is false.
    pub(super) fn check(&mut self, right: bool, path: &Path<'_>, rule: &'static str) {
        if !right {
            self.report(path, rule);
        }
    }

    /// Notes a list that is longer than `most`.
    pub(super) fn check_len(&mut self, len: usize, most: usize, path: &Path<'_>) {
        if len > most {
            self.report(path, format!("must have at most {most} entries"));
        }
    }

    /// The value of a field of an enum. Unspecified is a value like any other here; a number that is not known is not.
    pub(super) fn enum_value<E: TryFrom<i32>>(&mut self, number: i32, path: &Path<'_>) -> Option<E> {
        let value = E::try_from(number).ok();
        if value.is_none() {
            self.report(path, format!("must be a value that this server knows; {number} is not"));
        }
        value
    }

    /// Whether nothing is wrong.
    ///
    /// # Errors
    /// All that is, as one.
    pub(super) fn judge(self) -> Result<(), Error> {
        if self.told.is_empty() {
            return Ok(());
        }
        let mut error = Error::invalid_fields(self.told);
        if self.untold > 0 {
            error.message = format!("{}; and {} more", error.message, self.untold).into();
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_in_the_contract() {
        let root = Path::ROOT;
        let message = root.item("messages", 2);
        let block = message.item("content", 1);
        let call = block.field("tool_call");
        assert_eq!(call.field("arguments_json").to_string(), "messages[2].content[1].tool_call.arguments_json");
        let options = root.entry("provider_options", "a\"b");
        assert_eq!(options.field("body_json").to_string(), r#"provider_options["a\"b"].body_json"#);
    }

    #[test]
    fn long_keys_are_cut() {
        let key = "k".repeat(1000);
        assert!(Path::ROOT.entry("provider_options", &key).to_string().len() < 100);
    }

    #[test]
    fn what_is_too_much_to_tell_is_counted() {
        let mut found = Violations::default();
        for index in 0..MAX_TOLD + 3 {
            found.report(&Path::ROOT.item("messages", index), "must be right");
        }
        let error = found.judge().unwrap_err();
        assert_eq!(error.details.violations.len(), MAX_TOLD);
        assert!(error.message.ends_with("; and 3 more"), "{error}");
    }
}
