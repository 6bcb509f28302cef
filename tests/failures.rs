//! Failures end to end: whatever an upstream does to us, a client gets the one status that the contract has for it,
//! with all that it needs and nothing that it must not see. Never OK, and never a wait without end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use completiond::proto::content_block::Block;
use completiond::proto::stream_complete_response::Event;
use completiond::proto::{AttemptOutcome, CompleteRequest, ContentBlock, Message, Role, Text, UsageSource};
use completiond::simulator::{Simulator, Upstream};
use futures_util::future::join_all;
use prost::Message as _;
use support::{KEY, PROTOCOLS, Seen, Server, Streamed, ask, provider, raw, refused};
use tonic::Code;

/// Stands in every prompt, and nowhere else.
const SECRET: &str = "words-that-nobody-else-may-read";
/// What the upstream says where it says something: three tokens.
const TEXT: &str = "one two three";

/// How the caller asks, and what our server makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// `Complete`, streamed upstream.
    Folded,
    /// `Complete` of an answer that must be short, which is asked for whole.
    Whole,
    /// `StreamComplete`.
    Stream,
}

const MODES: [Mode; 3] = [Mode::Folded, Mode::Whole, Mode::Stream];

/// A server with one provider for each protocol, both at the same upstream.
struct Scene {
    upstream: Upstream,
    server: Server,
    version: http::Version,
}

impl Scene {
    async fn new(settings: &str) -> Self {
        Self::over(settings, false).await
    }

    /// Asked over HTTP/1.1, and another that is asked over HTTP/2: nobody shall see a difference.
    async fn both(settings: &str) -> [Self; 2] {
        [Self::over(settings, false).await, Self::over(settings, true).await]
    }

    async fn over(settings: &str, http2: bool) -> Self {
        let upstream = Upstream::start(Simulator::default()).await.unwrap();
        let server = at(&upstream.url(), settings, http2).await;
        let version = if http2 { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
        Self { upstream, server, version }
    }

    async fn play(&self, protocol: &str, directives: &str, mode: Mode) -> Result<Streamed, Seen> {
        let played = play(&self.server, protocol, directives, mode).await;
        assert!(self.upstream.received().iter().all(|received| received.version == self.version));
        played
    }

    /// The failure before anything of an answer left for the client.
    async fn refusal(&self, protocol: &str, directives: &str, mode: Mode) -> Seen {
        let played = self.play(protocol, directives, mode).await;
        played.map(|begun| panic!("{protocol} {directives} {mode:?}: {begun:#?}")).unwrap_or_else(|seen| seen)
    }

    /// The events and the failure of a stream that had begun.
    async fn interruption(&self, protocol: &str, directives: &str) -> (Vec<Event>, Seen) {
        let streamed = self.play(protocol, directives, Mode::Stream).await;
        let streamed = streamed.unwrap_or_else(|seen| panic!("{protocol} {directives}: {seen:#?}"));
        let failure = streamed.failure.unwrap_or_else(|| panic!("{protocol} {directives}: it ended with OK"));
        (streamed.events.into_iter().map(|event| event.event.unwrap()).collect(), failure)
    }
}

/// One attempt for each call: what is tried again, and where, has tests of its own.
async fn at(url: &str, settings: &str, http2: bool) -> Server {
    let own = format!(", http2: {http2} }}");
    let providers: String =
        PROTOCOLS.iter().map(|protocol| provider(protocol, protocol, url).replace(" }", &own)).collect();
    Server::start(&format!("retry: {{ max_attempts: 1 }}\n{settings}\nproviders:\n{providers}")).await
}

fn asked(protocol: &str, directives: &str, mode: Mode) -> CompleteRequest {
    let mut asked = ask(&format!("{protocol}/m?{directives}"), &format!("sim: echo\n{TEXT}"));
    asked.system = format!("{SECRET} {KEY}");
    asked.messages = vec![said(Role::User, SECRET), said(Role::Assistant, KEY)];
    asked.max_tokens = (mode == Mode::Whole).then_some(1000);
    asked
}

fn said(role: Role, text: &str) -> Message {
    let text = Block::Text(Text { text: text.into(), ..Text::default() });
    let content = vec![ContentBlock { block: Some(text), ..ContentBlock::default() }];
    Message { role: role.into(), content, ..Message::default() }
}

/// A call in `mode`; a whole answer counts as a stream without events.
async fn play(server: &Server, protocol: &str, directives: &str, mode: Mode) -> Result<Streamed, Seen> {
    let asked = asked(protocol, directives, mode);
    match mode {
        Mode::Stream => server.stream(asked).await,
        Mode::Folded | Mode::Whole => {
            server.complete(asked).await.map(|_| Streamed { events: Vec::new(), failure: None })
        }
    }
}

/// What clients that try again by themselves are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    After(Duration),
    Never,
    Unsaid,
}

