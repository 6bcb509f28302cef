//! Keys: from the environment or from files of their own, never from the configuration's text.
//!
//! No message here holds any part of a key.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::expand;
use super::problem::Wrong;
use super::reader::Value;
use crate::regular;

/// The largest file that is read as a key.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// A key, and where it was found.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The key, trimmed, fit for a header.
    pub value: SecretString,
    /// Where it was found.
    pub origin: Origin,
}

/// Where a key was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In these environment variables.
    Environment(Vec<String>),
    /// In this file.
    File(PathBuf),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment(names) => write!(f, "environment variable {}", names.join(", ")),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl Secret {
    /// The key in an environment variable.
    pub(super) fn from_variable(name: &str, content: &str) -> Result<Self, Wrong> {
        let value = key(content).map_err(|rule| Wrong::new(format!("the key in {name} {rule}"), ""))?;
        Ok(Self { value, origin: Origin::Environment(vec![name.to_owned()]) })
    }

    /// The key that a value of the file refers to; otherwise notes what is wrong.
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        const RIGHT: &str = "write `${NAME}` for an environment variable, or `file:/path`";
        let written = value.written()?;
        let variables = expand::variables(written);
        if !written.starts_with("file:") && variables.is_empty() && expand::parts(written).is_ok() {
            value.wrong(Wrong::new("a key does not belong into the configuration's text", RIGHT));
            return None;
        }
        let text = value.text()?;
        if written.starts_with("file:") {
            let path = PathBuf::from(text.trim_start_matches("file:"));
            let value = value.keep(read_file(&path))?;
            return Some(Self { value, origin: Origin::File(path) });
        }
        let names: Vec<String> = variables.into_iter().map(str::to_owned).collect();
        let read = key(&text).map_err(|rule| Wrong::new(format!("the key in {} {rule}", names.join(", ")), ""));
        Some(Self { value: value.keep(read)?, origin: Origin::Environment(names) })
    }
}

/// Text that may be a secret (a header's value): `file:/path`, `${NAME}`, or as it is.
pub(super) fn text(value: &Value<'_>) -> Option<SecretString> {
    let written = value.written()?;
    let text = value.text()?;
    if written.starts_with("file:") {
        return value.keep(read_file(Path::new(text.trim_start_matches("file:"))));
    }
    Some(SecretString::from(text.trim()))
}

fn read_file(path: &Path) -> Result<SecretString, Wrong> {
    let text = read_text(path)?;
    key(&text).map_err(|rule| Wrong::new(format!("the key in {} {rule}", path.display()), ""))
}

/// The text of a file that holds keys, or what they are known by.
pub(super) fn read_text(path: &Path) -> Result<String, Wrong> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err(Wrong::new("the path of a key's file must be absolute", "write `file:/path`"));
    }
    let bytes =
        regular::read(path, MAX_SECRET_BYTES).map_err(|unread| Wrong::new(format!("the file {shown} {unread}"), ""))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_SECRET_BYTES {
        return Err(Wrong::new(format!("the file {shown} is larger than 64 KiB"), "it must hold the key alone"));
    }
    String::from_utf8(bytes).map_err(|_| Wrong::new(format!("the file {shown} is no text"), ""))
}

/// A key, trimmed. The error goes behind "the key in X".
fn key(text: &str) -> Result<SecretString, &'static str> {
    let text = text.trim();
    match text {
        "" => Err("is empty"),
        text if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(SecretString::from(text)),
        _ => Err("has spaces, line breaks or characters that no header can carry"),
    }
}
