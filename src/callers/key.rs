//! Keys of callers, and their hashes, by which the server knows them.
//!
//! A key is random and long, so that a plain SHA-256 of it tells nothing about it: nobody can try all keys.

use std::fmt;
use std::str::FromStr;

use rand::TryRngCore;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What each new key begins with, so that those who look for lost keys know one.
const PREFIX: &str = "cpd_";
/// What the written form of a hash begins with.
const ALGORITHM: &str = "sha256:";

/// A key of a caller. It is never shown but where it is asked for.
#[derive(Clone, Debug)]
pub struct Key(SecretString);

impl Key {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0_u8; 32];
        OsRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self::new(format!("{PREFIX}{}", hex(&bytes))))
    }

    /// One that there is already.
    pub fn new(key: impl Into<String>) -> Self {
        Self(SecretString::from(key.into()))
    }

    /// The key as its caller sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the server knows it by.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.expose())
    }
}

/// The SHA-256 of a key, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

/// A text is no hash of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `sha256:` and 64 hexadecimal digits")]
pub struct NotAHash;

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// A part of it, by which it is found among others.
    pub(super) fn place(&self) -> u64 {
        u64::from_be_bytes(self.0.first_chunk().copied().unwrap_or_default())
    }

    /// All of it: of what was shown, not of a key that is known.
    pub(super) const fn digest(&self) -> [u8; 32] {
        self.0
    }

    /// Whether it is the same, told in the same time wherever they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for KeyHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digits = text.strip_prefix(ALGORITHM).ok_or(NotAHash)?.as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(NotAHash);
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high).ok_or(NotAHash)? << 4 | digit(*low).ok_or(NotAHash)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", hex(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    /// Enough to find it again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{:016x}…", self.place())
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = KeyHash::of("a key");
        let written = hash.to_string();
        assert!(written.parse::<KeyHash>().unwrap().is(&hash));
        assert!(written.to_uppercase().replace("SHA256", "sha256").parse::<KeyHash>().unwrap().is(&hash));
        assert!(!KeyHash::of("another key").is(&hash));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let digits = "0".repeat(64);
        for text in ["", "sha256:", &digits, &format!("sha256:{digits}0"), &format!("sha256:{}x", &digits[1..])] {
            assert_eq!(text.parse::<KeyHash>().err(), Some(NotAHash), "{text}");
        }
    }

    #[test]
    fn new_keys_differ_and_are_long() {
        let [one, other] = [Key::generate().unwrap(), Key::generate().unwrap()];
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), PREFIX.len() + 64);
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
