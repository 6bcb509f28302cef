//! The files of a listener's TLS: which they are, what is in them, and what is wrong with one.
//!
//! What a message quotes is a path, never a piece of a file: one of them is a key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::regular;

/// The largest file that is read, in bytes: all authorities of a system together have about 250 kB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where what it shows is.
    pub files: Files,
    /// How often the files are looked at.
    pub reload_interval: Duration,
}

/// The files of a listener's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Its certificate and those that lead to the root, in PEM.
    pub certificate: PathBuf,
    /// The private key of the first of them, in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// What is asked of clients; none: they are not asked for a certificate.
    pub clients: Option<Clients>,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// The authorities whose certificates count, in PEM.
    pub ca: PathBuf,
    /// Whether each must have one.
    pub certificates: ClientCertificates,
}

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Whoever has none gets no connection.
    #[default]
    Required,
    /// Who has none may tell by other means who it is. One that is shown must be good all the same.
    Optional,
}

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// That of the certificates.
    Certificate,
    /// That of the key.
    Key,
    /// That of the clients' authorities.
    ClientCa,
}

/// What is wrong with a file, or with two of them together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct Fault {
    /// Of which file it is told.
    pub part: Part,
    /// What is wrong, with its path.
    pub rule: String,
}

impl Fault {
    pub(super) fn new(part: Part, rule: impl Into<String>) -> Self {
        Self { part, rule: rule.into() }
    }
}

/// What is in the files. It has no `Debug`: a key is in it.
pub(super) struct Contents {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
}

/// Tells contents apart.
pub(super) type Fingerprint = [u8; 32];

impl Files {
    /// Whether they can be used.
    ///
    /// # Errors
    /// [`Fault`]: the first thing that is wrong with them.
    pub fn check(&self) -> Result<(), Fault> {
        self.read()?.material(self).map(drop)
    }

    pub(super) fn read(&self) -> Result<Contents, Fault> {
        let client_ca = self.clients.as_ref().map(|clients| read(Part::ClientCa, &clients.ca)).transpose();
        Ok(Contents {
            certificate: read(Part::Certificate, &self.certificate)?,
            key: read(Part::Key, &self.key)?,
            client_ca: client_ca?,
        })
    }
}

impl Contents {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        for file in [&self.certificate, &self.key].into_iter().chain(&self.client_ca) {
            // With their lengths, so that nothing moves from one file to the next unnoticed.
            hash.update(u64::try_from(file.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(file);
        }
        hash.finalize().into()
    }
}

fn read(part: Part, path: &Path) -> Result<Vec<u8>, Fault> {
    let shown = path.display();
    let bytes =
        regular::read(path, MAX_FILE_BYTES).map_err(|unread| Fault::new(part, format!("the file {shown} {unread}")))?;
    match u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        true => Err(Fault::new(part, format!("the file {shown} is larger than 1 MiB"))),
        false => Ok(bytes),
    }
}
