//! Every failure that an upstream can cause, in the process; time is paused, so waits take none.

use std::time::Duration;

use completiond::simulator::{Pace, Simulator, directive_names};
use completiond::transport::{Framed, Framer, MAX_FRAME_BYTES, Transport, TransportError};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::ask::{FORMATS, Format, ask, ask_at, instant, outgoing, say};

#[tokio::test]
async fn errors_have_the_shape_and_status_of_the_format() {
    let cases = [
        ("rejected", 400, "invalid_request_error", 400, "invalid_request_error"),
        ("context", 400, "invalid_request_error", 400, "invalid_request_error"),
        ("too_large", 413, "invalid_request_error", 413, "request_too_large"),
        ("credentials", 401, "invalid_request_error", 401, "authentication_error"),
        ("permission", 403, "invalid_request_error", 403, "permission_error"),
        ("quota", 429, "insufficient_quota", 402, "billing_error"),
        ("model", 404, "invalid_request_error", 404, "not_found_error"),
        ("rate_limit", 429, "requests", 429, "rate_limit_error"),
        ("overloaded", 503, "server_error", 529, "overloaded_error"),
        ("unavailable", 500, "server_error", 500, "api_error"),
        ("timeout", 504, "server_error", 504, "timeout_error"),
        ("conflict", 409, "conflict_error", 409, "conflict_error"),
        ("429", 429, "requests", 429, "rate_limit_error"),
        ("529", 529, "server_error", 529, "overloaded_error"),
        ("424", 424, "server_error", 424, "api_error"),
    ];
    for (word, chat_status, chat_type, messages_status, messages_type) in cases {
        let prompt = format!("sim: error={word} retry_after=2 no_retry");
        for (format, status, kind) in
            [(Format::Chat, chat_status, chat_type), (Format::Messages, messages_status, messages_type)]
        {
            for request in [format.request(&prompt, &json!({})), format.streamed(&prompt)] {
                let answer = say(format, request).await;
                assert_eq!((answer.status, &answer.json()["error"]["type"]), (status, &json!(kind)), "{word}");
                assert_eq!(answer.headers["retry-after"], "2");
                assert_eq!(answer.headers["x-should-retry"], "false");
            }
        }
    }
}

