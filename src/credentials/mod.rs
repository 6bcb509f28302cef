//! What signs an outgoing request, between encoding and transport.

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::protocol::vendor::Auth;

/// Signs requests with one account's key, if it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    header: Option<(HeaderName, HeaderValue)>,
}

/// A key that cannot stand in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key holds characters that an HTTP header cannot carry")]
pub struct UnusableKey;

impl Credentials {
    /// Sends `key` the way `auth` says.
    ///
    /// # Errors
    /// [`UnusableKey`] when it holds a line end or another character that no header can carry.
    pub fn new(auth: Auth, key: &SecretString) -> Result<Self, UnusableKey> {
        let value = format!("{}{}", auth.prefix, key.expose_secret());
        let mut value = HeaderValue::try_from(value).map_err(|_| UnusableKey)?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(auth.header).map_err(|_| UnusableKey)?;
        Ok(Self { header: Some((name, value)) })
    }

    /// Whether `piece` stands in what is signed with, so that it must not be shown to anybody.
    pub fn holds(&self, piece: &str) -> bool {
        let value = self.header.as_ref().and_then(|(_, value)| value.to_str().ok());
        value.is_some_and(|value| value.contains(piece))
    }

    /// Adds the signature.
    pub fn sign(&self, headers: &mut HeaderMap) {
        if let Some((name, value)) = &self.header {
            headers.insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_and_never_shown() {
        let credentials = Credentials::new(Auth::BEARER, &SecretString::from("sk-1")).unwrap();
        let mut headers = HeaderMap::new();
        credentials.sign(&mut headers);
        assert_eq!(headers["authorization"], "Bearer sk-1");
        assert!(!format!("{credentials:?} {headers:?}").contains("sk-1"));
    }

    #[test]
    fn a_key_with_a_line_end_is_refused() {
        assert_eq!(Credentials::new(Auth::X_API_KEY, &SecretString::from("a\nb")).err(), Some(UnusableKey));
    }
}
