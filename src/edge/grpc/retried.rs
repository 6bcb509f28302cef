//! How often the caller's own client has sent a call before: the header `grpc-previous-rpc-attempts`, which gRPC
//! clients set when they try again by themselves (gRFC A6).

use http::{HeaderMap, HeaderName};

static HEADER: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// The attempts of the client before this one; 0 where it does not say, or says what is no number: the header is a
/// hint, and no call fails for it.
pub(crate) fn previous_attempts(headers: &HeaderMap) -> u32 {
    headers.get(&HEADER).and_then(|value| value.to_str().ok()).and_then(parse).unwrap_or(0)
}

fn parse(text: &str) -> Option<u32> {
    // Parsing alone would take a sign.
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_is_read_and_anything_else_is_none() {
        assert_eq!(previous_attempts(&HeaderMap::new()), 0);
        for (text, expected) in [
            (&b"1"[..], 1),
            (b"0", 0),
            (b"4", 4),
            (b"4294967295", u32::MAX),
            (b"4294967296", 0),
            (b"", 0),
            (b"-1", 0),
            (b"+1", 0),
            (b"1.0", 0),
            (b" 1", 0),
            (b"one", 0),
            (b"\xff", 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(&HEADER, http::HeaderValue::from_bytes(text).unwrap());
            assert_eq!(previous_attempts(&headers), expected, "{text:?}");
        }
    }
}
