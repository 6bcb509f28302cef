//! Certificates for tests: an authority, and what it signs. Made anew in each process, but for a few keys in forms that are
//! not made here.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test says what it expects, and uses its own part"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, SerialNumber,
    date_time_ymd,
};

static SERIAL: AtomicU64 = AtomicU64::new(1000);

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub serial: u64,
}

/// When a certificate holds.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    Now,
    NoMore,
    NotYet,
    /// And no more in a moment.
    For(Duration),
}

impl Authority {
    pub fn new() -> Self {
        let (params, key) = Self::made();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// One between this one and what is signed.
    pub fn intermediate(&self) -> Self {
        let (params, key) = Self::made();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn made() -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        // Each by a name of its own: two that are called alike are the same to who looks for an issuer.
        let name = format!("authority {}", SERIAL.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate of a server on this machine.
    pub fn server(&self) -> Pair {
        self.server_that(Holds::Now)
    }

    pub fn server_that(&self, holds: Holds) -> Pair {
        self.signed(&KeyPair::generate().unwrap(), &here(), ExtendedKeyUsagePurpose::ServerAuth, holds)
    }

    /// The same for a key that there is already.
    pub fn server_with(&self, key: &KeyPair) -> Pair {
        self.signed(key, &here(), ExtendedKeyUsagePurpose::ServerAuth, Holds::Now)
    }

    /// A certificate of a client that has these names.
    pub fn client(&self, names: &[SanType]) -> Pair {
        self.client_that(names, Holds::Now)
    }

    pub fn client_that(&self, names: &[SanType], holds: Holds) -> Pair {
        self.signed(&KeyPair::generate().unwrap(), names, ExtendedKeyUsagePurpose::ClientAuth, holds)
    }

    fn signed(&self, key: &KeyPair, names: &[SanType], usage: ExtendedKeyUsagePurpose, holds: Holds) -> Pair {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.subject_alt_names = names.to_vec();
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![usage];
        (params.not_before, params.not_after) = match holds {
            Holds::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1)),
            Holds::NoMore => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Holds::For(moment) => (date_time_ymd(2020, 1, 1), (SystemTime::now() + moment).into()),
            Holds::NotYet => (date_time_ymd(2099, 1, 1), date_time_ymd(2100, 1, 1)),
        };
        let certificate = params.signed_by(key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem(), serial }
    }
}

fn here() -> Vec<SanType> {
    vec![dns("localhost"), SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())]
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// A folder with the files of a listener.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// With `server.crt`, `server.key` and `clients.crt`.
    pub fn with(pair: &Pair, clients: &Authority) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put(pair);
        folder.write("clients.crt", clients.pem());
        folder
    }

    /// Puts another certificate and its key in place, each file as a whole.
    pub fn put(&self, pair: &Pair) {
        self.write("server.key", &pair.key);
        self.write("server.crt", &pair.certificate);
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.path().join(name), self.path().join(format!("{name}.new")));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The section of a configuration that names the files, with `more` of its own.
    pub fn section(&self, key: &str, more: &str) -> String {
        let at = self.path().display();
        format!("{key}: {{ certificate: {at}/server.crt, key: {at}/server.key{more} }}\n")
    }

    /// The same, asking clients for a certificate.
    pub fn asking(&self, key: &str, more: &str) -> String {
        self.section(key, &format!(", client_ca: {}/clients.crt{more}", self.path().display()))
    }
}
