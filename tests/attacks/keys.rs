//! Who is let in: guessed keys, keys that are nearly right, and what a known caller finds of another.

use completiond::proto::GetCompletionRequest;
use completiond::proto::completion_service_client::CompletionServiceClient;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use crate::paper::measured;
use crate::peer::{END_HEADERS, END_STREAM, Ears, HEADERS, Peer, frame, head, literal, streams};
use crate::server::{KEY, MIB, OTHER_KEY, Server, ask, shown};
use crate::stage::{Wire, within};

const LONG: usize = 60_000;
/// The calls of one round of a flood.
const FLOOD: usize = 2000;

/// What is shown instead of the key.
fn nearly() -> Vec<String> {
    let hash = completiond::callers::KeyHash::of(KEY).to_string();
    let mut shown = vec![
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        KEY.to_owned(),
        format!("Basic {KEY}"),
        format!("Bearer {}", &KEY[1..]),
        format!("Bearer {}", &KEY[..KEY.len() - 1]),
        format!("Bearer {KEY}x"),
        format!("Bearer {}", KEY.to_uppercase()),
        format!("Bearer {KEY} {KEY}"),
        format!("Bearer {KEY},Bearer {KEY}"),
        format!("Bearer {hash}"),
        format!("Bearer {}", hash.trim_start_matches("sha256:")),
        "Bearer ' OR '1'='1".to_owned(),
        format!("Bearer {}", "x".repeat(LONG)),
        format!("Bearer {KEY}{}", "x".repeat(LONG)),
    ];
    // Each byte of the key changed by one bit.
    for place in 0..KEY.len() {
        let mut bytes = KEY.as_bytes().to_vec();
        bytes[place] ^= 1;
        shown.push(format!("Bearer {}", String::from_utf8(bytes).unwrap()));
    }
    shown
}

