//! `completiond pool`, the program itself, asking a server in this process over its admin listener.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use std::process::{Command, Stdio};

use completiond::edge::Bound;
use serde_json::Value;
use support::{Server, ask};

/// Exit code, standard output and standard error of `completiond pool` with these arguments.
async fn pool(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_completiond"));
    command.env_clear().arg("pool").args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn tcp(bound: &Bound) -> String {
    match bound {
        Bound::Tcp(address) => address.to_string(),
        Bound::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}

/// A server with two endpoints of which one has answered and one has refused its key.
async fn with_one_that_fails() -> Server {
    let server = Server::start(
        "providers:\n  - { id: well, preset: simulator }\n  - { id: ill, preset: simulator }\n\
         models:\n  - { id: good, targets: [{ provider: well, model: m }] }\n  \
         - { id: bad, targets: [{ provider: ill, model: n }] }\n",
    )
    .await;
    assert!(server.complete(ask("good", "hello")).await.is_ok());
    assert!(server.complete(ask("bad", "sim: error=401")).await.is_err());
    server
}

#[tokio::test]
async fn the_table_says_which_endpoint_is_well_and_which_is_not() {
    let running = with_one_that_fails().await.into_running();
    let admin = tcp(&running.admin);
    let (code, out, err) = pool(&["--once", "--server", &admin]).await;
    assert_eq!(code, 0, "{err}");
    let line = |name: &str| {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{out}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(out.starts_with(&format!("pool of {admin} · 1 key refused, 1 ok\n")), "{out}");
    assert!(line("well/m").starts_with("well/m ok 0"), "{out}");
    let ill = line("ill/n");
    assert!(ill.starts_with("ill/n key refused 0") && ill.ends_with("ago: credentials refused"), "{out}");
    assert!(!out.contains('\u{1b}'), "colours without a terminal: {out:?}");
    // Without a terminal it is printed once, whether or not that is asked for.
    let (code, again, _) = pool(&["--server", &admin]).await;
    assert_eq!((code, again.lines().count()), (0, out.lines().count()), "{again}");
}

#[tokio::test]
async fn json_is_the_whole_answer() {
    let running = with_one_that_fails().await.into_running();
    let (code, out, err) = pool(&["--json", "--server", &tcp(&running.admin)]).await;
    assert_eq!(code, 0, "{err}");
    let response: Value = serde_json::from_str(&out).unwrap();
    let endpoints = response["endpoints"].as_array().unwrap();
    let of = |provider: &str| endpoints.iter().find(|endpoint| endpoint["provider"] == provider).unwrap();
    assert_eq!(of("well")["breaker_state"], "BREAKER_STATE_CLOSED");
    assert_eq!(of("well")["attempts_sent"], "1");
    assert_eq!(of("ill")["key_breaker_state"], "BREAKER_STATE_OPEN");
    assert_eq!(of("ill")["last_failure"]["reason"], "PROVIDER_CREDENTIALS_REFUSED");
    assert!(response["retry_budget"]["capacity"].as_f64().unwrap() > 0.0, "{out}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_is_asked_at_the_wrong_port_is_told_with_what_to_do() {
    let (code, out, err) = pool(&["--once", "--server", "127.0.0.1:1"]).await;
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains("127.0.0.1:1 is not reachable: Connection refused"), "{err}");
    assert!(err.contains("admin_listen"), "{err}");

    let running = with_one_that_fails().await.into_running();
    let (code, _, err) = pool(&["--server", &tcp(&running.public)]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("METHOD_UNKNOWN") && err.contains("admin listener"), "{err}");
}

#[tokio::test]
async fn wrong_flags_are_usage() {
    for arguments in [&["--interval", "5"][..], &["--interval", "1ms"], &["--server", "not an address"], &["extra"]] {
        let (code, _, err) = pool(arguments).await;
        assert_eq!(code, 2, "{arguments:?}: {err}");
    }
    assert!(pool(&["--interval", "5"]).await.2.contains("has no unit"));
    let (code, help, _) = pool(&["--help"]).await;
    assert_eq!(code, 0);
    for word in ["127.0.0.1:50052", "Ctrl-C", "key refused", "130 interrupted", "--once", "--json", "--ca"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}
