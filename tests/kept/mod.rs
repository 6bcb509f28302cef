//! What servers of tests log is kept in a folder, where `COMPLETIOND_TEST_LOGS` names one: `.ci/words.py` looks there for
//! words of prompts and for keys. Without it nothing is written and nothing is slower.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test says what it expects, and each uses its own part of this"
)]

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// All that our own modules say.
const LEVEL: &str = "info,completiond=trace";

/// Tests that read the log of their own process by a subscriber of their own, of which there can be one.
const READ_ELSEWHERE: &[&str] = &["failures", "lookup", "metering"];

/// Keeps what servers in this process say.
pub fn logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let program = program();
        if READ_ELSEWHERE.iter().any(|name| program.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))) {
            return;
        }
        let Some(file) = file() else { return };
        let layer = tracing_subscriber::fmt::layer().json().with_writer(Arc::new(file));
        // The stage and what other tests share have a copy of this each: the second one finds it done.
        let _ =
            tracing::subscriber::set_global_default(Registry::default().with(layer.with_filter(EnvFilter::new(LEVEL))));
    });
}

/// The standard error of a server that is a process of its own, and whose log no test reads.
pub fn stderr() -> Stdio {
    file().map_or_else(Stdio::null, Stdio::from)
}

/// The variables of such a server, so that it says as much.
pub fn variables() -> Option<(&'static str, &'static str)> {
    folder().map(|_| ("RUST_LOG", LEVEL))
}

/// Keeps what a test has read of a server.
pub fn text(log: &str) {
    if let Some(mut file) = file() {
        std::io::Write::write_all(&mut file, log.as_bytes()).unwrap();
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("COMPLETIOND_TEST_LOGS").map(PathBuf::from)
}

fn program() -> String {
    std::env::current_exe().unwrap().file_stem().unwrap().to_string_lossy().into_owned()
}

/// A file of its own for each server of each test.
fn file() -> Option<File> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = program();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = folder()?;
    std::fs::create_dir_all(&folder).unwrap();
    Some(File::create(folder.join(format!("{name}-{}-{number}.log", std::process::id()))).unwrap())
}
