//! Answers that processes share, and what becomes of calls while the server is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use completiond::proto::clear_cache_request::Scope;
use completiond::proto::{
    CacheStatus, ClearCacheRequest, CompleteRequest, GetCacheStatsRequest, GetCacheStatsResponse, ResponseCache,
};
use completiond::simulator::{Simulator, Upstream};
use redis::cmd;
use tonic::Code::Unavailable;
use tonic_types::StatusExt;

use crate::ask::admin;
use crate::calls::{asked, folded, status, whole};
use crate::process::Server;
use crate::servers::Redis;
use crate::stage::{Wire, eventually, within};

pub(crate) const SHARED: &str = "
cache: { enabled: true, redis_url: \"${REDIS_URL}\" }
models: [{ id: m, targets: [{ provider: up, model: simulator }], price: { input: 1.0, output: 2.0 } }]";
pub(crate) const QUICK: &str = "tokens=3 first_event=0ms pace=0ms";
const ANSWERS: &str = "completiond:answers:1:{??}:*:*:*";

/// Two processes before one upstream.
pub(crate) struct Pair {
    pub(crate) upstream: Upstream,
    pub(crate) one: Server,
    pub(crate) other: Server,
}

impl Pair {
    pub(crate) async fn sharing(settings: &str, variables: &[(&str, &str)]) -> Self {
        let upstream = Upstream::start(Simulator::default()).await.unwrap();
        let start = || Server::before(&upstream.url(), settings, variables);
        let (one, other) = (start(), start());
        Self { upstream, one, other }
    }

    pub(crate) async fn wires(&self) -> (Wire, Wire) {
        (Wire::connect(self.one.public).await, Wire::connect(self.other.public).await)
    }

    pub(crate) fn asked(&self) -> usize {
        *self.upstream.requests().borrow()
    }
}

/// A request that no other is like.
pub(crate) fn one_of_many(number: usize) -> CompleteRequest {
    CompleteRequest { prompt: format!("sim: {QUICK}\nnumber {number}"), ..asked(QUICK) }
}

pub(crate) async fn answered(wire: &Wire, request: &CompleteRequest) -> CacheStatus {
    status(&whole(wire, request).await.outcome.unwrap())
}

pub(crate) async fn stats(server: &Server) -> GetCacheStatsResponse {
    admin(server.admin).await.get_cache_stats(GetCacheStatsRequest {}).await.unwrap().into_inner()
}

pub(crate) async fn clear(server: &Server, scope: Scope) -> Result<i64, tonic::Status> {
    let cleared = admin(server.admin).await.clear_cache(ClearCacheRequest { scope: Some(scope) }).await;
    cleared.map(|cleared| cleared.into_inner().entries)
}

/// Puts what is no text and no hash in a key's place.
pub(crate) async fn of_another_kind(redis: &Redis, key: &str) {
    let script = "redis.call('DEL', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'of another kind')";
    redis.told(3, &["EVAL", script, "1", key]).await;
}

/// Waits until the server that is shared is used again.
pub(crate) async fn is_used_again(server: &Server) {
    within("it is used again", async {
        while !stats(server).await.shared.unwrap().available {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_one_process_was_answered_the_other_is_answered_too() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let request = asked("tokens=50 first_event=0ms pace=0ms");
    let made = whole(&one, &request).await;
    let again = whole(&other, &request).await;
    assert_eq!((again.text, again.message), (made.text.clone(), made.message));
    let (made, again) = (made.outcome.unwrap(), again.outcome.unwrap());
    assert_eq!((status(&made), status(&again)), (CacheStatus::Miss, CacheStatus::Hit));
    assert_eq!((again.usage.clone(), again.cost.as_ref().unwrap().pico_usd), (made.usage, 0));
    assert_eq!(again.saved.unwrap().cost, made.cost);
    let (_, streamed) = folded(other.stream(&request, &[]).await).await.unwrap();
    assert_eq!((status(&streamed), streamed.usage), (CacheStatus::Hit, again.usage));
    assert_eq!(pair.asked(), 1);
    let (here, there) = (stats(&pair.one).await, stats(&pair.other).await);
    assert_eq!((here.hits, here.misses, there.hits, there.misses), (0, 1, 2, 0));
    let shared = there.shared.unwrap();
    assert!(shared.available && shared.last_error.is_empty() && shared.last_error_time.is_none(), "{shared:?}");
    assert_eq!((there.entries, there.bytes, there.max_bytes, shared.failures), (0, 0, 0, 0));
    let keys = redis.keys(3, "*").await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    let lasts: i64 = redis.answer(3, cmd("PTTL").arg(&keys)).await;
    assert!((1..=300_000).contains(&lasts), "{lasts}");
}

#[tokio::test]
async fn what_is_forgotten_is_forgotten_everywhere_and_nothing_else_is() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let by_its_own_name = |number| CompleteRequest { model: "up/simulator".to_owned(), ..one_of_many(number) };
    for number in 0..40 {
        whole(&one, &one_of_many(number)).await;
        whole(&one, &by_its_own_name(number)).await;
    }
    assert_eq!(clear(&pair.other, Scope::Model("nobody".to_owned())).await.unwrap(), 0);
    assert_eq!(clear(&pair.other, Scope::Caller("nobody".to_owned())).await.unwrap(), 0);
    assert_eq!(clear(&pair.other, Scope::Model("m".to_owned())).await.unwrap(), 40);
    assert_eq!(answered(&other, &by_its_own_name(7)).await, CacheStatus::Hit);
    assert_eq!(answered(&one, &one_of_many(7)).await, CacheStatus::Miss);
    assert_eq!(clear(&pair.one, Scope::All(true)).await.unwrap(), 41);
    assert_eq!(answered(&other, &by_its_own_name(7)).await, CacheStatus::Miss);
}

#[tokio::test]
async fn what_was_begun_before_something_was_forgotten_is_not_kept() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let request = asked("tokens=30 first_event=50ms pace=20ms");
    let mut making = one.stream(&request, &[]).await;
    making.next().await.unwrap();
    clear(&pair.other, Scope::All(true)).await.unwrap();
    assert_eq!(status(&folded(making).await.unwrap().1), CacheStatus::Miss);
    assert_eq!(redis.keys(3, ANSWERS).await, Vec::<String>::new());
    assert_eq!(answered(&other, &request).await, CacheStatus::Miss);
    assert_eq!(answered(&one, &request).await, CacheStatus::Hit, "and what is begun later is");
}

#[tokio::test]
async fn what_cannot_be_read_is_a_miss_and_is_made_anew() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let request = one_of_many(0);
    whole(&one, &request).await;
    let key = redis.keys(3, ANSWERS).await.remove(0);
    let kept: Vec<u8> = redis.answer(3, cmd("GET").arg(&key)).await;
    let (mut another_version, mut changed) = (kept.clone(), kept.clone());
    another_version[0] += 1;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let values: [&[u8]; 5] = [b"", b"nonsense", &kept[..kept.len() / 2], &another_version, &changed];
    for value in values {
        let _: () = redis.answer(3, cmd("SET").arg(&key).arg(value)).await;
        assert_eq!(answered(&other, &request).await, CacheStatus::Miss, "{value:?}");
        assert_eq!(answered(&one, &request).await, CacheStatus::Hit);
    }
    let failures = stats(&pair.other).await.shared.unwrap().failures;
    assert_eq!(failures, 0, "what is there is no failure of the server");
    // What is no text at all, in the answer's place and where the word of its group stands.
    let word = format!("{}:word", key.splitn(5, ':').take(4).collect::<Vec<_>>().join(":"));
    for broken in [vec![&key], vec![&word, &key], vec![&word]] {
        let _: () = redis.answer(3, cmd("DEL").arg(&[&key, &word])).await;
        for key in &broken {
            of_another_kind(&redis, key).await;
        }
        assert_eq!(answered(&other, &request).await, CacheStatus::Miss, "{broken:?}");
        assert_eq!(answered(&one, &request).await, CacheStatus::Hit, "{broken:?}");
    }
    let failures = stats(&pair.other).await.shared.unwrap().failures;
    assert_eq!(failures, 0, "nor is what is of another kind");
}

#[tokio::test]
async fn an_answer_is_as_old_as_it_was_made_by_whomever() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let request = one_of_many(0);
    whole(&one, &request).await;
    let key = redis.keys(3, ANSWERS).await.remove(0);
    let mut kept: Vec<u8> = redis.answer(3, cmd("GET").arg(&key)).await;
    // As if it had been made in 1970.
    kept[1..9].fill(0);
    let _: () = redis.answer(3, cmd("SET").arg(&key).arg(&kept)).await;
    assert_eq!(answered(&other, &request).await, CacheStatus::Hit);
    let ttl = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    let fresh = CompleteRequest { cache: Some(ResponseCache { ttl, ..Default::default() }), ..request };
    assert_eq!(answered(&other, &fresh).await, CacheStatus::Miss);
    assert_eq!(answered(&one, &fresh).await, CacheStatus::Hit);
}

