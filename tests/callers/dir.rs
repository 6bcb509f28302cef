//! Callers in files of their own, which change while the server runs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::Code;

use crate::desk::{callers, entry, key, of};
use crate::keys::metric;
use crate::stage::{Stage, prompt, within};

const ROUNDS: usize = 30;

fn put(folder: &Path, name: &str, text: &str) {
    let next = folder.join(".next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, folder.join(name)).unwrap();
}

/// A server whose callers stand in this folder; it looks there often.
async fn stage(folder: &Path, more: &str) -> Stage {
    let at = folder.display();
    Stage::with(&format!("callers_dir: {{ path: {at}, reload_interval: 10ms }}\n{more}")).await
}

/// An entry as it stands in a file of its own.
fn alone(name: &str, more: &str) -> String {
    entry(name, more).trim_start_matches("  - ").to_owned()
}

async fn call(stage: &Stage, name: &str) -> Result<(), Code> {
    let asked = prompt("sim: tokens=2 first_event=0ms pace=0ms");
    of(stage, name).complete(asked).await.map(drop).map_err(|status| status.code())
}

async fn comes(stage: &Stage, name: &str) {
    within("it may call", async { while call(stage, name).await.is_err() {} }).await;
}

async fn goes(stage: &Stage, name: &str) {
    let gone = async { while call(stage, name).await != Err(Code::Unauthenticated) {} };
    within("it may call no more", gone).await;
}

#[tokio::test]
async fn who_stands_in_a_file_of_its_own_may_call_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let stage = stage(folder.path(), &callers(&[("main", "")])).await;
    call(&stage, "main").await.unwrap();
    assert_eq!(call(&stage, "one").await, Err(Code::Unauthenticated));
    assert_eq!(metric(&stage, "completiond_callers").await, 1.0);
    // In each form, and what is none of them is not read.
    put(folder.path(), "one.yaml", &alone("one", ""));
    put(folder.path(), "two.yml", &format!("{}{}", entry("two", ""), entry("three", "")));
    put(folder.path(), "four.yaml", &callers(&[("four", "")]));
    put(folder.path(), "five.txt", &alone("five", ""));
    put(folder.path(), ".six.yaml", &alone("six", ""));
    for name in ["one", "two", "three", "four"] {
        comes(&stage, name).await;
    }
    for name in ["five", "six"] {
        assert_eq!(call(&stage, name).await, Err(Code::Unauthenticated));
    }
    // What is scraped is no older than a second.
    within("all are counted", async { while metric(&stage, "completiond_callers").await < 5.0 {} }).await;
    std::fs::remove_file(folder.path().join("two.yml")).unwrap();
    goes(&stage, "two").await;
    call(&stage, "one").await.unwrap();
    call(&stage, "main").await.unwrap();
}

#[tokio::test]
async fn a_directory_without_callers_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "one.yaml", &alone("one", ""));
    let stage = stage(folder.path(), "").await;
    call(&stage, "one").await.unwrap();
    std::fs::remove_file(folder.path().join("one.yaml")).unwrap();
    goes(&stage, "one").await;
    let asked = prompt("hello");
    let refused = crate::desk::client(&stage, None).complete(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_until_it_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let (at, put) = (folder.path(), |name: &str, text: &str| put(folder.path(), name, text));
    put("one.yaml", &alone("one", ""));
    let stage = stage(at, &callers(&[("main", "")])).await;
    let fifo = at.join("never.yaml");
    for (bad, words) in [
        ("{ name: two, keys: [plain] }", "bad.yaml:1:21: keys[0]: must be `sha256:`"),
        ("{ name: [", "bad.yaml:1"),
        (&alone("main", ""), "bad.yaml:1:9: name: `main` stands here a second time, first in test.yaml:"),
        (&alone("one", ""), "a second time, first in"),
    ] {
        put("bad.yaml", bad);
        put("two.yaml", &alone("two", ""));
        let told = stage.running.reloading.look_at_callers().await;
        assert!(told.iter().any(|problem| problem.contains(words)), "{words}: {told:?}");
        assert!(told.iter().all(|problem| problem.contains(&at.display().to_string())), "{told:?}");
        assert_eq!(call(&stage, "two").await, Err(Code::Unauthenticated), "all of it or nothing");
        call(&stage, "one").await.unwrap();
    }
    std::fs::remove_file(at.join("bad.yaml")).unwrap();
    comes(&stage, "two").await;
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let told = stage.running.reloading.look_at_callers().await;
    assert!(told.iter().any(|problem| problem.contains("never.yaml is a named pipe; only a regular file")), "{told:?}");
    std::fs::rename(at, at.with_extension("away")).unwrap();
    let told = stage.running.reloading.look_at_callers().await;
    assert!(told.iter().any(|problem| problem.contains("cannot be read")), "{told:?}");
    call(&stage, "two").await.unwrap();
    std::fs::rename(at.with_extension("away"), at).unwrap();
}

#[tokio::test]
async fn hashes_in_a_file_beside_are_read_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let hash = |name: &str| completiond::callers::KeyHash::of(&key(name)).to_string();
    put(at, "search.hashes", &hash("one"));
    put(at, "search.yaml", &format!("{{ name: search, keys: ['file:{}/search.hashes'] }}", at.display()));
    let stage = stage(at, "").await;
    call(&stage, "one").await.unwrap();
    put(at, "search.hashes", &hash("two"));
    comes(&stage, "two").await;
    goes(&stage, "one").await;
}

