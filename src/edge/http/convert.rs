//! From the body of a request to a message of the contract: a prompt as it stands, or a `CompleteRequest` as JSON.
//!
//! What the message says is checked where every message is, in `edge/grpc/convert`; here it is only read. An error names the
//! field and the rule, and never what stands there.

mod names;
mod parts;

use http::StatusCode;
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use prost_reflect::DynamicMessage;
use serde_path_to_error::{Deserializer, Track};

use super::media::{Form, content_type};
use crate::domain::{Error, Violation};
use crate::edge::twice::{Shape, Twice, twice};
use crate::proto::{self, json};

/// The longest path of a field that is told, in bytes.
const MAX_PATH_BYTES: usize = 128;

/// What the body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A `CompleteRequest`.
    Json(Form),
    /// A prompt for this model; none: for the default one.
    Prompt(Option<String>),
    /// The same, of a type that `curl -d` sends for anything: where it begins as JSON does, it is meant to be a
    /// `CompleteRequest`.
    Form(Option<String>, Form),
}

/// What is said about JSON in a body of that type.
const NO_PROMPT: &str = "a body that begins with `{` is read as JSON here: send JSON with `content-type: application/json`, \
                         and a prompt that begins so with `content-type: text/plain`";

/// Why a body cannot be read, known from the head: the error, and the status of HTTP that has the same meaning.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) status: StatusCode,
    pub(super) error: Error,
}

impl Unreadable {
    fn new(status: StatusCode, field: &str, rule: &'static str) -> Self {
        Self { status, error: Error::invalid(field, rule) }
    }
}

