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
    _upstream: Upstream,
    server: Server,
}

impl Scene {
    async fn new(settings: &str) -> Self {
        let upstream = Upstream::start(Simulator::default()).await.unwrap();
        let server = at(&upstream.url(), settings).await;
        Self { _upstream: upstream, server }
    }

    async fn play(&self, protocol: &str, directives: &str, mode: Mode) -> Result<Streamed, Seen> {
        play(&self.server, protocol, directives, mode).await
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

async fn at(url: &str, settings: &str) -> Server {
    let providers: String = PROTOCOLS.iter().map(|protocol| provider(protocol, protocol, url)).collect();
    Server::start(&format!("{settings}\nproviders:\n{providers}")).await
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
    let scene = &Scene::new("").await;
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
    ("finish=error", "PROVIDER_UNAVAILABLE", &[]),
];

#[tokio::test]
async fn an_answer_that_breaks_before_anything_left_is_a_failure_without_a_beginning() {
    let scene = &Scene::new("").await;
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

/// How many frames the upstream's answer has, and after how many of them a block has begun and the answer is complete.
const FRAMES: [(&str, u32, u32, u32); 2] = [("anthropic", 8, 2, 8), ("openai", 7, 2, 5)];

#[tokio::test]
async fn an_answer_that_is_cut_at_any_frame_never_looks_complete() {
    let scene = &Scene::new("").await;
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

#[tokio::test]
async fn a_connection_that_is_reset_at_any_frame_never_looks_complete() {
    let scene = &Scene::new("").await;
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

#[tokio::test]
async fn after_the_first_message_a_named_error_keeps_its_row_and_silence_is_an_interruption() {
    let scene = &Scene::new("timeouts: { idle: 1s }").await;
    let cases = [
        ("error_after=3", "PROVIDER_UNAVAILABLE"),
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
