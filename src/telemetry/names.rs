//! Names that callers and providers make up, within a bound of their number and of their length: what is beyond the first is
//! `(other)`, and of what is beyond the second the beginning is shown.

use std::borrow::Cow;
use std::collections::HashSet;

/// The longest name that metrics show whole, in bytes: no model that there is has a longer one.
const MOST_SHOWN: usize = 128;
/// What stands for the rest of a longer one.
const REST: &str = "…";

/// The names that are told apart beside those of the configuration.
pub(super) const MOST_STRANGE: usize = 256;
/// The names of the configurations that were in force.
const MOST_KNOWN: usize = 4096;

/// How metrics show a name: of a bounded length, in one line, and without what a terminal obeys. Names that differ only behind
/// that are one.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    let is_whole = name.len() <= MOST_SHOWN;
    if is_whole && !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let kept = if is_whole { name } else { name.get(..cut(name)).unwrap_or_default() };
    let mut shown: String =
        kept.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if !is_whole {
        shown.push_str(REST);
    }
    Cow::Owned(shown)
}

/// Where a name that is too long is cut: between two characters.
fn cut(name: &str) -> usize {
    let most = MOST_SHOWN - REST.len();
    (0..=most).rev().find(|at| name.is_char_boundary(*at)).unwrap_or_default()
}

/// The names that are told apart.
#[derive(Debug, Default)]
pub(super) struct Names {
    told_apart: HashSet<String>,
    known: usize,
    strange: usize,
}

/// What speaks for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The configuration has it.
    Known,
    /// Somebody has answered by it.
    Answered,
    /// Nothing: it may be made up.
    Claimed,
}

impl Names {
    /// Whether `name` is told apart from others; once it is, it stays so.
    pub(super) fn admits(&mut self, name: &str, standing: Standing) -> bool {
        if self.told_apart.contains(name) {
            return true;
        }
        let (count, most) = match standing {
            Standing::Known => (&mut self.known, MOST_KNOWN),
            Standing::Answered => (&mut self.strange, MOST_STRANGE),
            Standing::Claimed => return false,
        };
        if *count >= most {
            return false;
        }
        *count += 1;
        self.told_apart.insert(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_up_to_its_bound_and_in_one_line() {
        let longest = "m".repeat(MOST_SHOWN);
        for whole in ["", "smart", "up/modèle", &longest] {
            assert_eq!(shown(whole), whole);
        }
        let long = "é".repeat(MOST_SHOWN);
        let cut = shown(&long);
        assert!(cut.len() <= MOST_SHOWN && cut.ends_with(REST) && cut.starts_with('é'), "{cut}");
        assert_eq!(shown("a\u{1b}[2J\nb\u{9b}"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
    }

    #[test]
    fn made_up_names_find_no_place_and_those_of_the_configuration_always_do() {
        let mut names = Names::default();
        for number in 0..10_000 {
            assert!(!names.admits(&format!("claimed-{number}"), Standing::Claimed));
            assert_eq!(names.admits(&format!("answered-{number}"), Standing::Answered), number < MOST_STRANGE);
        }
        assert!(names.admits("smart", Standing::Known), "the bound on strangers is none for it");
        assert!(names.admits("smart", Standing::Claimed) && names.admits("answered-0", Standing::Claimed));
        assert!(!names.admits("answered-300", Standing::Claimed));
    }
}