const SECOND: Duration = Duration::from_secs(1);
const SOON: Retry = Retry::After(SECOND);

/// The contract's row of a reason, where the upstream gave no hint.
fn row(reason: &str) -> (Code, Retry) {
    match reason {
        "PROVIDER_RATE_LIMITED" => (Code::ResourceExhausted, SOON),
        "PROVIDER_UNAVAILABLE" => (Code::Unavailable, SOON),
        "PROVIDER_QUOTA_EXHAUSTED" => (Code::ResourceExhausted, Retry::Never),
        "PROVIDER_CREDENTIALS_REFUSED" | "PROVIDER_MODEL_NOT_FOUND" => (Code::FailedPrecondition, Retry::Never),
        "PROVIDER_REJECTED" | "CONTEXT_LENGTH_EXCEEDED" | "REQUEST_TOO_LARGE" => (Code::InvalidArgument, Retry::Never),
        "PROVIDER_TIMEOUT" => (Code::DeadlineExceeded, Retry::Unsaid),
        "PROVIDER_PROTOCOL_ERROR" => (Code::Internal, Retry::Unsaid),
        "STREAM_INTERRUPTED" => (Code::Unavailable, Retry::Unsaid),
        _ => panic!("{reason} is no reason of an upstream"),
    }
}

/// Holds a failure against the contract: code, reason, hint, details, and what it must not tell.
fn check(seen: &Seen, provider: &str, reason: &str, hint: Option<Retry>, context: &str) {
    let (code, retry) = row(reason);
    assert_eq!(seen.kind(), (code, reason), "{context}: {seen:#?}");
    assert_eq!(seen.domain, "completiond", "{context}");
    let (delay, pushback) = match hint.unwrap_or(retry) {
        Retry::After(delay) => (Some(delay), Some(delay.as_millis().to_string())),
        Retry::Never => (None, Some("-1".to_owned())),
        Retry::Unsaid => (None, None),
    };
    assert_eq!((seen.retry_delay, &seen.pushback), (delay, &pushback), "{context}: {seen:#?}");

    let failure = seen.failure();
    assert_eq!(seen.request_id, failure.id, "{context}");
    assert_eq!(uuid::Uuid::parse_str(&seen.request_id).unwrap().get_version_num(), 7, "{context}");
    assert_eq!(seen.metadata["provider"], provider, "{context}");
    assert!(seen.metadata["model"].starts_with("m?"), "{context}: {seen:#?}");
    assert_eq!(seen.metadata["attempts"], failure.attempts.len().to_string(), "{context}");
    for attempt in &failure.attempts {
        assert_eq!(attempt.outcome(), AttemptOutcome::Failed, "{context}: {seen:#?}");
        let alone = if reason == "STREAM_INTERRUPTED" { "PROVIDER_UNAVAILABLE or PROVIDER_TIMEOUT" } else { reason };
        assert!(alone.contains(&attempt.reason), "{context}: {seen:#?}");
        assert_eq!(attempt.status, i32::from(row(&attempt.reason).0), "{context}: {seen:#?}");
        assert!(attempt.endpoint.starts_with(&format!("{provider}/m?")) && attempt.duration.is_some(), "{context}");
    }
    assert_eq!(failure.attempts_omitted, 0, "{context}");
    let quoted = matches!(reason, "PROVIDER_REJECTED" | "CONTEXT_LENGTH_EXCEEDED" | "REQUEST_TOO_LARGE");
    assert!(quoted || failure.provider_error.is_none(), "{context}: {seen:#?}");
    assert!(seen.details_bytes < 4096, "{context}");
    tells_no_secret(seen, context);
}

