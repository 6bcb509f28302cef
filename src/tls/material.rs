//! From what is in the files to what a handshake is made with, or to what is wrong with it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use webpki::{EndEntityCert, KeyUsage};

use super::files::{ClientCertificates, Clients, Contents, Fault, Files, Part};

/// What is spoken behind TLS, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What handshakes are made with.
pub(super) struct Material {
    pub(super) config: Arc<ServerConfig>,
    /// When the first of the certificates that are shown ends.
    pub(super) end: Option<SystemTime>,
}

impl Contents {
    /// What handshakes are made with. `files` are where this was read from.
    pub(super) fn material(&self, files: &Files) -> Result<Arc<Material>, Fault> {
        let provider = Arc::new(ring::default_provider());
        let certified = self.certified(files, &provider)?;
        let end = certified.cert.iter().filter_map(end).min();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::new(Part::Certificate, error.to_string()))?;
        let clients = files.clients.as_ref().zip(self.client_ca.as_ref());
        let asks = clients.is_some();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some((clients, pem)) => builder.with_client_cert_verifier(verifier(clients, pem, provider)?),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        if asks {
            // A session that is taken up again is not checked again: its client's certificate could have expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(Material { config: Arc::new(config), end }))
    }

    fn certified(&self, files: &Files, provider: &CryptoProvider) -> Result<CertifiedKey, Fault> {
        let chain = certificates(Part::Certificate, &files.certificate, &self.certificate)?;
        let shown = files.key.display();
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| {
            let forms = "PKCS#8, PKCS#1 or SEC1; one with a password is not read";
            Fault::new(Part::Key, format!("the file {shown} has no private key in PEM ({forms})"))
        })?;
        let key = provider.key_provider.load_private_key(key).map_err(|_| {
            let kinds = "RSA with 2048 to 8192 bits, ECDSA on P-256 or P-384, and Ed25519 are";
            Fault::new(Part::Key, format!("the key in {shown} is of no kind that is known here; {kinds}"))
        })?;
        is_current(&chain, &files.certificate)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                let rule =
                    format!("the key in {shown} is not that of the certificate in {}", files.certificate.display());
                Err(Fault::new(Part::Key, rule))
            }
            Err(error) => Err(unusable(&files.certificate, &error)),
        }
    }
}

/// All certificates of a file, at least one.
fn certificates(part: Part, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let shown = path.display();
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|_| Fault::new(part, format!("the file {shown} is damaged: it is no PEM throughout")))?;
    match all.is_empty() {
        true => Err(Fault::new(part, format!("the file {shown} has no certificate in PEM"))),
        false => Ok(all),
    }
}

/// Whether the first certificate holds now.
fn is_current(chain: &[CertificateDer<'_>], path: &Path) -> Result<(), Fault> {
    let Some(first) = chain.first() else { return Ok(()) };
    let certificate = EndEntityCert::try_from(first).map_err(|error| unusable(path, &error))?;
    // Without a root nothing is verified but what the certificate says of itself, its time first.
    let usage = KeyUsage::server_auth();
    let verified = certificate.verify_for_usage(&[], &[], &[], UnixTime::now(), usage, None, None);
    let rule = match verified.err() {
        Some(webpki::Error::CertExpired { not_after, .. }) => format!("has expired at {}", shown_time(not_after)),
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => {
            format!("does not hold before {}", shown_time(not_before))
        }
        _ => return Ok(()),
    };
    Err(Fault::new(Part::Certificate, format!("the certificate in {} {rule}", path.display())))
}

/// When a certificate ends: what is asked is whether it holds at the end of all times that one can name.
fn end(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    /// The year 10000.
    const NEVER: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(253_402_300_800));
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    match certificate.verify_for_usage(&[], &[], &[], NEVER, KeyUsage::server_auth(), None, None).err()? {
        webpki::Error::CertExpired { not_after, .. } => {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs()))
        }
        _ => None,
    }
}

fn shown_time(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(String::new, |time| humantime::format_rfc3339_seconds(time).to_string())
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault::new(Part::Certificate, format!("the certificate in {} cannot be used: {error}", path.display()))
}

fn verifier(
    clients: &Clients,
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Fault> {
    let unusable = |error: &dyn std::fmt::Display| {
        Fault::new(Part::ClientCa, format!("an authority in {} cannot be used: {error}", clients.ca.display()))
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(Part::ClientCa, &clients.ca, pem)? {
        roots.add(authority).map_err(|error| unusable(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match clients.certificates {
        ClientCertificates::Required => builder,
        ClientCertificates::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| unusable(&error))
}
