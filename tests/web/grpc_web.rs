//! gRPC-Web, in both of its forms and over both versions of HTTP: the same calls, the same bounds, the same errors.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use completiond::proto::{CompleteResponse, StreamCompleteResponse, stream_complete_response::Event};
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::desk::{BOTH, Ended, Http, caller};
use crate::fold::fold;
use crate::stage::{Stage, framed, prompt};

const SERVICE: &str = "/completiond.v1.CompletionService";
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";
/// What the flags of a frame say that has trailers.
const TRAILERS: u8 = 0x80;

/// A call that has ended.
#[derive(Debug)]
struct Called {
    messages: Vec<Bytes>,
    /// Of the frame at the end; none: there is none.
    trailers: Option<HeaderMap>,
    ended: Ended,
}

async fn call(
    stage: &Stage,
    (http, form): (Http, &str),
    (method, asked): (&str, &str),
    headers: &[(&str, &str)],
) -> Called {
    let body = framed(&prompt(asked));
    let body = if form == TEXT { Bytes::from(STANDARD.encode(body)) } else { body };
    let headers = [&[("content-type", form), ("accept", form), ("x-grpc-web", "1")], headers].concat();
    let path = format!("{SERVICE}/{method}");
    Called::read(http.send(stage.address(), ("POST", &path), &headers, body).await.end().await)
}

impl Called {
    fn read(ended: Ended) -> Self {
        assert_eq!(ended.status, 200, "{ended:?}");
        let mut bytes = match ended.header("content-type") {
            TEXT => decoded(&ended.body),
            BINARY => ended.body.to_vec(),
            other => panic!("{other}: {ended:?}"),
        };
        let (mut messages, mut trailers) = (Vec::new(), None);
        while bytes.len() >= 5 {
            let length = usize::try_from(u32::from_be_bytes(bytes[1..5].try_into().unwrap())).unwrap();
            let rest = bytes.split_off(5 + length);
            if bytes[0] == TRAILERS {
                trailers = Some(headers(&bytes[5..]));
            } else {
                messages.push(Bytes::copy_from_slice(&bytes[5..]));
            }
            bytes = rest;
        }
        assert!(bytes.is_empty(), "{bytes:?} is no frame");
        Self { messages, trailers, ended }
    }

    /// How it ended: in the frame at the end, or in the head where there is nothing else.
    fn status(&self) -> Status {
        let found = self.trailers.as_ref().unwrap_or(&self.ended.headers);
        Status::from_header_map(found).unwrap_or_else(|| panic!("no status: {self:?}"))
    }

    fn events(&self) -> Vec<StreamCompleteResponse> {
        self.messages.iter().map(|message| StreamCompleteResponse::decode(message.clone()).unwrap()).collect()
    }
}

/// Pieces of base64, each with its own padding.
fn decoded(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|four| STANDARD.decode(four).unwrap()).collect()
}

/// A block of headers as gRPC-Web writes trailers.
fn headers(block: &[u8]) -> HeaderMap {
    let text = std::str::from_utf8(block).unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line}"));
        (name.parse::<HeaderName>().unwrap(), value.trim().parse::<HeaderValue>().unwrap())
    };
    text.split("\r\n").filter(|it| !it.is_empty()).map(line).collect()
}

fn ways() -> impl Iterator<Item = (Http, &'static str)> {
    BOTH.into_iter().flat_map(|http| [(http, BINARY), (http, TEXT)])
}