impl Reader {
    /// How the body is read, and how its answer is written.
    ///
    /// # Errors
    /// The body is of another type, or the answer cannot be written as it is wanted.
    pub(super) fn of(head: &Parts) -> Result<(Self, Form), Unreadable> {
        let form = Form::wanted(&head.headers).ok_or_else(|| {
            let rule = "must take text/plain, text/event-stream or application/json";
            Unreadable::new(StatusCode::NOT_ACCEPTABLE, "accept", rule)
        })?;
        let encoded = head.headers.get_all(CONTENT_ENCODING).iter();
        if encoded.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let rule = "must be left out, or `identity`: bodies are not unpacked here; gRPC takes gzip and zstd";
            return Err(Unreadable::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding", rule));
        }
        let (media_type, charset) = content_type(&head.headers);
        let reader = match media_type.as_str() {
            "application/json" => Self::Json(form),
            "text/plain" => Self::Prompt(None),
            // What `curl -d` sends without being asked: whoever types a prompt there means the prompt.
            "application/x-www-form-urlencoded" => Self::Form(None, form),
            _ => {
                let rule = "must be application/json for a CompleteRequest, or text/plain for a prompt";
                return Err(Unreadable::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", rule));
            }
        };
        if charset.is_some_and(|charset| charset != "utf-8" && charset != "utf8" && charset != "us-ascii") {
            let rule = "must be UTF-8";
            return Err(Unreadable::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", rule));
        }
        let bad_query = |error| Unreadable { status: StatusCode::BAD_REQUEST, error };
        Ok((reader.asked(head.uri.query().unwrap_or_default()).map_err(bad_query)?, form))
    }

    /// The same with what the address says.
    fn asked(mut self, query: &str) -> Result<Self, Error> {
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&mut self, key.as_ref()) {
                (Self::Prompt(model @ None) | Self::Form(model @ None, _), "model") if !value.is_empty() => {
                    *model = Some(value.into_owned());
                }
                (Self::Prompt(_) | Self::Form(..), _) => {
                    return Err(Error::invalid("query", "must be empty, or `model` with a name, once"));
                }
                (Self::Json(_), _) => {
                    return Err(Error::invalid("query", "must be empty: what is asked for stands in the JSON"));
                }
            }
        }
        Ok(self)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is not what it should be.
    pub(super) fn read(self, body: &[u8]) -> Result<proto::CompleteRequest, Error> {
        match self {
            Self::Json(form) => asked(body, form),
            Self::Form(model, form) if begins_as_json(body) => match model {
                None => asked(body, form).map_err(|error| explained(&error)),
                Some(_) => Err(Error::invalid("query", format!("must be empty: {NO_PROMPT}"))),
            },
            Self::Prompt(model) | Self::Form(model, _) => {
                let prompt = std::str::from_utf8(body).map_err(|_| Error::invalid("body", "must be UTF-8"))?;
                if prompt.is_empty() {
                    return Err(Error::invalid("body", "must be a prompt, and is empty"));
                }
                let model = model.unwrap_or_default();
                Ok(proto::CompleteRequest { model, prompt: prompt.to_owned(), ..proto::CompleteRequest::default() })
            }
        }
    }
}

fn begins_as_json(body: &[u8]) -> bool {
    // Some editors put a mark before the text, and some lines begin with what only looks like a space.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.iter().find(|byte| !byte.is_ascii_whitespace() && !byte.is_ascii_control()) == Some(&b'{')
}

/// The same, to somebody who may have meant a prompt.
fn explained(error: &Error) -> Error {
    match error.details.violations.first() {
        Some(Violation { field, rule }) => Error::invalid(field.clone(), format!("{rule}; {NO_PROMPT}")),
        None => error.clone(),
    }
}

/// The message in JSON, for an answer in this form.
fn asked(body: &[u8], form: Form) -> Result<proto::CompleteRequest, Error> {
    let message = message(body)?;
    if message.restart_on_interruption && form == Form::Text {
        let rule = "needs `accept: text/event-stream`: text that was sent cannot be taken back";
        return Err(Error::invalid("restart_on_interruption", rule));
    }
    Ok(message)
}

fn message(body: &[u8]) -> Result<proto::CompleteRequest, Error> {
    if !parts::are_few(body) {
        return Err(Error::invalid("body", "must have fewer parts"));
    }
    let unknown = || Error::new(crate::domain::Reason::Internal, "the contract cannot be read");
    let descriptor = json::descriptor("CompleteRequest").ok_or_else(unknown)?;
    if let Some(Twice { within, name }) = twice(body, Shape::Message(descriptor.clone())) {
        let field = if within.is_empty() { name } else { format!("{within}.{name}") };
        return Err(Error::invalid(bounded(field), "must be there once"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut track = Track::new();
    let read = DynamicMessage::deserialize(descriptor, Deserializer::new(&mut reader, &mut track));
    let message = read.map_err(|error| wrong(&error, &track.path().to_string()))?;
    reader.end().map_err(|error| wrong(&error, ""))?;
    message.transcode_to().map_err(|_| unknown())
}

/// What is wrong with JSON: where, and the rule. The parser's own words quote what stands there.
fn wrong(error: &serde_json::Error, path: &str) -> Error {
    let (line, column) = (error.line(), error.column());
    if !error.is_data() {
        return Error::invalid("body", format!("must be JSON, and is none at line {line}, column {column}"));
    }
    let path = if path == "." { "" } else { path };
    let words = error.to_string();
    let named = names::at(path);
    if let Some(name) = quoted_behind(&words, "unrecognized field name '") {
        let field = if path.is_empty() { name } else { format!("{path}.{name}") };
        return Error::invalid(bounded(field), format!("is no field of the contract{named}"));
    }
    let rule = if words.starts_with("unrecognized enum value") {
        format!("must be one of the contract's names for it{named}")
    } else if let Some(name) = quoted_behind(&words, "multiple fields provided for oneof '") {
        format!("must have one `{name}`, and has several")
    } else if words.starts_with("float value out of range") {
        "must be within the range of its type".to_owned()
    } else if let Some((_, expected)) = words.rsplit_once("expected ") {
        let expected = expected.split(" at line ").next().unwrap_or_default();
        format!("must be {expected}{named}")
    } else {
        format!("must be as protobuf's JSON mapping has it{named}")
    };
    Error::invalid(bounded(if path.is_empty() { "body".to_owned() } else { path.to_owned() }), rule)
}

/// The name that stands behind `before`, up to the quote; none: it is none that a field can have.
fn quoted_behind(words: &str, before: &str) -> Option<String> {
    let name = words.strip_prefix(before)?.split('\'').next()?;
    let is_name = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Some(if is_name { name.to_owned() } else { "?".to_owned() })
}

fn bounded(mut path: String) -> String {
    let mut end = MAX_PATH_BYTES.min(path.len());
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    path.truncate(end);
    path
}

#[cfg(test)]
mod tests;
