//! How long a caller waits: the header `grpc-timeout`, as the gRPC protocol defines it.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::domain::Error;

static HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// The time that the caller gives the call; none: it did not say.
///
/// # Errors
/// `INVALID_REQUEST` when the header is not 1 to 8 digits and a unit.
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(&HEADER) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse);
    timeout
        .map(Some)
        .ok_or_else(|| Error::invalid(HEADER.as_str(), "must be 1 to 8 digits and a unit: H, M, S, m, u or n"))
}

fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 60 * 60)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &[u8]) -> Result<Option<Duration>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(&HEADER, http::HeaderValue::from_bytes(value).unwrap());
        grpc_timeout(&headers)
    }

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("1010m", Duration::from_millis(1010)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0S", Duration::ZERO),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(with(text.as_bytes()), Ok(Some(expected)), "{text}");
        }
        assert_eq!(grpc_timeout(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn anything_else_is_told() {
        for text in ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1.5S", " 1S", "1S ", "1\u{e4}"] {
            let error = with(text.as_bytes()).unwrap_err();
            assert_eq!(error.details.violations[0].field, "grpc-timeout", "{text}");
        }
    }
}