fn tells_no_secret(seen: &Seen, context: &str) {
    let detail = seen.failure().encode_to_vec();
    let shown = format!("{seen:?} {}", String::from_utf8_lossy(&detail));
    for secret in [SECRET, KEY, TEXT] {
        assert!(!shown.contains(secret), "{context} tells {secret}: {shown}");
    }
}

/// A failure of every upstream in every mode: directives, the reason, the hint, the status that the upstream sent.
type Refusal = (&'static str, &'static str, Option<Retry>, [u16; 2]);

const REFUSALS: &[Refusal] = &[
    ("error=429", "PROVIDER_RATE_LIMITED", None, [429, 429]),
    ("error=rate_limit&retry_after=7", "PROVIDER_RATE_LIMITED", Some(Retry::After(Duration::from_secs(7))), [429, 429]),
    ("error=rate_limit&retry_after=0", "PROVIDER_RATE_LIMITED", Some(Retry::After(Duration::ZERO)), [429, 429]),
    ("error=rate_limit&no_retry", "PROVIDER_RATE_LIMITED", Some(Retry::Never), [429, 429]),
    ("status=429", "PROVIDER_RATE_LIMITED", None, [429, 429]),
    ("error=500", "PROVIDER_UNAVAILABLE", None, [500, 500]),
    ("error=502", "PROVIDER_UNAVAILABLE", None, [502, 502]),
    ("error=503&retry_after=3", "PROVIDER_UNAVAILABLE", Some(Retry::After(Duration::from_secs(3))), [503, 503]),
    ("error=503&no_retry", "PROVIDER_UNAVAILABLE", Some(Retry::Never), [503, 503]),
    ("error=504", "PROVIDER_UNAVAILABLE", None, [504, 504]),
    ("error=529", "PROVIDER_UNAVAILABLE", None, [529, 529]),
    ("error=overloaded", "PROVIDER_UNAVAILABLE", None, [529, 503]),
    ("error=408", "PROVIDER_UNAVAILABLE", None, [408, 408]),
    ("error=409", "PROVIDER_UNAVAILABLE", None, [409, 409]),
    ("error=424", "PROVIDER_UNAVAILABLE", None, [424, 424]),
    ("error=498", "PROVIDER_UNAVAILABLE", None, [498, 498]),
    ("status=500", "PROVIDER_UNAVAILABLE", None, [500, 500]),
    ("html=502", "PROVIDER_UNAVAILABLE", None, [502, 502]),
    ("html=503", "PROVIDER_UNAVAILABLE", None, [503, 503]),
    ("error=401", "PROVIDER_CREDENTIALS_REFUSED", None, [401, 401]),
    ("error=403", "PROVIDER_CREDENTIALS_REFUSED", None, [403, 403]),
    ("status=401", "PROVIDER_CREDENTIALS_REFUSED", None, [401, 401]),
    ("error=402", "PROVIDER_QUOTA_EXHAUSTED", None, [402, 402]),
    ("error=quota", "PROVIDER_QUOTA_EXHAUSTED", None, [402, 429]),
    ("error=quota&retry_after=1", "PROVIDER_QUOTA_EXHAUSTED", None, [402, 429]),
    ("error=404", "PROVIDER_MODEL_NOT_FOUND", None, [404, 404]),
    ("error=400", "PROVIDER_REJECTED", None, [400, 400]),
    ("error=422", "PROVIDER_REJECTED", None, [422, 422]),
    ("error=context", "CONTEXT_LENGTH_EXCEEDED", None, [400, 400]),
    ("error=413", "REQUEST_TOO_LARGE", None, [413, 413]),
    ("status=413", "REQUEST_TOO_LARGE", None, [413, 413]),
    ("status=302", "PROVIDER_PROTOCOL_ERROR", None, [302, 302]),
];

