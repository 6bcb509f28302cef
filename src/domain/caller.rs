//! The name of who calls, and ids that are known to their caller alone.

use std::fmt;

use sha2::{Digest, Sha256};

use super::CallerName;

/// Stands for a caller in the keys of what is kept: the same on every replica, and of one size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct CallerTag([u8; 16]);

impl CallerTag {
    /// The tag of a caller. Nobody's is all zeros.
    pub fn of(caller: &CallerName) -> Self {
        if caller.is_nobody() {
            return Self::default();
        }
        let digest: [u8; 32] = Sha256::digest(caller.as_str().as_bytes()).into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for CallerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An id as its caller may use it: the same id of two callers stands for two things.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Owned<Id> {
    /// Whose it is.
    pub caller: CallerTag,
    /// The id.
    pub id: Id,
}

impl<Id> Owned<Id> {
    /// The id of this caller.
    pub fn new(caller: &CallerName, id: Id) -> Self {
        Self { caller: CallerTag::of(caller), id }
    }

    /// Another id of the same caller.
    pub fn with<Other>(&self, id: Other) -> Owned<Other> {
        Owned { caller: self.caller, id }
    }
}

impl<Id: fmt::Display> fmt::Display for Owned<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.caller, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_of_two_callers_stands_for_two_things() {
        let [one, other, nobody] = ["one", "other", ""].map(|name| Owned::new(&CallerName::new(name), 7));
        assert!(one != other && one != nobody && other != nobody);
        assert_eq!(one, Owned::new(&CallerName::new("one"), 7));
        assert_eq!(one.with(8), Owned::new(&CallerName::new("one"), 8));
    }

    #[test]
    fn a_tag_is_written_in_one_size() {
        let told = Owned::new(&CallerName::new("search"), 7).to_string();
        assert_eq!(told.len(), 32 + 2, "{told}");
        assert_eq!(Owned::new(&CallerName::default(), 7).to_string(), format!("{}:7", "0".repeat(32)));
    }
}
