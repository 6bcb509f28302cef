//! Which certificates of upstreams are believed: what the operating system believes, or `SSL_CERT_FILE`.

use std::sync::{Arc, OnceLock};

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::ConfigBuilderExt;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use super::BoxError;

/// What is believed, read when it is needed first: it takes some milliseconds and some memory, which a server without an
/// upstream over TLS has no use for. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<OnceLock<Arc<ClientConfig>>>);

impl Trust {
    /// What is believed.
    ///
    /// # Errors
    /// What no system causes: the library speaks no version of TLS. A system without any certificates is no error here: it
    /// only fails where TLS is used, and says so there.
    pub fn config(&self) -> Result<Arc<ClientConfig>, BoxError> {
        if let Some(config) = self.0.get() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(system()?);
        Ok(Arc::clone(self.0.get_or_init(|| config)))
    }

    /// What is believed on the way to `address`: in plain text nobody has to be.
    pub(super) fn towards(&self, address: &Uri) -> Result<ClientConfig, BoxError> {
        if address.scheme() == Some(&Scheme::HTTPS) { Ok(ClientConfig::clone(&*self.config()?)) } else { nobody() }
    }
}

fn system() -> Result<ClientConfig, BoxError> {
    match builder()?.with_native_roots() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(%error, "no certificates to trust; upstreams over TLS will fail until SSL_CERT_FILE names some");
            nobody()
        }
    }
}

/// Nobody is believed.
fn nobody() -> Result<ClientConfig, BoxError> {
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> =
        builder()?.with_root_certificates(RootCertStore::empty());
    Ok(builder.with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, BoxError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}