#[tokio::test]
async fn a_call_and_a_stream_are_answered_in_either_form() {
    const ASKED: &str = "sim: tokens=30 first_event=0ms pace=0ms";
    let stage = Stage::with("").await;
    for way in ways() {
        let whole = call(&stage, way, ("Complete", ASKED), &[]).await;
        assert_eq!(whole.status().code(), Code::Ok, "{way:?}: {whole:?}");
        assert!(whole.trailers.is_some() && whole.ended.broken.is_none(), "{way:?}: {whole:?}");
        let answer = CompleteResponse::decode(whole.messages[0].clone()).unwrap();
        let streamed = call(&stage, way, ("StreamComplete", ASKED), &[]).await;
        assert_eq!(streamed.status().code(), Code::Ok, "{way:?}: {streamed:?}");
        let folded = fold(&streamed.events()).unwrap();
        assert_eq!((folded.text, folded.message), (answer.text, answer.message), "{way:?}");
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn an_error_in_the_middle_comes_with_its_details_in_the_frame_of_trailers() {
    let stage = Stage::with("retry: { max_attempts: 1 }").await;
    for way in ways() {
        let asked = ("StreamComplete", "sim: tokens=60 first_event=0ms pace=0ms reset_after=20");
        let broken = call(&stage, way, asked, &[]).await;
        assert!(broken.trailers.is_some(), "{way:?}: {broken:?}");
        let status = broken.status();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "STREAM_INTERRUPTED");
        assert!(!details.request_info().unwrap().request_id.is_empty());
        let events = broken.events();
        assert!(
            !events.is_empty() && !events.iter().any(|it| matches!(it.event, Some(Event::Completed(_)))),
            "{way:?}"
        );
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_details() {
    let stage = Stage::with(&format!(
        "{}limits: {{ max_request_bytes: 64KiB }}\nretry: {{ max_attempts: 1 }}",
        caller("the-key", "")
    ))
    .await;
    let key = [("authorization", "Bearer the-key")];
    let large = "words ".repeat(20_000);
    for way in ways() {
        for (asked, headers, code, reason) in [
            ("hello", &[][..], Code::Unauthenticated, "CREDENTIALS_INVALID"),
            ("", &key[..], Code::InvalidArgument, "INVALID_REQUEST"),
            (large.as_str(), &key[..], Code::InvalidArgument, "REQUEST_TOO_LARGE"),
            ("sim: error=rejected", &key[..], Code::InvalidArgument, "PROVIDER_REJECTED"),
        ] {
            for method in ["Complete", "StreamComplete"] {
                let refused = call(&stage, way, (method, asked), headers).await;
                let status = refused.status();
                assert_eq!(status.code(), code, "{way:?} {method} {reason}: {refused:?}");
                let details = status.get_error_details();
                assert_eq!(details.error_info().unwrap().reason, reason, "{way:?} {method}");
                assert!(refused.messages.is_empty());
            }
        }
        let unknown = call(&stage, way, ("NoSuchMethod", "hello"), &key).await.status();
        assert_eq!(unknown.code(), Code::Unimplemented);
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn bytes_that_are_no_base64_are_refused() {
    let stage = Stage::with("").await;
    let path = format!("{SERVICE}/Complete");
    for http in BOTH {
        let headers = [("content-type", TEXT)];
        for body in ["!!!!", "AAA", "AAAAAAE"] {
            let ended = http.send(stage.address(), ("POST", &path), &headers, body).await.end().await;
            let status = Status::from_header_map(&ended.headers).unwrap();
            assert_eq!(status.code(), Code::InvalidArgument, "{http:?} {body}: {status:?}");
        }
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn the_same_bounds_hold_and_a_client_that_goes_away_stops_its_upstream() {
    let stage = Stage::with("limits: { max_in_flight: 1 }").await;
    let path = format!("{SERVICE}/StreamComplete");
    for http in BOTH {
        let headers = [("content-type", BINARY)];
        let body = framed(&prompt("sim: tokens=60 first_event=0ms pace=0ms stall_after=20"));
        let mut open = http.send(stage.address(), ("POST", &path), &headers, body).await;
        open.piece().await.unwrap();
        let refused = call(&stage, (http, BINARY), ("Complete", "hello"), &[]).await.status();
        assert_eq!(refused.get_error_details().error_info().unwrap().reason, "OVERLOADED");
        drop(open);
        stage.is_quiet().await;
    }
}

#[tokio::test]
async fn a_deadline_holds() {
    let stage = Stage::with("").await;
    for way in ways() {
        let late = call(&stage, way, ("Complete", "sim: silence"), &[("grpc-timeout", "200m")]).await.status();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    }
    stage.is_quiet().await;
}
