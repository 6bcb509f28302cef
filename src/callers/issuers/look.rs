//! Whether the keys of an issuer that stand in a file are there now, for who checks a configuration. What is at an address is
//! not asked for: that it is away at the moment says nothing about what is written.

use super::fetch::file;
use super::jwks::KeySet;
use super::settings::KeysAt;

impl KeysAt {
    /// Looks at the file, if it is one.
    ///
    /// # Errors
    /// No token could be checked by what is there, and why.
    pub fn look(&self) -> Result<(), String> {
        let Self::File(path) = self else { return Ok(()) };
        let told = |what: String| format!("the file {} {what}", path.display());
        let keys = KeySet::read(&file(path).map_err(told)?).map_err(|error| told(error.to_string()))?;
        if keys.len() == 0 { Err(told("has no key, which refuses all tokens".to_owned())) } else { Ok(()) }
    }
}