/// Calls whole and as streams until it is told to stop; returns how many. None may fail.
async fn load(wire: Wire, numbers: std::ops::Range<usize>, stop: Arc<AtomicBool>) -> usize {
    let mut calls = 0;
    for number in numbers.cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let slow = one_of_many(number);
        let slow = CompleteRequest { prompt: slow.prompt.replace("pace=0ms", "pace=5ms"), ..slow };
        whole(&wire, &one_of_many(number)).await;
        folded(wire.stream(&slow, &[]).await).await.unwrap_or_else(|end| panic!("{end:?}"));
        calls += 2;
    }
    calls
}

#[tokio::test]
async fn no_call_fails_when_it_is_killed_under_load_and_it_is_used_when_it_is_back() {
    let mut redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let stop = Arc::<AtomicBool>::default();
    let mut loads = Vec::new();
    for index in 0..6 {
        let server = if index % 2 == 0 { &pair.one } else { &pair.other };
        let wire = Wire::connect(server.public).await;
        loads.push(tokio::spawn(load(wire, index * 50..index * 50 + 40, Arc::clone(&stop))));
    }
    let pause = || tokio::time::sleep(Duration::from_millis(300));
    pause().await;
    redis.kill();
    pause().await;
    let away = stats(&pair.one).await.shared.unwrap();
    assert!(!away.available && away.failures > 0 && away.last_error_time.is_some(), "{away:?}");
    redis.again().await;
    is_used_again(&pair.one).await;
    is_used_again(&pair.other).await;
    let hits = stats(&pair.one).await.hits;
    within("hits are counted again", async {
        while stats(&pair.one).await.hits < hits + 20 {
            pause().await;
        }
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    for load in loads {
        assert!(load.await.unwrap() > 0);
    }
    for server in [&pair.one, &pair.other] {
        let times = || ["cannot be used now", "is used again"].map(|words| server.logged(words).len());
        eventually("each is told once", || times() == [1, 1]).await;
    }
    let (one, other) = pair.wires().await;
    let request = one_of_many(1_000_000);
    let asked = pair.asked();
    assert_eq!(answered(&one, &request).await, CacheStatus::Miss);
    assert_eq!(answered(&other, &request).await, CacheStatus::Hit);
    assert_eq!(pair.asked(), asked + 1);
}

#[tokio::test]
async fn one_that_hangs_costs_a_few_calls_a_moment_and_the_others_nothing() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let wire = Wire::connect(pair.one.public).await;
    assert_eq!(answered(&wire, &one_of_many(0)).await, CacheStatus::Miss);
    redis.signal("STOP");
    // Each of them waiting for it would take far longer than this may.
    within("all are answered", async {
        for number in 0..300 {
            assert_eq!(answered(&wire, &one_of_many(number)).await, CacheStatus::Miss);
        }
    })
    .await;
    redis.signal("CONT");
    is_used_again(&pair.one).await;
    assert_eq!(answered(&wire, &one_of_many(0)).await, CacheStatus::Hit);
}

#[tokio::test]
async fn what_is_told_of_it_has_no_password_in_it() {
    let mut redis = Redis::start().await;
    redis.kill();
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let (one, _) = pair.wires().await;
    assert_eq!(answered(&one, &one_of_many(0)).await, CacheStatus::Miss, "it starts without it");
    let away = stats(&pair.one).await.shared.unwrap();
    assert_eq!((away.available, away.last_error.as_str()), (false, "Redis: it cannot be reached"));
    let refused = clear(&pair.one, Scope::All(true)).await.unwrap_err();
    assert_eq!(refused.code(), Unavailable);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "CACHE_UNAVAILABLE");
    redis.again().await;
    is_used_again(&pair.one).await;
    redis.told(3, &["CONFIG", "SET", "requirepass", "other"]).await;
    let wrong = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let refusing = stats(&wrong.one).await.shared.unwrap();
    assert_eq!((refusing.available, refusing.last_error.as_str()), (false, "Redis: it refuses the password"));
    let told = [away.last_error, refused.message().to_owned(), refusing.last_error];
    let port = redis.port.to_string();
    for told in told.iter().chain(&pair.one.logged("")).chain(&wrong.one.logged("")) {
        assert!(!told.contains("hidden") && !told.contains(&port), "{told}");
    }
}