#[tokio::test]
async fn answers_that_are_no_answers() {
    for format in FORMATS {
        let empty = say(format, format.streamed("sim: status=503")).await;
        assert_eq!((empty.status, empty.body.len()), (503, 0));
        let page = say(format, format.streamed("sim: html")).await;
        assert_eq!((page.status, &page.body[..6]), (502, &b"<html>"[..]));
        assert_eq!(say(format, format.streamed("sim: html=200")).await.status, 200);
        let hidden = say(format, format.streamed("sim: error_body_200 type=rate_limit")).await;
        assert_eq!((hidden.status, hidden.json()["error"].is_object()), (200, true));
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_fail() {
    for format in FORMATS {
        let send = |prompt: &'static str| async move { ask(&instant(), format, &format.streamed(prompt)).await };
        assert!(matches!(send("sim: reset_before_head").await, Err(TransportError::Lost(_))));
        assert!(matches!(send("sim: connect_refused").await, Err(TransportError::Connect(_))));
        let started = Instant::now();
        assert!(matches!(send("sim: connect_timeout").await, Err(TransportError::ConnectTimeout(_))));
        assert_eq!(started.elapsed(), Duration::from_secs(5));
    }
}

#[tokio::test]
async fn faults_come_after_so_many_frames_and_never_leave_a_complete_answer() {
    for format in FORMATS {
        let whole = say(format, format.streamed("sim: tokens=10")).await.frames();
        for after in 0..6 {
            let play = |fault: &str| say(format, format.streamed(&format!("sim: tokens=10 {fault}={after}")));
            // The format's own greeting may be two frames in one step.
            let sent = |answer: &crate::ask::Answer| answer.frames().iter().filter(|(name, _)| name != "ping").count();
            let cut = play("cut_after").await;
            assert_eq!((sent(&cut), cut.lost, cut.is_complete(format)), (after, false, false));
            let reset = play("reset_after").await;
            assert_eq!((sent(&reset), reset.lost, reset.is_complete(format)), (after, true, false));
            let error = play("error_after").await;
            assert_eq!((sent(&error), error.is_complete(format)), (after + 1, false));
            assert!(error.events().last().unwrap()["error"].is_object());
            let malformed = play("malformed_after").await;
            assert_eq!(malformed.frames().len(), whole.len() + 1);
            assert!(
                malformed
                    .frames()
                    .iter()
                    .any(|(_, data)| serde_json::from_str::<Value>(data).is_err() && data != "[DONE]")
            );
        }
    }
}

#[tokio::test]
async fn an_error_in_the_middle_has_the_kind_that_was_asked_for() {
    let chat = say(Format::Chat, Format::Chat.streamed("sim: error_after=2 type=rate_limit")).await;
    assert_eq!(chat.events().last().unwrap()["error"]["code"], "rate_limit_exceeded");
    let messages = say(Format::Messages, Format::Messages.streamed("sim: error_after=2")).await;
    assert_eq!(messages.frames().last().unwrap().0, "error");
    assert_eq!(messages.events().last().unwrap()["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn whole_answers_break_in_the_middle() {
    for format in FORMATS {
        let play = |fault: &str| say(format, format.request(&format!("sim: {fault}"), &json!({})));
        let is_json = |answer: &crate::ask::Answer| serde_json::from_slice::<Value>(&answer.body).is_ok();
        assert!(!is_json(&play("cut_after=1").await));
        assert!(!is_json(&play("malformed_after=1").await));
        assert!(play("reset_after=1").await.lost);
        assert!(play("error_after=1").await.json()["error"].is_object());
        let unfinished = play("no_end").await.json();
        assert!(unfinished["stop_reason"].is_null() && unfinished["choices"][0]["finish_reason"].is_null());
    }
}

#[tokio::test]
async fn an_answer_without_its_end() {
    for format in FORMATS {
        let answer = say(format, format.streamed("sim: no_end")).await;
        assert!(!answer.is_complete(format) && !answer.lost && !answer.text().is_empty());
    }
    let unmarked = say(Format::Chat, Format::Chat.streamed("sim: no_done")).await;
    assert!(unmarked.is_complete(Format::Chat));
    assert!(unmarked.frames().iter().all(|(_, data)| data != "[DONE]"));
}

#[tokio::test]
async fn an_endless_line_is_longer_than_any_frame() {
    for format in FORMATS {
        let response =
            instant().send(outgoing(format.path(), format.streamed("sim: endless_after=1").to_string())).await;
        let (mut framer, mut body, mut read) = (Framer::default(), response.unwrap().into_body(), 0);
        let found = loop {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            read += piece.len();
            framer.push(&piece);
            let mut next = framer.next_frame().map(|framed| framed.is_some());
            while next == Ok(true) {
                next = framer.next_frame().map(|framed| framed.is_some());
            }
            if next.is_err() {
                break read;
            }
        };
        assert!(found > MAX_FRAME_BYTES && found < 2 * MAX_FRAME_BYTES);
    }
}

#[tokio::test(start_paused = true)]
async fn time_passes_as_it_is_asked_to() {
    for format in FORMATS {
        let lively = Simulator::new(Pace::LIVELY);
        let cases = [
            ("sim: tokens=50", Duration::from_millis(200 + 50 * 20)),
            ("sim: tokens=50 pace=1ms", Duration::from_millis(250)),
            ("sim: tokens=50 pace=0ms first_event=2s", Duration::from_secs(2)),
            ("sim: tokens=50 pace=0ms first_event=0s head=1m", Duration::from_secs(60)),
        ];
        for (prompt, expected) in cases {
            for request in [format.streamed(prompt), format.request(prompt, &json!({}))] {
                let started = Instant::now();
                ask(&lively, format, &request).await.unwrap();
                assert_eq!(started.elapsed(), expected, "{format:?} {prompt}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn silence_lasts_and_what_is_dropped_is_given_up_at_once() {
    for format in FORMATS {
        for (prompt, has_head) in [("sim: silence", false), ("sim: stall_after=2", true)] {
            let simulator = instant();
            let request = format.streamed(prompt);
            let asked = tokio::time::timeout(Duration::from_secs(3600), ask(&simulator, format, &request));
            assert!(asked.await.is_err(), "{prompt}");
            let counts = *simulator.counts().borrow();
            assert_eq!((counts.open, counts.finished, counts.dropped), (0, 0, 1));
            let mut answer = simulator.send(outgoing(format.path(), format.streamed(prompt).to_string()));
            assert_eq!(simulator.open(), 1);
            assert_eq!(futures_util::poll!(&mut answer).is_ready(), has_head);
            drop(answer);
            assert_eq!(simulator.open(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keep_alives_fill_a_silence() {
    for format in FORMATS {
        let body = format.streamed("sim: stall_after=1 ping=10s").to_string();
        let mut body = instant().send(outgoing(format.path(), body)).await.unwrap().into_body();
        let mut framer = Framer::default();
        body.frame().await;
        for _ in 0..5 {
            let started = Instant::now();
            framer.push(&body.frame().await.unwrap().unwrap().into_data().unwrap());
            assert_eq!(started.elapsed(), Duration::from_secs(10));
            match framer.next_frame().unwrap() {
                Some(Framed::KeepAlive) => assert_eq!(format, Format::Chat),
                Some(Framed::Event { event, .. }) => assert_eq!((format, event), (Format::Messages, "ping")),
                None => panic!("no whole frame"),
            }
            while framer.next_frame().unwrap().is_some() {}
        }
    }
}

#[tokio::test]
async fn split_pieces_are_the_same_bytes() {
    for format in FORMATS {
        let strip = |answer: crate::ask::Answer| answer.text();
        let request = |words: &str| format.streamed(&format!("sim: echo {words}\nnaïve 日本語 🙂"));
        assert_eq!(strip(say(format, request("split=1")).await), strip(say(format, request("")).await));
        let body = request("split=7").to_string();
        let mut body = instant().send(outgoing(format.path(), body)).await.unwrap().into_body();
        while let Some(frame) = body.frame().await {
            assert!(frame.unwrap().into_data().unwrap().len() <= 7);
        }
    }
}

#[tokio::test]
async fn what_is_no_directive_is_refused_with_those_that_are() {
    let rules = [
        "sim: tokns=5",
        "sim: tokens=many",
        "sim: tokens=200001",
        "sim: pace=61s",
        "sim: pace=5",
        "sim: head=11m",
        "sim: error=teapot",
        "sim: error=200",
        "sim: status=99",
        "sim: html=x",
        "sim: type=odd",
        "sim: refuse=no",
        "sim: filter=all",
        "sim: finish=A",
        "sim: args=[1]",
        "sim: cut_after=-1",
        "sim: tools=129",
        "sim: split=x",
        "sim: tool=unknown",
        "sim: retry_after=soon",
        "sim: retry_after=date:",
        "sim: retry_after=date:-1",
        "sim: retry_after=1000001",
        "sim: retry_after_ms=0.5",
        "sim: left=101",
        "sim: left=",
    ];
    for format in FORMATS {
        for rule in rules {
            let answer = say(format, format.streamed(rule)).await;
            assert_eq!(answer.status, 400, "{rule}");
        }
        let message = say(format, format.streamed("sim: tokns=5")).await.json()["error"]["message"].to_string();
        for name in directive_names() {
            assert!(message.contains(name), "{name}");
        }
    }
}

#[tokio::test]
async fn nothing_but_the_two_formats_is_spoken() {
    assert_eq!(ask_at(&instant(), "/v1/responses", "{}".into()).await.unwrap().status, 404);
    for format in FORMATS {
        for body in ["", "[]", "{", "null", "{}"] {
            assert_eq!(ask_at(&instant(), format.path(), body.into()).await.unwrap().status, 400, "{body:?}");
        }
        let request =
            http::Request::get(format!("http://simulator{}", format.path())).body(bytes::Bytes::new()).unwrap();
        let answer = instant()
            .send(completiond::transport::Outgoing {
                request,
                connect_timeout: Duration::ZERO,
                proxy: None,
                departure: Default::default(),
            })
            .await;
        assert_eq!(answer.unwrap().status(), 405);
    }
}

#[test]
fn every_directive_is_described() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.md")).unwrap();
    for name in directive_names() {
        assert!(page.contains(&format!("`{name}")), "{name} is not in docs/simulator.md");
    }
}