#[tokio::test]
async fn a_key_that_is_nearly_right_is_as_wrong_as_any_and_a_flood_of_them_keeps_nobody_out() {
    let server = Server::start().await;
    let wire = Wire::connect(server.public).await;
    for key in nearly() {
        let end = wire.complete(&ask("a stranger"), &[("authorization", &key)]).await;
        end.expect(Code::Unauthenticated, "CREDENTIALS_INVALID", "");
        assert!(!end.message.contains("the-key-of"), "{}", end.message);
    }
    wire.complete(&ask("a stranger"), &[]).await.expect(Code::Unauthenticated, "CREDENTIALS_INVALID", "");
    wire.complete(&ask("a stranger"), &[shown()[0], shown()[0]]).await.expect(
        Code::Unauthenticated,
        "CREDENTIALS_INVALID",
        "more than once",
    );
    let endured = server
        .endures(async || {
            let wire = Wire::connect(server.public).await;
            let header = format!("Bearer {}", "x".repeat(1000));
            let calls = (0..FLOOD).map(|_| wire.complete_once(&header));
            let mut calls: FuturesUnordered<_> = calls.collect();
            while let Some(code) = calls.next().await {
                assert_eq!(code, Code::Unauthenticated);
            }
        })
        .await;
    assert!(endured.bytes() < 64 * MIB, "{endured:?}");
    let asked = server.upstream.received();
    assert!(asked.iter().all(|request| !request.body.contains("a stranger")), "a stranger's call went upstream");
    let log = server.log();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("call refused")).collect();
    assert!(!refused.is_empty(), "{log}");
    // One line in a second stands for all, whichever of them it was.
    assert!(refused.iter().all(|line| line.contains("\"cause\":\"")), "a line does not say why: {refused:?}");
    let refused = refused.len();
    assert!(!log.contains("xxxx") && !log.contains("the-key-of"), "a key is in the log");
    let calls = endured.rounds * FLOOD;
    assert!(refused < calls / 10, "{refused} lines for {calls} calls");
    measured(
        "a_key_that_is_nearly_right_is_as_wrong_as_any_and_a_flood_of_them_keeps_nobody_out",
        &format!("{calls} calls refused with {refused} lines in the log; {}", endured.told()),
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_are_no_key() {
    let server = Server::start().await;
    let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
    let keys: [&[u8]; 5] = [b"Bearer \xff\xfe\x80", b"Bearer \xc3\x28", b"\xe2\x82\xac", b"Bearer\t", b"Bearer \t\x80"];
    for (stream, key) in streams().zip(keys) {
        let mut block = head("/completiond.v1.CompletionService/Complete", &[]);
        block.extend(literal(b"authorization", key));
        assert!(peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await);
    }
    // A head each, and nothing behind it: they are answered as other strangers are.
    peer.hears("each is answered", |heard| heard.heads >= keys.len()).await;
    // What no header may hold ends the stream or the connection, whatever the key behind it.
    for key in [&b"Bearer \0"[..], b"Bearer a\r\nx: y", b"Bearer a\nb"] {
        let mut peer = Peer::greet(server.public, &[], Ears::Open).await;
        let mut block = head("/completiond.v1.CompletionService/Complete", &[]);
        block.extend(literal(b"authorization", key));
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;
        peer.hears("it is refused", |heard| heard.resets > 0 || heard.goaway.is_some() || heard.is_over).await;
    }
    assert!(server.upstream.received().is_empty());
    server.serves().await;
    measured("bytes_that_are_no_text_are_no_key", "8 of 8 refused, none of them asked an upstream");
}

/// What `key` finds of a call by this id.
async fn find(server: &Server, key: &str, id: String) -> Result<(), (Code, String)> {
    let channel = Endpoint::try_from(format!("http://{}", server.public)).unwrap().connect_lazy();
    let mut request = Request::new(GetCompletionRequest { id, ..GetCompletionRequest::default() });
    let shown: MetadataValue<_> = format!("Bearer {key}").parse().unwrap();
    request.metadata_mut().insert("authorization", shown);
    let found = within("an answer", CompletionServiceClient::new(channel).get_completion(request)).await;
    found.map(drop).map_err(|status| (status.code(), status.message().to_owned()))
}

#[tokio::test]
async fn ids_near_ones_own_find_nothing_of_others() {
    let server = Server::start().await;
    let channel = Endpoint::try_from(format!("http://{}", server.public)).unwrap().connect_lazy();
    let mut client = CompletionServiceClient::new(channel);
    let mut request = Request::new(ask("mine"));
    let shown: MetadataValue<_> = format!("Bearer {OTHER_KEY}").parse().unwrap();
    request.metadata_mut().insert("authorization", shown);
    let id = client.complete(request).await.unwrap().into_inner().outcome.unwrap().id;
    find(&server, OTHER_KEY, id.clone()).await.unwrap();
    // Another caller has the id itself, and all that are one bit away from it.
    let missing = find(&server, KEY, uuid::Uuid::now_v7().to_string()).await.unwrap_err();
    assert_eq!(missing.0, Code::NotFound);
    let known = uuid::Uuid::parse_str(&id).unwrap().as_u128();
    for near in std::iter::once(known).chain((0..128).map(|bit| known ^ (1 << bit))) {
        let found = find(&server, KEY, uuid::Uuid::from_u128(near).to_string()).await;
        assert_eq!(found.unwrap_err(), missing, "{near:x}");
    }
    for odd in [id.to_uppercase(), format!("{{{id}}}"), format!("urn:uuid:{id}"), id.replace('-', "")] {
        assert!(find(&server, KEY, odd.clone()).await.is_err(), "{odd}");
    }
    measured(
        "ids_near_ones_own_find_nothing_of_others",
        "133 of 133 found nothing, in the same words as an id of nobody",
    );
}

impl Wire {
    /// Calls with this header, and how that ended.
    async fn complete_once(&self, authorization: &str) -> Code {
        self.complete(&ask("a stranger"), &[("authorization", authorization)]).await.code
    }
}
