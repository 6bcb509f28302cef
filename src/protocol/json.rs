//! JSON of upstreams, read as text where it is text.

use serde::Deserialize;

/// Reads `bytes`. That they are text is found out once for all of them, and not for each string in them.
///
/// # Errors
/// It is not the JSON that was looked for.
pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        // What is no text may stand where nobody looks.
        Err(_) => serde_json::from_slice(bytes),
    }
}
