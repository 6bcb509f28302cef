//! What is wrong with a configuration: where, which rule it breaks, and what would be right.
//!
//! A problem never quotes a secret, nor a whole line of the file, which might hold one.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// A place in the file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// What is wrong with a value: the rule, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) rule: String,
    pub(super) right: String,
}

impl Wrong {
    pub(super) fn new(rule: impl Into<String>, right: impl Into<String>) -> Self {
        Self { rule: rule.into(), right: right.into() }
    }
}

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file; none: it is about the configuration as a whole or not from a file.
    pub mark: Option<Mark>,
    /// The key's path (`providers[0].api_key`); empty: none.
    pub key: String,
    /// The rule that is broken.
    pub rule: String,
    /// What would be right; empty: the rule says it.
    pub right: String,
}

/// All that is wrong with a configuration; at least one problem, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file; none: it came from the environment.
    pub file: Option<PathBuf>,
    /// The problems.
    pub problems: Vec<Problem>,
}

impl Problems {
    /// One problem that is not in a file.
    pub(super) fn outside(key: &str, rule: impl Into<String>, right: impl Into<String>) -> Self {
        let problem = Problem { mark: None, key: key.to_owned(), rule: rule.into(), right: right.into() };
        Self { file: None, problems: vec![problem] }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", OneLine(&self.key))?;
        }
        OneLine(&self.rule).fmt(f)?;
        if !self.right.is_empty() {
            write!(f, "; {}", OneLine(&self.right))?;
        }
        Ok(())
    }
}

/// A text in which nothing begins another line, or moves what shows it: a name that is quoted may be somebody else's.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter.is_control() {
                true => write!(f, "{}", letter.escape_default())?,
                false => fmt::Write::write_char(f, letter)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if let Some(file) = &self.file {
                write!(f, "{}:", file.display())?;
                if let Some(mark) = problem.mark {
                    write!(f, "{}:{}:", mark.line, mark.column)?;
                }
                f.write_str(" ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// What was found so far: problems, which stop the server, and warnings, which do not.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Findings {
    pub(super) fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warning(&self, warning: Problem) {
        self.warnings.borrow_mut().push(warning);
    }

    /// How many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Problems and warnings, each in the order of the file.
    pub(super) fn sorted(self) -> (Vec<Problem>, Vec<Problem>) {
        let sort = |list: RefCell<Vec<Problem>>| {
            let mut list = list.into_inner();
            list.sort_by_key(|problem| problem.mark);
            list
        };
        (sort(self.problems), sort(self.warnings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_begins_no_line_of_its_own() {
        let (key, rule, right) = ("a\nb".to_owned(), "`c\r\u{1b}[2J` is no name".to_owned(), "é".to_owned());
        let problem = Problem { mark: None, key, rule, right };
        assert_eq!(problem.to_string(), "a\\nb: `c\\r\\u{1b}[2J` is no name; é");
    }
}