#[tokio::test]
async fn an_upstream_that_refuses_has_its_row_in_every_way_of_asking() {
    for scene in &Scene::both("").await {
        let each = |case: &'static Refusal, mode: Mode| async move {
            let (directives, reason, hint, statuses) = case;
            for (protocol, status) in PROTOCOLS.into_iter().zip(statuses) {
                let context = format!("{protocol} {directives} {mode:?}");
                let seen = scene.refusal(protocol, directives, mode).await;
                check(&seen, protocol, reason, *hint, &context);
                assert_eq!(seen.metadata["upstreamStatus"], status.to_string(), "{context}");
                assert!(seen.metadata["upstreamRequestId"].starts_with("req_sim_"), "{context}");
                assert_eq!(seen.failure().attempts.len(), 1, "{context}");
            }
        };
        join_all(REFUSALS.iter().flat_map(|case| MODES.map(|mode| each(case, mode)))).await;
    }
}

#[tokio::test]
async fn a_rejected_request_comes_back_with_the_providers_words_and_without_ours() {
    let scene = &Scene::new("").await;
    for (directives, words, types) in [
        ("error=400", "simulated: the request is malformed", ["invalid_request_error"; 2]),
        ("error=413", "simulated: the request is too large", ["request_too_large", "invalid_request_error"]),
        ("error_body_200&type=rejected", "simulated: the request is malformed", ["invalid_request_error"; 2]),
        ("error_after=0&type=rejected", "simulated: the request is malformed", ["invalid_request_error"; 2]),
    ] {
        for (protocol, kind) in PROTOCOLS.into_iter().zip(types) {
            for mode in MODES {
                let context = format!("{protocol} {directives} {mode:?}");
                let seen = scene.refusal(protocol, directives, mode).await;
                assert_eq!(seen.code, Code::InvalidArgument, "{context}: {seen:#?}");
                let told = seen.failure().provider_error.as_ref().unwrap_or_else(|| panic!("{context}: {seen:#?}"));
                assert_eq!((told.message.as_str(), told.r#type.as_str()), (words, kind), "{context}");

                // A caller who has written the same words finds them masked.
                let mut asked = asked(protocol, directives, mode);
                asked.prompt.push_str(&format!("\nWhat does it mean that {words}?"));
                let seen = match mode {
                    Mode::Stream => refused(scene.server.stream(asked).await),
                    _ => scene.server.complete(asked).await.unwrap_err(),
                };
                assert_eq!(seen.failure().provider_error.as_ref().unwrap().message, "***", "{context}");
                assert!(!seen.message.contains(words), "{context}");
            }
        }
    }
}

/// Where an answer breaks, and in which modes that is a failure before anything left.
const BROKEN: &[(&str, &str, &[Mode])] = &[
    ("reset_before_head", "PROVIDER_UNAVAILABLE", &MODES),
    ("status=204", "PROVIDER_PROTOCOL_ERROR", &MODES),
    ("status=200", "PROVIDER_PROTOCOL_ERROR", &MODES),
    ("html=200", "PROVIDER_PROTOCOL_ERROR", &MODES),
    ("error_body_200", "PROVIDER_UNAVAILABLE", &MODES),
    ("error_body_200&type=overloaded", "PROVIDER_UNAVAILABLE", &MODES),
    ("error_body_200&type=rate_limit", "PROVIDER_RATE_LIMITED", &MODES),
    ("error_body_200&type=quota", "PROVIDER_QUOTA_EXHAUSTED", &MODES),
    ("error_body_200&type=credentials", "PROVIDER_CREDENTIALS_REFUSED", &MODES),
    ("error_body_200&type=model", "PROVIDER_MODEL_NOT_FOUND", &MODES),
    ("error_body_200&type=context", "CONTEXT_LENGTH_EXCEEDED", &MODES),
    ("error_after=0", "PROVIDER_UNAVAILABLE", &MODES),
    ("error_after=0&type=rate_limit", "PROVIDER_RATE_LIMITED", &MODES),
    ("error_after=1", "PROVIDER_UNAVAILABLE", &MODES),
    ("error_after=3", "PROVIDER_UNAVAILABLE", &[Mode::Folded, Mode::Whole]),
    ("error_after=3&type=rate_limit", "PROVIDER_RATE_LIMITED", &[Mode::Folded]),
    ("malformed_after=0", "PROVIDER_PROTOCOL_ERROR", &MODES),
    ("malformed_after=1", "PROVIDER_PROTOCOL_ERROR", &MODES),
    ("malformed_after=3", "PROVIDER_PROTOCOL_ERROR", &[Mode::Folded, Mode::Whole]),
    ("no_end", "PROVIDER_UNAVAILABLE", &[Mode::Folded, Mode::Whole]),
    ("cut_after=0", "PROVIDER_UNAVAILABLE", &MODES),
    ("cut_after=0&split=1", "PROVIDER_UNAVAILABLE", &MODES),
    ("reset_after=0", "PROVIDER_UNAVAILABLE", &MODES),
    ("reset_after=3", "PROVIDER_UNAVAILABLE", &[Mode::Folded, Mode::Whole]),
    ("endless_after=0", "PROVIDER_PROTOCOL_ERROR", &[Mode::Folded, Mode::Stream]),
    ("endless_after=3", "PROVIDER_PROTOCOL_ERROR", &[Mode::Folded]),
    ("finish=error", "PROVIDER_UNAVAILABLE", &[Mode::Folded, Mode::Whole]),
];

#[tokio::test]
async fn an_answer_that_breaks_before_anything_left_is_a_failure_without_a_beginning() {
    for scene in &Scene::both("").await {
        let each = |(directives, reason, modes): &'static (&str, &str, &[Mode])| async move {
            for (protocol, mode) in
                PROTOCOLS.into_iter().flat_map(|protocol| modes.iter().map(move |mode| (protocol, *mode)))
            {
                let context = format!("{protocol} {directives} {mode:?}");
                let seen = scene.refusal(protocol, directives, mode).await;
                check(&seen, protocol, reason, None, &context);
                assert_eq!(seen.failure().attempts.len(), 1, "{context}");
            }
        };
        join_all(BROKEN.iter().map(each)).await;
    }
}

/// How many frames the upstream's answer has, and after how many of them a block has begun and the answer is complete.
const FRAMES: [(&str, u32, u32, u32); 2] = [("anthropic", 8, 2, 8), ("openai", 7, 2, 5)];

#[tokio::test]
async fn an_answer_that_is_cut_at_any_frame_never_looks_complete() {
    for scene in &Scene::both("").await {
        for (protocol, frames, begun, complete) in FRAMES {
            for cut in 0..=frames {
                let directives = format!("cut_after={cut}");
                let context = format!("{protocol} {directives}");
                if cut >= complete {
                    let streamed = scene.play(protocol, &directives, Mode::Stream).await.unwrap();
                    assert_eq!(streamed.fold().text, TEXT, "{context}");
                    assert!(scene.play(protocol, &directives, Mode::Folded).await.is_ok(), "{context}");
                    continue;
                }
                let seen = scene.refusal(protocol, &directives, Mode::Folded).await;
                check(&seen, protocol, "PROVIDER_UNAVAILABLE", None, &context);
                if cut < begun {
                    let seen = scene.refusal(protocol, &directives, Mode::Stream).await;
                    check(&seen, protocol, "PROVIDER_UNAVAILABLE", None, &context);
                } else {
                    let (events, seen) = scene.interruption(protocol, &directives).await;
                    check(&seen, protocol, "STREAM_INTERRUPTED", None, &context);
                    assert!(matches!(events[0], Event::Started(_)), "{context}");
                    assert!(!events.iter().any(|event| matches!(event, Event::Completed(_))), "{context}: {events:#?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_at_any_frame_never_looks_complete() {
    for scene in &Scene::both("").await {
        for (protocol, _, _, complete) in FRAMES {
            for cut in 0..complete {
                let directives = format!("reset_after={cut}");
                let context = format!("{protocol} {directives}");
                let seen = scene.refusal(protocol, &directives, Mode::Folded).await;
                check(&seen, protocol, "PROVIDER_UNAVAILABLE", None, &context);
                // A reset may take bytes with it that were on their way.
                match scene.play(protocol, &directives, Mode::Stream).await {
                    Err(seen) => check(&seen, protocol, "PROVIDER_UNAVAILABLE", None, &context),
                    Ok(begun) => check(&begun.failure.unwrap(), protocol, "STREAM_INTERRUPTED", None, &context),
                }
            }
        }
    }
}

#[tokio::test]
async fn after_the_first_message_a_named_error_keeps_its_row_and_silence_is_an_interruption() {
    for scene in &Scene::both("timeouts: { idle: 1s }").await {
        let cases = [
            ("error_after=3", "PROVIDER_UNAVAILABLE"),
            ("finish=error", "PROVIDER_UNAVAILABLE"),
            ("error_after=3&type=rate_limit", "PROVIDER_RATE_LIMITED"),
            ("error_after=3&type=quota", "PROVIDER_QUOTA_EXHAUSTED"),
            ("error_after=3&type=unavailable", "PROVIDER_UNAVAILABLE"),
            ("malformed_after=3", "PROVIDER_PROTOCOL_ERROR"),
            ("endless_after=3", "PROVIDER_PROTOCOL_ERROR"),
            ("no_end", "STREAM_INTERRUPTED"),
            ("stall_after=3", "STREAM_INTERRUPTED"),
        ];
        let each = |(directives, reason): (&'static str, &'static str)| async move {
            for protocol in PROTOCOLS {
                let context = format!("{protocol} {directives}");
                let (events, seen) = scene.interruption(protocol, directives).await;
                check(&seen, protocol, reason, None, &context);
                assert!(matches!(events[0], Event::Started(_)) && events.len() > 1, "{context}: {events:#?}");
                assert!(!events.iter().any(|event| matches!(event, Event::Completed(_))), "{context}: {events:#?}");
            }
        };
        join_all(cases.map(each)).await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_too_slow_before_anything_left_is_a_timeout() {
    for scene in &Scene::both("timeouts: { connect: 500ms, first_event: 1s, idle: 1s, attempt: 1s }").await {
        let cases: [(&str, &[Mode]); 7] = [
            ("silence", &MODES),
            ("head=1m", &MODES),
            ("first_event=1m", &MODES),
            ("first_event=1m&ping=50ms", &[Mode::Folded, Mode::Stream]),
            ("stall_after=0", &MODES),
            ("stall_after=1", &[Mode::Folded, Mode::Stream]),
            ("stall_after=3", &[Mode::Folded, Mode::Whole]),
        ];
        let each = |(directives, modes): (&'static str, &'static [Mode])| async move {
            for protocol in PROTOCOLS {
                let all = modes.iter().map(|mode| scene.refusal(protocol, directives, *mode));
                for (seen, mode) in join_all(all).await.iter().zip(modes) {
                    check(seen, protocol, "PROVIDER_TIMEOUT", None, &format!("{protocol} {directives} {mode:?}"));
                }
            }
        };
        join_all(cases.map(each)).await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_given_up_is_told_so() {
    for scene in &Scene::both("timeouts: { connect: 500ms, first_event: 1s, idle: 1s }").await {
        let mut counts = scene.upstream.simulator().counts();
        for (dropped, protocol) in (1..).zip(PROTOCOLS) {
            scene.refusal(protocol, "first_event=1m&ping=50ms", Mode::Stream).await;
            counts.wait_for(|counts| counts.dropped == dropped && counts.open == 0).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_upstream_that_nobody_serves_is_unavailable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = at(&format!("http://{port}"), "", false).await;
    for (protocol, mode) in PROTOCOLS.into_iter().flat_map(|protocol| MODES.map(|mode| (protocol, mode))) {
        let seen = play(&server, protocol, "", mode).await.unwrap_err();
        check(&seen, protocol, "PROVIDER_UNAVAILABLE", None, &format!("{protocol} {mode:?}"));
        assert!(!seen.metadata.contains_key("upstreamStatus"), "{seen:#?}");
    }
}

#[tokio::test]
async fn an_upstream_that_takes_no_connection_is_a_timeout() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: once the queue is full, the system answers no more connections.
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SECOND, tokio::net::TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "the queue does not fill");
    }
    let server = at(&format!("http://{address}"), "timeouts: { connect: 300ms }", false).await;
    for (protocol, mode) in PROTOCOLS.into_iter().flat_map(|protocol| MODES.map(|mode| (protocol, mode))) {
        let seen = play(&server, protocol, "", mode).await.unwrap_err();
        check(&seen, protocol, "PROVIDER_TIMEOUT", None, &format!("{protocol} {mode:?}"));
        assert!(seen.message.contains("300ms"), "{}", seen.message);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_limit() {
    let scene = Scene::new("limits: { max_answer_bytes: 64KiB }").await;
    for protocol in PROTOCOLS {
        let seen = scene.refusal(protocol, "think=5000", Mode::Folded).await;
        check(&seen, protocol, "PROVIDER_PROTOCOL_ERROR", None, protocol);
        let (events, seen) = scene.interruption(protocol, "think=5000").await;
        check(&seen, protocol, "PROVIDER_PROTOCOL_ERROR", None, protocol);
        assert!(events.len() > 10, "{protocol}");
    }
}

#[tokio::test]
async fn what_was_used_until_the_failure_is_told_and_what_of_it_is_estimated() {
    let scene = Scene::new("").await;
    // Only one protocol reports usage before its end.
    for (protocol, source) in [("anthropic", UsageSource::Partial), ("openai", UsageSource::Estimated)] {
        let (_, interrupted) = scene.interruption(protocol, "cut_after=4").await;
        for seen in [interrupted, scene.refusal(protocol, "cut_after=4", Mode::Folded).await] {
            let failure = seen.failure();
            for usage in [failure.usage.as_ref(), failure.attempts[0].usage.as_ref()] {
                let usage = usage.unwrap_or_else(|| panic!("{seen:#?}"));
                assert!(usage.input_tokens > 0 && usage.source() == source, "{usage:?}");
                let is_estimated = usage.items.iter().any(|item| item.estimated);
                assert!(usage.output_tokens > 0 && is_estimated, "{usage:?}");
            }
        }
    }
}

#[tokio::test]
async fn before_the_first_message_a_failure_is_a_response_without_messages() {
    let scene = Scene::new("").await;
    for path in [raw::COMPLETE, raw::STREAM_COMPLETE] {
        for (protocol, directives) in PROTOCOLS.into_iter().flat_map(|p| [(p, "error=503"), (p, "cut_after=1")]) {
            let body = raw::encoded(&asked(protocol, directives, Mode::Stream));
            let seen = raw::call(scene.server.address(), path, &[], body).await.refused();
            check(&seen, protocol, "PROVIDER_UNAVAILABLE", None, &format!("{path} {protocol} {directives}"));
        }
    }
    let body = raw::encoded(&asked("openai", "cut_after=3", Mode::Stream));
    let begun = raw::call(scene.server.address(), raw::STREAM_COMPLETE, &[], body).await;
    assert!(!begun.headers.contains_key("grpc-status") && !begun.body.is_empty(), "{begun:?}");
    assert_eq!(begun.trailers.unwrap()["grpc-status"], "14");
}

/// Where the log of this process goes.
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

#[tokio::test]
async fn no_log_line_has_a_word_of_a_prompt_an_answer_or_a_key() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Workers are threads of their own.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let scene = Scene::new("timeouts: { idle: 1s }").await;
    for protocol in PROTOCOLS {
        for mode in MODES {
            for directives in ["", "error=400", "error=401", "error_body_200&type=rejected", "cut_after=4", "tool=x"] {
                let _ = scene.play(protocol, directives, mode).await;
            }
        }
        for directives in ["error_after=3&type=rejected", "malformed_after=3", "stall_after=3"] {
            let _ = scene.play(protocol, directives, Mode::Stream).await;
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.matches("call ended").count() >= 42, "the log was not written:\n{log}");
    for secret in [SECRET, KEY, TEXT, "the request is malformed"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "the log tells {secret}");
    }
}
