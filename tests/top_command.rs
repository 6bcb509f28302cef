//! `completiond top`, the program itself, asking a real server over its ops listener.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test says what it expects; counts are whole numbers"
)]

mod stage;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use completiond::app::{self, Running};
use completiond::proto::CompleteRequest;
use completiond::telemetry::Guard;
use serde_json::Value;
use stage::{Stage, Wire, configuration, parsed, prompt, tcp, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const QUICK: &str = "sim: tokens=5 first_event=0ms pace=0ms\nhello";
const SETTINGS: &str = "
models:
  - { id: m, targets: [{ provider: up, model: simulator }], price: { input: 1000, output: 2000 } }";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_completiond"));
    command.env_clear().arg("top").args(arguments).stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error of `completiond top` with these arguments.
async fn top(arguments: &[&str]) -> (i32, String, String) {
    let mut command = command(arguments);
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = within("the command ends", running).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// `completiond top --json` while it runs. It ends when this is dropped.
struct Watching {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watching {
    fn begin(ops: &str) -> Self {
        let mut command = command(&["--json", "--interval", "200ms", "--server", ops]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (told, lines) = mpsc::unbounded_channel();
        // It ends with the child's standard output.
        std::thread::spawn(move || said.for_each(|line| drop(told.send(line))));
        Self { child, lines }
    }

    async fn next(&mut self) -> Value {
        let line = within("a line comes", self.lines.recv()).await.unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        never_negative(&told, "");
        told
    }
}

/// No figure of any kind is below 0.
fn never_negative(value: &Value, path: &str) {
    match value {
        Value::Number(number) => assert!(number.as_f64().unwrap() >= 0.0, "{path} is {number}"),
        Value::Array(values) => values.iter().for_each(|value| never_negative(value, path)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| never_negative(value, &format!("{path}.{name}")));
        }
        _ => {}
    }
}

fn number(told: &Value, path: &str) -> f64 {
    told.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is no number in {told:#}"))
}

fn asked(script: &str) -> CompleteRequest {
    CompleteRequest { model: "m".to_owned(), ..prompt(script) }
}

/// Fifteen calls that are answered, ten of them streams, and five that fail.
async fn calls(wire: &Wire) {
    for _ in 0..5 {
        wire.complete(&asked(QUICK), &[]).await.expect(tonic::Code::Ok, "", "");
        wire.complete(&asked("sim: error=rejected\nhello"), &[]).await;
        for _ in 0..2 {
            wire.stream(&asked(QUICK), &[]).await.end().await.expect(tonic::Code::Ok, "", "");
        }
    }
}

/// The row of `table` whose `key` is `name`.
fn row<'a>(told: &'a Value, table: &str, key: &str, name: &str) -> &'a Value {
    let rows = told[table].as_array().unwrap();
    rows.iter().find(|row| row[key] == name).unwrap_or_else(|| panic!("no {name} in {rows:?}"))
}

#[tokio::test]
async fn what_has_happened_is_what_is_shown() {
    for naming in ["latest", "legacy", "dup"] {
        let stage = Stage::with(&format!("telemetry: {{ genai_semconv: {naming} }}\n{SETTINGS}")).await;
        let wire = stage.wire().await;
        let mut watching = Watching::begin(&tcp(&stage.running.ops).to_string());
        let before = watching.next().await;
        assert_eq!(number(&before, "/calls/ended/total"), 0.0);
        calls(&wire).await;
        let (mut ended, mut failed, mut tokens) = (0.0, 0.0, 0.0);
        let told = loop {
            let told = watching.next().await;
            ended += number(&told, "/calls/ended/recent");
            failed += number(&told, "/calls/failed/recent");
            tokens += number(&told, "/tokens/output/recent");
            let rate = number(&told, "/calls/ended/recent") / number(&told, "/window_seconds");
            assert!((number(&told, "/calls/ended/per_second") - rate).abs() < 1e-9, "{told:#}");
            // What was used is counted a moment after the call.
            if number(&told, "/calls/ended/total") == 20.0 && number(&told, "/cost/usd/total") > 0.0 {
                break told;
            }
        };
        assert_eq!((ended, failed, tokens), (20.0, 5.0, 75.0), "{naming}: {told:#}");
        assert_eq!(told["continuity"], "same");
        assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
        let total = |row: &Value, what: &str| number(row, &format!("/{what}/total"));
        let model = row(&told, "models", "model", "m");
        assert_eq!((total(model, "completions"), total(model, "failed")), (20.0, 5.0), "{naming}");
        assert_eq!(total(model, "output_tokens"), 75.0);
        let endpoint = row(&told, "endpoints", "endpoint", "up/simulator");
        assert_eq!((total(endpoint, "attempts"), total(endpoint, "failed")), (20.0, 5.0));
        assert_eq!(endpoint["breaker"], "closed");
        let method = row(&told, "methods", "method", "Complete");
        assert_eq!((total(method, "calls"), total(method, "failed")), (10.0, 5.0));
        assert!(number(&told, "/process/workers") >= 1.0 && number(&told, "/process/busy_share") <= 1.0);
    }
}

#[tokio::test]
async fn one_picture_is_text_and_one_object_is_json() {
    let stage = Stage::with(SETTINGS).await;
    calls(&stage.wire().await).await;
    stage.is_quiet().await;
    let ops = tcp(&stage.running.ops).to_string();
    let mut watching = Watching::begin(&ops);
    while number(&watching.next().await, "/calls/ended/total") < 20.0 {}
    let (code, out, err) = top(&["--once", "--interval", "200ms", "--server", &ops]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    let first = out.lines().next().unwrap();
    assert!(first.starts_with(&format!("completiond {} at {ops} · the last ", env!("CARGO_PKG_VERSION"))), "{out}");
    for (label, words) in
        [("calls", "0/s · 0 in flight · 20 since start"), ("failed", "–"), ("tokens", "and 75 since start")]
    {
        assert!(out.lines().any(|line| line.starts_with(label) && line.contains(words)), "{label} {words}: {out}");
    }
    for row in ["up/simulator", "StreamComplete", "m "] {
        assert!(out.lines().any(|line| line.starts_with(row)), "{row}: {out}");
    }
    assert!(!out.contains('\u{1b}'), "colours without a terminal: {out:?}");
    // Without a terminal it is printed once, whether or not that is asked for.
    let (code, again, _) = top(&["--interval", "200ms", "--server", &ops]).await;
    assert_eq!((code, again.lines().count()), (0, out.lines().count()), "{again}");
    let (code, out, err) = top(&["--once", "--json", "--interval", "200ms", "--server", &ops]).await;
    assert_eq!((code, out.lines().count()), (0, 1), "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((number(&told, "/calls/ended/total"), number(&told, "/calls/ended/recent")), (20.0, 0.0));
    assert_eq!(told["server"], ops);
    assert!(told["time"].as_str().unwrap().ends_with('Z') && told["calls"]["failed_share"].is_null(), "{told:#}");
}

/// A server in front of `stage`'s upstream with its ops listener there.
async fn started(stage: &Stage, ops: &str) -> Running {
    let text = configuration(&stage.upstream.url(), "openai", SETTINGS);
    let text = text.replace("ops_listen: 127.0.0.1:0", &format!("ops_listen: {ops}"));
    app::start(&parsed(&text), Guard::start(|_| None).unwrap().tracer()).await.unwrap()
}

#[tokio::test]
async fn a_server_that_is_restarted_is_waited_for_and_said_to_be() {
    let stage = Stage::with(SETTINGS).await;
    let first = started(&stage, "127.0.0.1:0").await;
    let ops = tcp(&first.ops).to_string();
    calls(&Wire::connect(tcp(&first.public)).await).await;
    let mut watching = Watching::begin(&ops);
    while number(&watching.next().await, "/calls/ended/total") < 20.0 {}
    first.stop().await;
    let second = started(&stage, &ops).await;
    let wire = Wire::connect(tcp(&second.public)).await;
    wire.complete(&asked(QUICK), &[]).await.expect(tonic::Code::Ok, "", "");
    let told = loop {
        let told = watching.next().await;
        if told["continuity"] == "restarted" && number(&told, "/calls/ended/total") > 0.0 {
            break told;
        }
    };
    assert_eq!(number(&told, "/calls/ended/total"), 1.0);
    assert_eq!(number(&told, "/calls/failed/total"), 0.0);
}

#[tokio::test]
async fn who_has_no_figures_is_told_with_what_to_do() {
    let (code, out, err) = top(&["--once", "--server", "127.0.0.1:1"]).await;
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains("127.0.0.1:1 is not reachable: Connection refused") && err.contains("ops_listen"), "{err}");

    let stage = Stage::with(SETTINGS).await;
    let listeners = [
        (&stage.running.public, "it answers GET /metrics with 404 Not Found"),
        (&stage.running.admin, "answers as a gRPC listener does"),
    ];
    for (listener, words) in listeners {
        let address = tcp(listener).to_string();
        for form in [&["--once"][..], &["--json"], &["--json", "--once"]] {
            let (code, out, err) = top(&[form, &["--server", &address]].concat()).await;
            assert_eq!((code, out.as_str()), (1, ""), "{err}");
            assert!(err.contains(words) && err.contains("50053"), "{err}");
        }
    }
    let web = web_server().await;
    let (code, _, err) = top(&["--once", "--server", &web]).await;
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("HTTP/2") && err.contains("ops_listen"), "{err}");
}

/// A server that speaks HTTP/1.1 and nothing else.
async fn web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut asked = [0; 64];
            let _ = connection.read(&mut asked).await;
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    address
}

#[tokio::test]
async fn wrong_flags_are_usage() {
    for arguments in [
        &["--interval", "5"][..],
        &["--interval", "100ms"],
        &["--interval", "2m"],
        &["--window", "1h"],
        &["--window", "10s", "--once"],
        &["--server", "not an address"],
        &["extra"],
    ] {
        let (code, _, err) = top(arguments).await;
        assert_eq!(code, 2, "{arguments:?}: {err}");
    }
    let (code, help, _) = top(&["--help"]).await;
    assert_eq!(code, 0);
    for word in ["127.0.0.1:50053", "Ctrl-C", "port-forward", "130 interrupted", "--once", "--json", "--ca", "--window"]
    {
        assert!(help.contains(word), "{word}: {help}");
    }
}
