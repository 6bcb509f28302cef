//! The keys of issuers: fetched when they are needed and no oftener, replaced without a failed call, and kept for a while
//! when their issuer is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::desk::client;
use crate::issuer::{Issuer, Shows, Signer};
use crate::stage::{Stage, prompt, tcp, within};

async fn call(stage: &Stage, token: &str) -> Result<(), Status> {
    let asked = prompt("sim: tokens=2 first_event=0ms pace=0ms");
    client(stage, Some(token.to_owned())).complete(asked).await.map(drop)
}

/// Calls until it is let in.
async fn let_in(what: &str, stage: &Stage, token: &str) {
    within(what, async { while call(stage, token).await.is_err() {} }).await;
}

#[track_caller]
fn away(answer: Result<(), Status>) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "ISSUER_UNAVAILABLE");
    assert!(status.get_details_retry_info().is_some_and(|retry| retry.retry_delay.is_some()), "{status}");
}

#[track_caller]
fn not_shown(answer: Result<(), Status>) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    assert!(status.message().contains("a key that its issuer does not show"), "{status}");
}

/// What the metrics say of this series.
pub(crate) async fn metric(stage: &Stage, series: &str) -> f64 {
    let mut socket = TcpStream::connect(tcp(&stage.running.ops)).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    within("metrics", socket.read_to_string(&mut text)).await.unwrap();
    let line = text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_waited_for_and_others_are_served() {
    let (down, up) = (Issuer::start("down").await, Issuer::start("up").await);
    down.show(Shows::Status("503 Service Unavailable"));
    let issuers = format!("{}{}", down.entry("down", ", callers: [{}]"), up.entry("up", ", callers: [{}]"));
    let stage = Stage::with(&format!("issuers:\n{issuers}")).await;
    call(&stage, &up.token("alice")).await.unwrap();
    away(call(&stage, &down.token("alice")).await);
    assert!(metric(&stage, "completiond_reloads_failed_total{completiond_reload_of=\"jwks\"").await >= 1.0);
    assert_eq!(metric(&stage, "completiond_issuer_keys{completiond_issuer=\"down\"").await, 0.0);
    assert_eq!(metric(&stage, "completiond_issuer_keys{completiond_issuer=\"up\"").await, 1.0);
    down.show_keys(&[("first", &down.signer)]);
    let_in("the issuer is back", &stage, &down.token("alice")).await;
}

#[tokio::test]
async fn what_is_no_set_of_keys_is_not_taken_and_the_keys_of_before_count() {
    let issuer = Issuer::start("corp").await;
    let entry = issuer.entry("corp", ", callers: [{}], refresh_interval: 20ms");
    let stage = Stage::with(&format!("issuers:\n{entry}")).await;
    let_in("its keys are read", &stage, &issuer.token("alice")).await;
    let other = Signer::ed25519();
    let unknown = other.token(&json!({"alg": "EdDSA", "kid": "other"}), &issuer.claims("alice"));
    let mut large = json!({"keys": [other.shown("other")]}).to_string();
    large.insert_str(1, &" ".repeat(300 * 1024));
    let symmetric = json!({"keys": [{"kty": "oct", "kid": "other", "k": "c2VjcmV0"}]});
    let for_encryption = json!({"keys": [{"kty": "RSA", "use": "enc", "kid": "other", "n": "AQAB", "e": "AQAB"}]});
    for shows in [
        Shows::Status("500 Internal Server Error"),
        Shows::Status("302 Found"),
        Shows::Status("404 Not Found"),
        Shows::Nothing,
        Shows::Bytes(Vec::new()),
        Shows::Bytes(b"<html>".to_vec()),
        Shows::Bytes(b"{\"keys\": 7}".to_vec()),
        Shows::Bytes(symmetric.to_string().into_bytes()),
        Shows::Bytes(for_encryption.to_string().into_bytes()),
        Shows::Bytes(large.into_bytes()),
    ] {
        issuer.show(shows.clone());
        // Twice: the first one may have been under way.
        let enough = issuer.asked() + 2;
        let asked = async {
            while issuer.asked() < enough {
                tokio::task::yield_now().await
            }
        };
        within("it is asked again", asked).await;
        call(&stage, &issuer.token_with("alice", json!({"jti": enough})))
            .await
            .unwrap_or_else(|status| panic!("{shows:?}: {status}"));
        away(call(&stage, &unknown).await);
    }
    issuer.show_keys(&[("other", &other)]);
    let_in("the new key", &stage, &unknown).await;
    not_shown(call(&stage, &issuer.token("alice")).await);
}

#[tokio::test]
async fn keys_that_cannot_be_read_for_long_do_not_count_any_more() {
    let issuer = Issuer::start("corp").await;
    let entry = issuer.entry("corp", ", callers: [{}], refresh_interval: 20ms, keep_keys: 500ms");
    let stage = Stage::with(&format!("issuers:\n{entry}")).await;
    let token = issuer.token("alice");
    let_in("its keys are read", &stage, &token).await;
    issuer.show(Shows::Nothing);
    within("they are given up", async { while call(&stage, &token).await.is_ok() {} }).await;
    away(call(&stage, &token).await);
    issuer.show_keys(&[("first", &issuer.signer)]);
    let_in("the issuer is back", &stage, &token).await;
}

#[tokio::test]
async fn a_key_that_is_withdrawn_takes_with_it_the_tokens_that_were_good() {
    let issuer = Issuer::start("corp").await;
    let entry = issuer.entry("corp", ", callers: [{}], refresh_interval: 20ms");
    let stage = Stage::with(&format!("issuers:\n{entry}")).await;
    let token = issuer.token("alice");
    let_in("its keys are read", &stage, &token).await;
    issuer.show_keys(&[("second", &Signer::ed25519())]);
    within("it is withdrawn", async { while call(&stage, &token).await.is_ok() {} }).await;
    not_shown(call(&stage, &token).await);
    issuer.show_keys(&[("first", &issuer.signer)]);
    let_in("it is shown again", &stage, &token).await;
    issuer.show(Shows::Bytes(b"{\"keys\": []}".to_vec()));
    within("all are withdrawn", async { while call(&stage, &token).await.is_ok() {} }).await;
    not_shown(call(&stage, &token).await);
}

#[tokio::test]
async fn keys_in_a_file_are_read_again_when_it_changes() {
    let (folder, issuer) = (tempfile::tempdir().unwrap(), Issuer::start("corp").await);
    let (file, next) = (folder.path().join("keys.json"), folder.path().join("next"));
    let put = |key: serde_json::Value| {
        std::fs::write(&next, json!({"keys": [key]}).to_string()).unwrap();
        std::fs::rename(&next, &file).unwrap();
    };
    put(issuer.signer.shown("first"));
    let section = issuer
        .section()
        .replace(&format!("http://{}/keys?for=tests", issuer.address), &format!("file:{}", file.display()));
    let stage = Stage::with(&section).await;
    let_in("the file is read", &stage, &issuer.token("alice")).await;
    let other = Signer::ecdsa();
    put(other.shown("second"));
    // A name that is not known yet is a reason to look at once.
    let token = other.token(&json!({"alg": "ES256", "kid": "second"}), &issuer.claims("alice"));
    call(&stage, &token).await.unwrap();
    assert_eq!(issuer.asked(), 0);
}

#[tokio::test]
async fn however_many_names_of_keys_are_made_up_few_fetches_are_made() {
    const CALLS: usize = 1500;
    let issuer = Issuer::start("corp").await;
    let stage = Arc::new(Stage::with(&issuer.section()).await);
    let good = issuer.token("alice");
    let_in("its keys are read", &stage, &good).await;
    let stranger = Arc::new(Signer::ed25519());
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let header = json!({"alg": "EdDSA", "kid": format!("made-up-{number}")});
        let token = stranger.token(&header, &issuer.claims("mallory"));
        let stage = Arc::clone(&stage);
        calls.spawn(async move { call(&stage, &token).await });
    }
    // Who shows a key that is known does not notice.
    for _ in 0..20 {
        call(&stage, &good).await.unwrap();
    }
    let refused = within("all are refused", calls.join_all()).await;
    assert!(refused.iter().all(Result::is_err));
    let asked = issuer.asked();
    assert!(asked < CALLS / 100, "{asked} fetches for {CALLS} calls");
    // A bound from below, which no slow machine breaks.
    assert!(asked > 1 && issuer.shortest() >= Duration::from_secs(2), "{:?}", issuer.shortest());
    // And the same name again is none at all.
    let again = stranger.token(&json!({"alg": "EdDSA", "kid": "made-up-again"}), &issuer.claims("mallory"));
    not_shown(call(&stage, &again).await);
    let asked = issuer.asked();
    not_shown(call(&stage, &again).await);
    assert_eq!(issuer.asked(), asked);
    println!("{asked} fetches for {CALLS} calls with made-up names of keys");
}

