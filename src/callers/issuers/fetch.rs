//! Where the bytes of an issuer's keys come from: an address or a file, in bounded time and size.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::ConfigBuilderExt;

use super::jwks::MAX_BYTES;
use super::settings::KeysAt;
use crate::aside::Aside;
use crate::regular;

/// How long reading the keys may take.
const READING: Duration = Duration::from_secs(5);

/// Reads the keys of one issuer.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// From an address.
    Url(Box<reqwest::Client>, String),
    /// From a file.
    File(Aside, Arc<Path>),
    /// There is none: the system's TLS cannot be used.
    None(String),
}

impl Way {
    pub(super) fn to(at: &KeysAt) -> Self {
        match at {
            KeysAt::File(path) => Self::File(Aside::new("keys"), Arc::from(path.as_path())),
            KeysAt::Url(url) => match client() {
                Ok(client) => Self::Url(Box::new(client), url.clone()),
                Err(error) => Self::None(error),
            },
        }
    }

    /// The bytes, at most one more than are allowed.
    ///
    /// # Errors
    /// What went wrong, in words that quote nothing of what came.
    pub(super) async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::None(error) => Err(error.clone()),
            Self::Url(client, url) => get(client, url).await,
            Self::File(aside, path) => {
                let path = Arc::clone(path);
                aside.run(READING, move || file(&path)).await.map_err(|error| error.to_string())?
            }
        }
    }
}

fn client() -> Result<reqwest::Client, String> {
    let told = |error: &dyn std::fmt::Display| format!("cannot be reached: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&error))?;
    // A machine without certificates fails where TLS is used, and says so there.
    let builder = builder
        .clone()
        .with_native_roots()
        .unwrap_or_else(|_| builder.with_root_certificates(rustls::RootCertStore::empty()));
    reqwest::Client::builder()
        .tls_backend_preconfigured(builder.with_no_client_auth())
        .timeout(READING)
        // Whose keys count must not be decided by a redirect.
        .redirect(reqwest::redirect::Policy::none())
        // What is asked every few minutes needs no connection in between, and a new one looks its name up again.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("completiond/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| told(&error))
}

async fn get(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| {
        let is_late = error.is_timeout();
        let error = error.without_url();
        let cause = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source()).last();
        match is_late {
            true => "did not answer in time".to_owned(),
            false => format!("cannot be reached: {}", cause.map(ToString::to_string).unwrap_or_default()),
        }
    };
    let mut answer = client.get(url).header(http::header::ACCEPT, "application/json").send().await.map_err(failed)?;
    if answer.status() != http::StatusCode::OK {
        return Err(format!("answered with the HTTP status {}", answer.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_BYTES {
            break;
        }
    }
    Ok(bytes)
}

/// The bytes of a file, if they are not too many.
///
/// # Errors
/// What went wrong.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, String> {
    regular::read(path, u64::try_from(MAX_BYTES).unwrap_or(u64::MAX)).map_err(|unread| unread.to_string())
}
