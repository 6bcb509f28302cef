//! In which form a request comes and its answer is wanted, as the headers say it.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The text of the answer and nothing else.
    Text,
    /// Each event, as an event stream.
    Events,
    /// The whole answer, as JSON.
    Whole,
}

impl Form {
    /// The media type of the answer.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Events => "text/event-stream",
            Self::Whole => "application/json",
        }
    }

    /// What `accept` prefers; of what it likes as much, the first; text, where it prefers nothing. None: it takes none of them.
    pub(super) fn wanted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(u16, Self)> = None;
        let mut is_said = false;
        for value in headers.get_all(ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',').filter(|range| !range.trim().is_empty()) {
                is_said = true;
                let (name, weight) = weighed(range);
                let form = match name.as_str() {
                    "text/event-stream" => Self::Events,
                    "*/*" | "text/*" | "text/plain" => Self::Text,
                    "application/json" | "application/*" => Self::Whole,
                    _ => continue,
                };
                if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
                    best = Some((weight, form));
                }
            }
        }
        if is_said { best.map(|(_, form)| form) } else { Some(Self::Text) }
    }
}

/// A range of media types without its parameters, and its weight in thousandths.
fn weighed(range: &str) -> (String, u16) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.map_or(Some(1000), thousandths).unwrap_or(0))
}

/// A weight as HTTP writes it: `1`, `0.5`, `0.125`.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" => format!("{fraction:0<3}").parse().ok(),
        "1" if fraction.bytes().all(|digit| digit == b'0') => Some(1000),
        _ => None,
    }
}

/// The media type of a request, without its parameters, and its `charset` where it has one; both in lower case.
pub(super) fn content_type(headers: &HeaderMap) -> (String, Option<String>) {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = said.split(';').map(|part| part.trim().to_ascii_lowercase());
    let name = parts.next().unwrap_or_default();
    let charset = parts.find_map(|part| part.strip_prefix("charset=").map(|value| value.trim_matches('"').to_owned()));
    (name, charset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn what_is_preferred_is_wanted_and_text_where_nothing_is() {
        assert_eq!(Form::wanted(&HeaderMap::new()), Some(Form::Text));
        for (accept, form) in [
            ("*/*", Some(Form::Text)),
            ("", Some(Form::Text)),
            ("text/plain", Some(Form::Text)),
            ("text/event-stream", Some(Form::Events)),
            ("Text/Event-Stream; q=1.0", Some(Form::Events)),
            ("text/event-stream, */*", Some(Form::Events)),
            ("text/event-stream;q=0.5, */*", Some(Form::Text)),
            ("text/plain;q=0.125, text/event-stream;q=0.2", Some(Form::Events)),
            ("application/json, text/event-stream;q=0", Some(Form::Whole)),
            ("application/json", Some(Form::Whole)),
            ("application/json, text/plain, */*", Some(Form::Whole)),
            ("application/xml", None),
            ("text/event-stream;q=2", None),
        ] {
            assert_eq!(Form::wanted(&with(ACCEPT, accept)), form, "{accept}");
        }
    }

    #[test]
    fn a_media_type_is_read_without_its_parameters() {
        for (said, name, charset) in [
            ("application/json", "application/json", None),
            ("Text/Plain; Charset=\"UTF-8\"", "text/plain", Some("utf-8")),
            ("text/plain;x=y;charset=latin1", "text/plain", Some("latin1")),
        ] {
            let expected = (name.to_owned(), charset.map(ToOwned::to_owned));
            assert_eq!(content_type(&with(CONTENT_TYPE, said)), expected, "{said}");
        }
        assert_eq!(content_type(&HeaderMap::new()), (String::new(), None));
    }
}
