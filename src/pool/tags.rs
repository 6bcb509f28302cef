//! By what accounts and models are known outside the process: hashes, the same on every replica. A key goes into one, and
//! cannot be read from it.

use std::fmt;

use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::Provider;
use crate::domain::ModelId;

/// Stands for an account: who is asked, with which key, and whatever else is sent along with each request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountTag([u8; 16]);

/// Stands for a model of an account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ModelTag([u8; 16]);

impl Provider {
    /// The tag of its account. Neither what the configuration calls it nor how it is reached is in it: those are matters of
    /// one process.
    pub fn tag(&self) -> AccountTag {
        let mut signature = HeaderMap::new();
        self.credentials.sign(&mut signature);
        let headers = self.headers.iter().chain(&signature);
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
        headers.sort_unstable();
        let place = [self.protocol.name().to_owned(), self.base_url.to_string()];
        let mut hash = Sha256::new_with_prefix(b"completiond account 1");
        for part in
            place.iter().map(String::as_bytes).chain(headers.into_iter().flat_map(|(name, value)| [name, value]))
        {
            // With its length, so that no two lists of parts are the same bytes.
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        AccountTag(first(hash.finalize().into()))
    }
}

impl ModelTag {
    /// The tag of a model.
    pub fn of(model: &ModelId) -> Self {
        Self(first(Sha256::digest(model.as_str().as_bytes()).into()))
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut tag = [0; 16];
        let digits = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        if text.len() != 2 * tag.len() {
            return None;
        }
        for (byte, digit) in tag.iter_mut().zip(digits) {
            *byte = digit?;
        }
        Some(Self(tag))
    }
}

fn first(digest: [u8; 32]) -> [u8; 16] {
    digest.first_chunk().copied().unwrap_or_default()
}

fn hexadecimal(tag: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    tag.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for AccountTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(self.0, f)
    }
}

impl fmt::Display for ModelTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_is_written() {
        let tag = ModelTag::of(&ModelId::new("a-model"));
        assert_eq!(ModelTag::parse(&tag.to_string()), Some(tag));
        assert_ne!(ModelTag::of(&ModelId::new("a-modeL")), tag);
        for wrong in ["", "ab", &tag.to_string().replace(|_: char| true, "x"), &format!("{tag}00"), &"é".repeat(16)] {
            assert_eq!(ModelTag::parse(wrong), None, "{wrong}");
        }
    }
}
