//! What providers say of their limits, known to all processes that share.

use std::time::Duration;

use completiond::proto::{CompleteRequest, EndpointStatus, GetPoolRequest};
use redis::cmd;
use tonic::Code;

use crate::answers::{Pair, QUICK, of_another_kind};
use crate::ask::admin;
use crate::process::Server;
use crate::servers::{Cluster, Redis};
use crate::stage::{End, Wire, within};

/// What is asked first refuses with a pause; what is asked then answers. Two of each, and one that tells what is left.
const SETTINGS: &str = "
limits: { redis_url: \"${REDIS_URL}\" }
retry: { base_delay: 1ms, max_delay: 5ms }
models:
  - id: m
    targets:
      - { provider: up, model: 'simulator?error=429&retry_after=50' }
      - { provider: up, model: 'simulator?finish=stop', priority: 1 }
  - id: n
    targets:
      - { provider: up, model: 'simulator?error=429&retry_after=40' }
      - { provider: up, model: 'simulator?finish=stop', priority: 1 }
  - { id: told, targets: [{ provider: up, model: 'simulator?left=50' }] }";
const FIRST_OF_M: &str = "simulator?error=429&retry_after=50";
const FIRST_OF_N: &str = "simulator?error=429&retry_after=40";
const TOLD: &str = "simulator?left=50";

fn asked(model: &str, script: &str) -> CompleteRequest {
    CompleteRequest { model: model.to_owned(), prompt: format!("sim: {script}"), ..Default::default() }
}

async fn ok(wire: &Wire, model: &str, script: &str) {
    let end: End = wire.complete(&asked(model, script), &[]).await;
    assert_eq!(end.code, Code::Ok, "{end:?}");
}

async fn endpoint(server: &Server, model: &str) -> EndpointStatus {
    let pool = admin(server.admin).await.get_pool(GetPoolRequest {}).await.unwrap().into_inner();
    pool.endpoints.into_iter().find(|endpoint| endpoint.model == model).unwrap()
}

/// How much longer the endpoint is left alone, in seconds.
async fn held(server: &Server, model: &str) -> Option<i64> {
    endpoint(server, model).await.hold.map(|hold| hold.seconds)
}

async fn remaining(server: &Server, model: &str) -> Option<i64> {
    endpoint(server, model).await.request_limit.map(|limit| limit.remaining)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn pair(url: &str) -> Pair {
    Pair::sharing(SETTINGS, &[("REDIS_URL", url)]).await
}

#[tokio::test]
async fn what_one_process_is_to_leave_alone_the_other_does_not_ask() {
    let redis = Redis::start().await;
    let pair = pair(&redis.url()).await;
    let (one, other) = pair.wires().await;
    ok(&one, "m", QUICK).await;
    assert_eq!(pair.asked(), 2, "the first refused, the second answered");
    until("the other has heard of it", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
    let hold = held(&pair.other, FIRST_OF_M).await.unwrap();
    assert!((1..=50).contains(&hold), "{hold}");
    ok(&other, "m", QUICK).await;
    assert_eq!(pair.asked(), 3, "the other asks the second at once");
    assert_eq!(endpoint(&pair.other, FIRST_OF_M).await.attempts_sent, 0);
    assert_eq!(held(&pair.other, FIRST_OF_N).await, None, "another model of the account is not held");
    // One that begins later hears of it as well.
    let third = Server::before(&pair.upstream.url(), SETTINGS, &[("REDIS_URL", &redis.url())]);
    until("a new process hears of it", async || held(&third, FIRST_OF_M).await.is_some()).await;
    // It ends by itself.
    let keys = redis.keys(3, "completiond:{allowances}:*").await;
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let lasts: i64 = redis.answer(3, cmd("PTTL").arg(key)).await;
    assert!((1..=50_000).contains(&lasts), "{lasts}");
}

#[tokio::test]
async fn what_is_left_is_counted_down_by_what_all_processes_send() {
    let redis = Redis::start().await;
    let pair = pair(&redis.url()).await;
    let (one, other) = pair.wires().await;
    ok(&one, "told", QUICK).await;
    until("the other knows it", async || remaining(&pair.other, TOLD).await == Some(50)).await;
    let silent = asked("told", "silence");
    let waiting: Vec<_> = (0..7).map(|_| tokio::spawn(other.send("StreamComplete", &silent, &[]))).collect();
    until("the one counts them", async || remaining(&pair.one, TOLD).await == Some(43)).await;
    assert_eq!(remaining(&pair.other, TOLD).await, Some(43));
    let waiting_here: Vec<_> = (0..3).map(|_| tokio::spawn(one.send("StreamComplete", &silent, &[]))).collect();
    until("the other counts as well", async || remaining(&pair.other, TOLD).await == Some(40)).await;
    // What is said later counts, whoever is told.
    ok(&other, "told", &format!("left=20 {QUICK}")).await;
    until("both know it", async || {
        (remaining(&pair.one, TOLD).await, remaining(&pair.other, TOLD).await) == (Some(20), Some(20))
    })
    .await;
    waiting.into_iter().chain(waiting_here).for_each(|call| call.abort());
}

#[tokio::test]
async fn while_it_is_away_each_process_finds_out_by_itself_and_no_call_fails() {
    let mut redis = Redis::start().await;
    let pair = pair(&redis.url()).await;
    let (one, other) = pair.wires().await;
    ok(&one, "m", QUICK).await;
    until("the other has heard of it", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
    redis.kill();
    let before = pair.asked();
    for wire in [&one, &other] {
        ok(wire, "m", QUICK).await;
    }
    assert_eq!(pair.asked(), before + 2, "what was heard of before still holds");
    for wire in [&one, &other] {
        ok(wire, "n", QUICK).await;
    }
    assert_eq!(pair.asked(), before + 6, "each was refused once itself");
    assert!(held(&pair.one, FIRST_OF_N).await.is_some() && held(&pair.other, FIRST_OF_N).await.is_some());
    redis.again().await;
    // What was learned meanwhile is told to who comes new.
    let third = Server::before(&pair.upstream.url(), SETTINGS, &[("REDIS_URL", &redis.url())]);
    until("a new process hears of it", async || held(&third, FIRST_OF_N).await.is_some()).await;
}

#[tokio::test]
async fn in_a_cluster_it_is_the_same() {
    let cluster = Cluster::start(false).await;
    let pair = pair(&cluster.url()).await;
    let (one, _) = pair.wires().await;
    ok(&one, "m", QUICK).await;
    until("the other has heard of it", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
}

#[tokio::test]
async fn neither_keys_nor_names_are_told_and_what_is_broken_there_harms_nobody() {
    let redis = Redis::start().await;
    let pair = pair(&redis.url()).await;
    let (one, _) = pair.wires().await;
    ok(&one, "m", QUICK).await;
    ok(&one, "told", QUICK).await;
    until("the other has heard of it", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
    let key = redis.keys(3, "completiond:{allowances}:*").await.remove(0);
    let fields: Vec<(String, String)> = redis.answer(3, cmd("HGETALL").arg(&key)).await;
    let said = format!("{key} {fields:?}");
    let secret = include_str!("../stage/key.txt").trim();
    for hidden in [secret, "simulator", "127.0.0.1", "up"] {
        assert!(!said.contains(hidden), "{hidden}: {said}");
    }
    for (field, _) in &fields {
        redis.told(3, &["HSET", &key, field, "no numbers"]).await;
    }
    redis.told(3, &["HSET", &key, "not a tag", "1 2 3"]).await;
    let for_ever = "f".repeat(32);
    redis.told(3, &["HSET", &key, &for_ever, "1000000000000000 0 0 0 -1 0 0 0 0 -1 0 0 0"]).await;
    ok(&one, "n", QUICK).await;
    until("what comes later is told", async || held(&pair.other, FIRST_OF_N).await.is_some()).await;
    until("who was told before tells it again", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
    let is_gone = async || redis.answer::<i64>(3, cmd("HEXISTS").arg(&key).arg(&for_ever)).await == 0;
    until("what would hold for ever is taken out", is_gone).await;
}

#[tokio::test]
async fn what_is_no_text_or_of_another_kind_there_is_taken_out_and_the_server_is_used_on() {
    let redis = Redis::start().await;
    let pair = pair(&redis.url()).await;
    let (one, _) = pair.wires().await;
    ok(&one, "m", QUICK).await;
    until("the other has heard of it", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
    let key = redis.keys(3, "completiond:{allowances}:*").await.remove(0);
    let (tag, right): (String, String) =
        redis.answer::<Vec<(String, String)>>(3, cmd("HGETALL").arg(&key)).await.remove(0);
    let sent_later = format!("0 0 {} 1000000000000000 -1 0 0 0 0 -1 0 0 0", right.split(' ').next().unwrap());
    let strange: [(&[u8], &[u8]); 5] = [
        (b"\xff\xfe no text", right.as_bytes()),
        (&[0xff; 32], right.as_bytes()),
        (tag.as_bytes(), b"\xff\xfe"),
        (&[b'a'; 32], b"9e99 0 0 0 -1 0 0 0 0 -1 0 0 0"),
        (&[b'b'; 32], sent_later.as_bytes()),
    ];
    let alone = async |what: &str| {
        let fields = async || redis.answer::<Vec<(Vec<u8>, Vec<u8>)>>(3, cmd("HGETALL").arg(&key)).await;
        let is_ours = |(field, value): &(Vec<u8>, Vec<u8>)| *field == tag.as_bytes() && value.is_ascii();
        until(what, async || matches!(&fields().await[..], [ours] if is_ours(ours))).await;
    };
    for (field, value) in strange {
        let _: i64 = redis.answer(3, cmd("HSET").arg(&key).arg(field).arg(value)).await;
        alone("what is none of ours is taken out, and what is true is told again").await;
    }
    // As long as that is none, nothing can be told there.
    of_another_kind(&redis, &key).await;
    alone("what is of another kind is replaced").await;
    until("the other knows it still", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
    for server in [&pair.one, &pair.other] {
        assert_eq!(server.logged("what processes share cannot be used"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_was_never_true_there_holds_as_long_as_it_stands_there() {
    let redis = Redis::start().await;
    let pair = pair(&redis.url()).await;
    let (one, other) = pair.wires().await;
    ok(&one, "told", QUICK).await;
    until("the other knows it", async || remaining(&pair.other, TOLD).await == Some(50)).await;
    let key = redis.keys(3, "completiond:{allowances}:*").await.remove(0);
    let tag: String = redis.answer::<Vec<String>>(3, cmd("HKEYS").arg(&key)).await.remove(0);
    let (now, _): (i64, i64) = redis.answer(3, &cmd("TIME")).await;
    let poison = format!("{} 1 0 0 -1 0 0 0 0 -1 0 0 0", (now + 3000) * 1000);
    redis.told(3, &["HSET", &key, &tag, &poison]).await;
    until("it is believed", async || held(&pair.other, TOLD).await.is_some()).await;
    let hold = held(&pair.other, TOLD).await.unwrap();
    assert!(hold <= 300, "and for no longer than some minutes: {hold}");
    redis.told(3, &["HDEL", &key, &tag]).await;
    for server in [&pair.one, &pair.other] {
        until("it is over", async || held(server, TOLD).await.is_none()).await;
    }
    ok(&other, "told", QUICK).await;
}

#[tokio::test]
async fn a_user_needs_no_more_rights_for_limits_than_are_documented() {
    let redis = Redis::start().await;
    let (_, documented) = include_str!("../../docs/caching.md").split_once("A user of the server needs").unwrap();
    let commands = documented.split("\n\n").next().unwrap().split('`').skip(1).step_by(2);
    let mut user: Vec<String> = ["ACL", "SETUSER", "app", "on", ">hidden", "~completiond:*"].map(str::to_owned).into();
    user.extend(commands.filter(|it| it.bytes().all(|it| !it.is_ascii_lowercase())).map(|command| {
        // A part of a command is named behind a stroke.
        format!("+{}", command.to_lowercase().replace(' ', "|"))
    }));
    redis.told(0, &user.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let pair = pair(&format!("redis://app:hidden@127.0.0.1:{}", redis.port)).await;
    let (one, _) = pair.wires().await;
    ok(&one, "m", QUICK).await;
    until("the other has heard of it", async || held(&pair.other, FIRST_OF_M).await.is_some()).await;
    assert!(pair.one.logged("what processes share cannot be used").is_empty());
}
