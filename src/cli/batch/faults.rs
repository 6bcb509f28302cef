//! What is wrong with a line, each with the field and the rule: all of it at once, so that a file is corrected once.

/// The most that is told about one line.
const MOST: usize = 16;

/// A field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where in the line, such as `body.messages[0].role`; empty: the line as a whole.
    pub(super) field: String,
    /// What the field must be.
    pub(super) rule: String,
}

impl Fault {
    /// The line as a whole is wrong.
    pub(super) fn of_line(rule: impl Into<String>) -> Self {
        Self { field: String::new(), rule: rule.into() }
    }
}

/// The faults of a line, at most 16, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub(super) fn report(&mut self, field: &str, rule: impl Into<String>) {
        if self.0.len() < MOST {
            self.0.push(Fault { field: field.to_owned(), rule: rule.into() });
        }
    }

    /// Whether nothing was wrong; else all of it.
    ///
    /// # Errors
    /// The faults, at least one.
    pub(super) fn none(self) -> Result<(), Vec<Fault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
