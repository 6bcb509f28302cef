//! Names that callers and providers make up, within a bound: what is beyond it is `(other)`.

use std::collections::HashSet;

/// The names that are told apart beside those of the configuration.
pub(super) const MOST_STRANGE: usize = 256;
/// The names of the configurations that were in force.
const MOST_KNOWN: usize = 4096;

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