#[tokio::test]
async fn one_that_takes_nothing_more_is_still_asked_and_says_why() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let wire = Wire::connect(pair.one.public).await;
    assert_eq!(answered(&wire, &one_of_many(0)).await, CacheStatus::Miss);
    redis.told(3, &["CONFIG", "SET", "maxmemory", "1"]).await;
    for number in 1..10 {
        assert_eq!(answered(&wire, &one_of_many(number)).await, CacheStatus::Miss);
        assert_eq!(answered(&wire, &one_of_many(0)).await, CacheStatus::Hit, "what it has is given");
    }
    let full = stats(&pair.one).await.shared.unwrap();
    assert_eq!((full.available, full.last_error.as_str(), full.failures), (false, "Redis: it answers OOM", 9));
    eventually("it is told once", || pair.one.logged("cannot be used now").len() == 1).await;
    redis.told(3, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(answered(&wire, &one_of_many(1)).await, CacheStatus::Miss);
    assert!(stats(&pair.one).await.shared.unwrap().available);
}

#[tokio::test]
async fn over_tls_answers_are_shared_as_well() {
    let (redis, certificate) = Redis::over_tls().await;
    let url = format!("rediss://:hidden@localhost:{}", redis.port);
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &url), ("SSL_CERT_FILE", &certificate)]).await;
    let (one, other) = pair.wires().await;
    assert_eq!(answered(&one, &one_of_many(0)).await, CacheStatus::Miss);
    assert_eq!(answered(&other, &one_of_many(0)).await, CacheStatus::Hit);
    let careful = Pair::sharing(SHARED, &[("REDIS_URL", &url)]).await;
    let (one, _) = careful.wires().await;
    assert_eq!(answered(&one, &one_of_many(0)).await, CacheStatus::Miss, "its certificate is checked");
    assert!(!stats(&careful.one).await.shared.unwrap().available);
}

