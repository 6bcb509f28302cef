//! Page tokens (AIP-158): opaque, and bound to the place in the list where the next page begins.
//!
//! A token also knows which name stood before that place. Where the list has changed there, the token is refused: a
//! caller that starts over is told no wrong list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest, Sha256};

/// The first byte of a token, which says how to read it.
const VERSION: u8 = 1;
/// The bytes of the hash that stands for a name.
const HASH_BYTES: usize = 8;

/// The token of a page that begins at `position`, after the entry `before`.
pub(super) fn token(position: usize, before: &str) -> String {
    let position = u32::try_from(position).unwrap_or(u32::MAX).to_be_bytes();
    BASE64.encode([&[VERSION][..], &position, &hash(before)].concat())
}

/// The position that a token names; none when it is not one of ours, or not one of this list. `before` gives the name
/// of the entry at a position.
pub(super) fn position<'a>(token: &str, before: impl Fn(usize) -> Option<&'a str>) -> Option<usize> {
    let bytes = BASE64.decode(token).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (position, hashed) = rest.split_first_chunk::<4>()?;
    let position = usize::try_from(u32::from_be_bytes(*position)).ok()?;
    let name = before(position.checked_sub(1)?)?;
    (*version == VERSION && hashed == hash(name)).then_some(position)
}

fn hash(name: &str) -> Vec<u8> {
    Sha256::digest(name.as_bytes()).iter().take(HASH_BYTES).copied().collect()
}
