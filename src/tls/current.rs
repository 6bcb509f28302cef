//! The certificate that is in force: replaced when its files change, for connections that begin from then on.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::files::{Fault, Fingerprint, Settings};
use super::material::Material;
use crate::aside::{Aside, GivenUp};
use crate::count::Total;
use arc_swap::ArcSwap;
use rustls::ServerConfig;

/// How long the files may take to be read.
const READING: Duration = Duration::from_secs(10);

/// The certificate of a listener that is in force. Clones share it.
#[derive(Clone)]
pub struct Current(Arc<Shared>);

struct Shared {
    /// How the configuration calls it.
    section: &'static str,
    settings: Settings,
    material: ArcSwap<Material>,
    /// Locked while the files are read, so that what was read last is what is in force.
    seen: Mutex<Seen>,
    /// Where they are read.
    aside: Aside,
    /// The last time they were not read at all: told once.
    is_late: AtomicBool,
    /// How often they could not be used.
    failures: Total,
}

/// What the files held when they were read last.
struct Seen {
    good: Fingerprint,
    /// What was wrong since: told once.
    fault: Option<Fault>,
}

impl Current {
    /// Reads the files. `section` is how the configuration calls it.
    ///
    /// # Errors
    /// [`Fault`]: what is wrong with them.
    pub fn open(section: &'static str, settings: &Settings) -> Result<Self, Fault> {
        let contents = settings.files.read()?;
        let material = ArcSwap::new(contents.material(&settings.files)?);
        Ok(Self(Arc::new(Shared {
            section,
            settings: settings.clone(),
            material,
            seen: Mutex::new(Seen { good: contents.fingerprint(), fault: None }),
            aside: Aside::new("certificates"),
            is_late: AtomicBool::new(false),
            failures: Total::default(),
        })))
    }

    /// What a handshake that begins now is made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.material.load().config)
    }

    /// How long the certificates that are shown still hold; none: that cannot be told. Those that have ended hold no time.
    pub fn left(&self) -> Option<Duration> {
        let end = self.0.material.load().end?;
        Some(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// How often the files could not be used when they were read again.
    pub fn failures(&self) -> u64 {
        self.0.failures.now()
    }

    /// Looks at the files now. What they hold is in force when this returns; what is wrong with them is returned, and changes
    /// nothing.
    pub async fn look(&self) -> Option<String> {
        let shared = Arc::clone(&self.0);
        // The files may lie where reading takes long or never ends.
        let looked = self.0.aside.run(READING, move || shared.look()).await;
        let wrong = match looked {
            Ok(wrong) => {
                self.0.is_late.store(false, Ordering::Relaxed);
                wrong
            }
            Err(given_up) => Some(self.0.not_read(given_up)),
        };
        if wrong.is_some() {
            self.0.failures.once();
        }
        wrong
    }

    /// Looks again and again.
    pub async fn keep_looking(self) {
        loop {
            tokio::time::sleep(self.0.settings.reload_interval).await;
            // What is wrong was logged.
            let _ = self.look().await;
        }
    }
}

impl Shared {
    fn not_read(&self, given_up: GivenUp) -> String {
        if !self.is_late.swap(true, Ordering::Relaxed) {
            tracing::error!(
                section = self.section,
                problem = %given_up,
                "the files of the certificate were not read; they are looked at again when what reads them is done"
            );
        }
        format!("{}: its files {given_up}", self.section)
    }

    fn look(&self) -> Option<String> {
        let mut seen = self.seen();
        let files = &self.settings.files;
        match self.changed(seen.good) {
            Ok(None) => {
                // Back to what is in force: nothing is wrong any more.
                seen.fault = None;
                None
            }
            Ok(Some((fingerprint, material))) => {
                self.material.store(material);
                *seen = Seen { good: fingerprint, fault: None };
                tracing::info!(
                    section = self.section,
                    certificate = %files.certificate.display(),
                    "another certificate is in force for new connections"
                );
                None
            }
            Err(fault) => Some(self.stays(&mut seen, fault)),
        }
    }

    /// What takes the place of what is in force; none: the files hold the same.
    fn changed(&self, good: Fingerprint) -> Result<Option<(Fingerprint, Arc<Material>)>, Fault> {
        let files = &self.settings.files;
        let contents = files.read()?;
        let fingerprint = contents.fingerprint();
        if fingerprint == good {
            return Ok(None);
        }
        Ok(Some((fingerprint, contents.material(files)?)))
    }

    fn stays(&self, seen: &mut Seen, fault: Fault) -> String {
        let told = format!("{}: the certificate stays as it was: {fault}", self.section);
        if seen.fault.as_ref() != Some(&fault) {
            tracing::error!(section = self.section, problem = %fault, "the certificate stays as it was");
            seen.fault = Some(fault);
        }
        told
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::tls::Files;

    /// What is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Log {
        fn lines(&self) -> usize {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().count()
        }
    }

    fn put(folder: &Path, certificate: &str, key: &str) {
        std::fs::write(folder.join("crt"), certificate).unwrap();
        std::fs::write(folder.join("key"), key).unwrap();
    }

    #[test]
    fn what_is_wrong_is_logged_once_and_again_only_when_it_changes() {
        let (folder, log) = (tempfile::tempdir().unwrap(), Log::default());
        let pair = || {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let ((first, first_key), (second, second_key)) = (pair(), pair());
        put(folder.path(), &first, &first_key);
        let files = Files { certificate: folder.path().join("crt"), key: folder.path().join("key"), clients: None };
        let settings = Settings { files, reload_interval: Duration::from_secs(10) };
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let current = Current::open("tls", &settings).unwrap();
            let in_force = current.config();
            let look = |certificate: &str, key: &str| {
                put(folder.path(), certificate, key);
                (current.0.look().is_some(), log.lines())
            };
            assert_eq!(look(&first, &first_key), (false, 0), "nothing has changed");
            assert_eq!(look(&second, &first_key), (true, 1), "the key does not fit");
            assert_eq!(look(&second, &first_key), (true, 1), "nor does it now");
            assert_eq!(look("nothing", &first_key), (true, 2), "something else is wrong");
            assert!(Arc::ptr_eq(&in_force, &current.config()));
            assert_eq!(look(&first, &first_key), (false, 2), "as it was");
            assert_eq!(look(&second, &first_key), (true, 3), "wrong once more");
            assert_eq!(look(&second, &second_key), (false, 4), "another one is in force");
            assert!(!Arc::ptr_eq(&in_force, &current.config()));
        });
    }
}