#[tokio::test]
async fn a_hundred_that_are_the_same_at_once_are_made_once_by_each_process_at_most() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let request = asked("tokens=3 first_event=300ms pace=10ms");
    let calls = (0..100).map(|number| {
        let wire = if number % 2 == 0 { &one } else { &other };
        let request = &request;
        async move {
            match number % 4 < 2 {
                true => status(&whole(wire, request).await.outcome.unwrap()),
                false => status(&folded(wire.stream(request, &[]).await).await.unwrap().1),
            }
        }
    });
    let answered = futures_util::future::join_all(calls).await;
    let made = answered.iter().filter(|status| **status == CacheStatus::Miss).count();
    assert!((1..=2).contains(&made) && pair.asked() == made, "{made} and {}", pair.asked());
    assert!(answered.iter().all(|status| *status != CacheStatus::Bypassed));
}

#[tokio::test]
async fn a_user_needs_no_more_rights_than_are_documented() {
    let redis = Redis::start().await;
    let documented = include_str!("../../docs/caching.md");
    let line = documented.lines().find(|line| line.starts_with("A user of the server needs")).unwrap();
    let mut user: Vec<String> = ["ACL", "SETUSER", "app", "on", ">hidden", "~completiond:*"].map(str::to_owned).into();
    user.extend(line.split('`').skip(1).step_by(2).map(|command| format!("+{}", command.to_lowercase())));
    redis.told(0, &user.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let url = format!("redis://app:hidden@127.0.0.1:{}", redis.port);
    let settings = format!("{SHARED}\ncompletions: {{ redis_url: \"${{REDIS_URL}}\" }}");
    let pair = Pair::sharing(&settings, &[("REDIS_URL", &url)]).await;
    let (one, other) = pair.wires().await;
    for number in 0..3 {
        let request_id = uuid::Uuid::now_v7().to_string();
        let request = CompleteRequest { request_id, ..one_of_many(number) };
        assert_eq!(answered(&one, &request).await, CacheStatus::Miss);
        assert_eq!(answered(&other, &one_of_many(number)).await, CacheStatus::Hit);
        assert_eq!(answered(&other, &request).await, CacheStatus::Replayed);
    }
    assert_eq!(clear(&pair.one, Scope::All(true)).await.unwrap(), 3);
    let shared = stats(&pair.one).await.shared.unwrap();
    assert!(shared.available && shared.failures == 0, "{shared:?}");
}