/// An issuer that signs with one key after the other, each shown as long as tokens of it may be under way.
struct Rotating {
    issuer: Issuer,
    current: std::sync::Mutex<(usize, Arc<Signer>)>,
}

impl Rotating {
    fn token(&self, number: u64) -> String {
        let (round, signer) = self.current.lock().unwrap().clone();
        let claims = self.issuer.claims_with("alice", json!({"jti": number}));
        signer.token(&json!({"alg": signer.algorithm(), "kid": format!("key-{round}")}), &claims)
    }

    /// Another key is shown, and signs at once.
    fn rotate(&self) {
        let mut current = self.current.lock().unwrap();
        let (round, before) = current.clone();
        let next = Arc::new(if round.is_multiple_of(2) { Signer::ecdsa() } else { Signer::ed25519() });
        self.issuer.show_keys(&[(&format!("key-{round}"), &before), (&format!("key-{}", round + 1), &next)]);
        *current = (round + 1, next);
    }
}

#[tokio::test]
async fn no_call_fails_when_an_issuer_takes_another_key_under_load() {
    const ROUNDS: usize = 4;
    let issuer = Issuer::start("corp").await;
    let first = Arc::new(Signer::ed25519());
    issuer.show_keys(&[("key-0", &first)]);
    let stage = Arc::new(Stage::with(&issuer.section()).await);
    let rotating = Arc::new(Rotating { issuer, current: std::sync::Mutex::new((0, first)) });
    let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let (stage, rotating) = (Arc::clone(&stage), Arc::clone(&rotating));
        let (over, calls) = (Arc::clone(&over), Arc::clone(&calls));
        running.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let token = rotating.token(calls.fetch_add(1, Ordering::Relaxed));
                call(&stage, &token).await.unwrap();
            }
        });
    }
    for round in 0..ROUNDS {
        let enough = calls.load(Ordering::Relaxed) + 100;
        let going_on = async {
            while calls.load(Ordering::Relaxed) < enough {
                assert!(running.try_join_next().is_none(), "the load has ended in round {round}");
                tokio::task::yield_now().await;
            }
        };
        within("calls go on", going_on).await;
        rotating.rotate();
    }
    let last = calls.load(Ordering::Relaxed) + 100;
    within("calls go on", async {
        while calls.load(Ordering::Relaxed) < last {
            assert!(running.try_join_next().is_none(), "the load has ended");
            tokio::task::yield_now().await;
        }
    })
    .await;
    over.store(true, Ordering::Relaxed);
    within("the load ends", async { while running.join_next().await.transpose().unwrap().is_some() {} }).await;
    let (calls, asked) = (calls.load(Ordering::Relaxed), rotating.issuer.asked());
    assert!(asked <= 2 * ROUNDS + 2, "{asked} fetches");
    println!("{calls} calls with a token each over {ROUNDS} changes of keys, {asked} fetches");
}