#[tokio::test]
async fn keys_in_what_is_no_file_are_refused_and_hold_no_later_look_up() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(at, "one.yaml", &alone("one", ""));
    let stage = stage(at, "").await;
    let pipe = at.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap();
    std::fs::create_dir(at.join("folder")).unwrap();
    for (place, what) in [
        (pipe.display().to_string(), "is a named pipe; only a regular file"),
        (at.join("socket").display().to_string(), "is a socket;"),
        (at.join("folder").display().to_string(), "is a directory;"),
        ("/dev/zero".to_owned(), "is a device;"),
    ] {
        put(at, "two.yaml", &format!("{{ name: two, keys: ['file:{place}'] }}"));
        let told = stage.running.reloading.look_at_callers().await;
        let expected = format!("two.yaml:1:21: keys[0]: the file {place} {what}");
        assert!(told.iter().any(|problem| problem.contains(&expected)), "{expected}: {told:?}");
        call(&stage, "one").await.unwrap();
    }
    put(at, "two.yaml", &alone("two", ""));
    assert_eq!(stage.running.reloading.look_at_callers().await, Vec::<String>::new());
    call(&stage, "two").await.unwrap();
}

/// A folder as Kubernetes mounts it: files are links through `..data`, a link to the version in force.
struct Mounted {
    folder: TempDir,
    version: usize,
    files: Vec<String>,
}

impl Mounted {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), version: 0, files: Vec::new() }
    }

    fn put(&mut self, files: &[(&str, String)]) {
        let (at, old) = (self.folder.path(), format!("..{}", self.version));
        self.version += 1;
        let version = format!("..{}", self.version);
        std::fs::create_dir(at.join(&version)).unwrap();
        for (name, text) in files {
            std::fs::write(at.join(&version).join(name), text).unwrap();
        }
        symlink(&version, at.join("..next")).unwrap();
        std::fs::rename(at.join("..next"), at.join("..data")).unwrap();
        for (name, _) in files.iter().filter(|(name, _)| !self.files.iter().any(|file| file == name)) {
            symlink(format!("..data/{name}"), at.join(name)).unwrap();
        }
        for name in self.files.iter().filter(|name| !files.iter().any(|(file, _)| file == name)) {
            std::fs::remove_file(at.join(name)).unwrap();
        }
        self.files = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        let _ = std::fs::remove_dir_all(at.join(old));
    }
}

#[tokio::test]
async fn no_call_fails_when_the_directory_is_replaced_under_load() {
    let mut mounted = Mounted::new();
    // In each version `stays` stands in another file: one that mixed two would have it twice or not at all.
    let files = |round: usize, guest: &str| {
        let (here, there) = if round.is_multiple_of(2) { ("a.yaml", "b.yaml") } else { ("b.yaml", "a.yaml") };
        vec![(here, entry("stays", "")), (there, entry(guest, "")), ("c.yaml", entry("other", ""))]
    };
    mounted.put(&files(0, "guest-0"));
    let stage = Arc::new(stage(mounted.folder.path(), "").await);
    let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut running = JoinSet::new();
    for name in ["stays", "other", "stays", "other"] {
        let (stage, over, calls) = (Arc::clone(&stage), Arc::clone(&over), Arc::clone(&calls));
        running.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(call(&stage, name).await, Ok(()), "{name}");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for round in 1..ROUNDS {
        let (guest, last) = (format!("guest-{round}"), format!("guest-{}", round - 1));
        mounted.put(&files(round, &guest));
        comes(&stage, &guest).await;
        assert_eq!(call(&stage, &last).await, Err(Code::Unauthenticated), "both at once");
        assert!(running.try_join_next().is_none(), "the load has ended");
    }
    over.store(true, Ordering::Relaxed);
    within("the load ends", async { while running.join_next().await.transpose().unwrap().is_some() {} }).await;
    println!("{} calls over {ROUNDS} versions", calls.load(Ordering::Relaxed));
}

#[tokio::test]
async fn what_is_in_flight_goes_on_counting_when_a_caller_goes_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "one.yaml", &alone("one", ", limits: { in_flight: 1 }"));
    let stage = stage(folder.path(), &callers(&[("main", "")])).await;
    let long = prompt("sim: tokens=20000 first_event=0ms pace=20ms");
    let running = of(&stage, "one").stream_complete(long).await.unwrap();
    assert_eq!(call(&stage, "one").await, Err(Code::ResourceExhausted));
    std::fs::remove_file(folder.path().join("one.yaml")).unwrap();
    goes(&stage, "one").await;
    put(folder.path(), "two.yaml", &alone("two", ""));
    comes(&stage, "two").await;
    put(folder.path(), "one.yaml", &alone("one", ", limits: { in_flight: 1 }"));
    within("it is back", async { while call(&stage, "one").await == Err(Code::Unauthenticated) {} }).await;
    assert_eq!(call(&stage, "one").await, Err(Code::ResourceExhausted));
    drop(running);
    stage.is_quiet().await;
    call(&stage, "one").await.unwrap();
}
