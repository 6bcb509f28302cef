//! An answer as bytes, for a server that processes share.
//!
//! A byte that says how the rest is laid out, when it was packed, and the answer: postcard, compressed with Zstandard. What
//! cannot be read back is no answer and no error: another version of this server may have written it.

use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::KeptAnswer;

/// How it is laid out. It changes with everything that [`KeptAnswer`] is made of.
const VERSION: u8 = 1;
/// What stands before the answer: the version, and the milliseconds since 1970.
const HEAD: usize = 1 + 8;
/// The largest answer that is packed, in bytes. One that is larger would take too long on its way.
const MOST: usize = 16 << 20;
/// The most that is packed of it.
const MOST_PACKED: usize = 8 << 20;
/// Fast, and text still becomes a third of what it was.
const LEVEL: i32 = 1;

/// An answer, and when it was packed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unpacked {
    pub(super) answer: KeptAnswer,
    pub(super) made: SystemTime,
}

/// The bytes of an answer that is made now; none: it is too large.
pub(super) fn pack(answer: &KeptAnswer) -> Option<Vec<u8>> {
    let plain = postcard::to_stdvec(answer).ok().filter(|plain| plain.len() <= MOST)?;
    let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut packed = vec![VERSION];
    packed.extend(u64::try_from(made).unwrap_or(u64::MAX).to_be_bytes());
    packed.extend(compress(&plain).ok()?);
    (packed.len() <= MOST_PACKED).then_some(packed)
}

fn compress(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    // A text in which a bit has changed would still be a text.
    compressor.include_checksum(true)?;
    compressor.compress(plain)
}

/// The answer; none: it cannot be read.
pub(super) fn unpack(packed: &[u8]) -> Option<Unpacked> {
    let (head, body) = packed.split_at_checked(HEAD)?;
    let (version, made) = head.split_first_chunk()?;
    if *version != [VERSION] {
        return None;
    }
    let made = Duration::from_millis(u64::from_be_bytes(made.try_into().ok()?));
    let most = u64::try_from(MOST).ok()?;
    let mut plain = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::new(body).ok()?;
    // What it asks for is taken before a byte of it is read.
    decoder.window_log_max(MOST.ilog2()).ok()?;
    // One byte more than is allowed tells one that is too large from one that just fits.
    decoder.take(most + 1).read_to_end(&mut plain).ok()?;
    if plain.len() > MOST {
        return None;
    }
    let (answer, rest) = postcard::take_from_bytes(&plain).ok()?;
    rest.is_empty().then_some(Unpacked { answer, made: UNIX_EPOCH.checked_add(made)? })
}

#[cfg(test)]
mod tests;
