//! What callers make up writes no line of its own into the log, and nothing that a terminal obeys, in either format.

use completiond::proto::CompleteRequest;

use crate::paper::measured;
use crate::peer::{END_HEADERS, END_STREAM, Ears, HEADERS, Peer, frame, head, streams};
use crate::server::{Server, ask, shown};
use crate::stage::Wire;

/// What would be a line of its own, an order to a terminal, or the end of a text of JSON.
const MADE_UP: [&str; 12] = [
    "\n{\"level\":\"ERROR\",\"message\":\"forged\"}",
    "\r\nforged",
    "\r\u{1b}[2K forged",
    "\u{1b}[31mforged\u{1b}[0m",
    "\u{1b}]0;forged\u{7}",
    "\u{9b}2Jforged",
    "\u{85}forged",
    "\u{2028}forged",
    "\",\"level\":\"ERROR\",\"message\":\"forged\",\"x\":\"",
    "\\\",\\\"forged",
    "\u{202e}degrof",
    "%0aforged",
];

async fn attack(server: &Server) -> usize {
    let wire = Wire::connect(server.public).await;
    let mut calls = 0;
    for text in MADE_UP {
        let word: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for model in [text.to_owned(), format!("up/{text}"), format!("up/{word}"), word.clone()] {
            wire.complete(&CompleteRequest { model, ..ask("hello") }, &shown()).await;
            calls += 1;
        }
        let mut asked = ask("hello");
        (asked.user, asked.conversation_id, asked.service_tier) = (text.into(), text.into(), text.into());
        asked.labels = [(format!("k{text}"), text.to_owned()), ("team".to_owned(), text.to_owned())].into();
        wire.complete(&asked, &shown()).await;
        wire.complete(&CompleteRequest { request_id: text.to_owned(), ..ask("hello") }, &shown()).await;
        calls += 2;
    }
    // Paths and headers as no client would send them; what no header may hold ends its stream or its connection.
    for text in MADE_UP {
        let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
        let path = format!("/completiond.v1.CompletionService/{text}");
        for (stream, (path, name, value)) in streams().zip([
            (path.as_str(), "user-agent", text),
            (text, "x-request-id", text),
            ("/completiond.v1.CompletionService/Complete", "authorization", text),
            ("/completiond.v1.CompletionService/Complete", "traceparent", text),
            ("/completiond.v1.CompletionService/Complete", "grpc-timeout", text),
        ]) {
            if !peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(path, &[(name, value)]))).await {
                break;
            }
        }
        peer.hears("it is answered", |heard| heard.heads + heard.resets > 0 || heard.is_over).await;
    }
    server.serves().await;
    calls + 1
}

/// Characters that begin a line, or that a terminal obeys.
fn is_obeyed(c: char) -> bool {
    c.is_control() && c != '\n'
}

#[tokio::test]
async fn what_callers_make_up_is_no_line_of_a_log_in_json() {
    let server = Server::shaped("usage: { labels: [team] }", "json").await;
    let calls = attack(&server).await;
    let log = server.log();
    assert!(!log.contains(is_obeyed), "{log}");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        assert_ne!(line["message"], "forged", "{line}");
        assert!(line["level"] != "ERROR" && line["target"].as_str().unwrap().starts_with("completiond"), "{line}");
    }
    let ended = lines.iter().filter(|line| line["message"] == "call ended").count();
    assert!((calls..calls + 100).contains(&ended), "{ended} lines for {calls} calls and some from elsewhere");
    measured(
        "what_callers_make_up_is_no_line_of_a_log_in_json",
        &format!("{} lines, each of them the server's own", lines.len()),
    );
}

#[tokio::test]
async fn what_callers_make_up_is_no_line_of_a_log_for_people() {
    let server = Server::shaped("usage: { labels: [team] }", "pretty").await;
    attack(&server).await;
    let log = server.log();
    assert!(!log.contains(is_obeyed) && !log.contains('\u{202e}'), "{log}");
    for line in log.lines() {
        // 2026-01-02T03:04:05.678901Z  INFO completiond…
        let mut words = line.split_whitespace();
        assert!(words.next().is_some_and(|time| time.ends_with('Z') && time.contains('T')), "{line}");
        assert!(words.next().is_some_and(|level| ["INFO", "WARN"].contains(&level)), "{line}");
        assert!(words.next().is_some_and(|target| target.starts_with("completiond")), "{line}");
    }
    measured(
        "what_callers_make_up_is_no_line_of_a_log_for_people",
        &format!("{} lines, each of them the server's own", log.lines().count()),
    );
}
