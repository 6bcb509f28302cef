//! What callers may use at all processes that share what they count.

use std::time::{Duration, Instant};

use completiond::callers::KeyHash;
use completiond::proto::CompleteRequest;
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::cmd;
use tonic::Code;

use crate::answers::{Pair, of_another_kind};
use crate::servers::Redis;
use crate::stage::{End, Wire, within};

const KEY: &str = "the-key-of-search";

fn settings(limits: &str) -> String {
    let hash = KeyHash::of(KEY);
    format!(
        "callers: [{{ name: search, keys: ['{hash}'], limits: {{ {limits} }} }}]\n\
         limits: {{ redis_url: \"${{REDIS_URL}}\" }}\n\
         models: [{{ id: m, targets: [{{ provider: up, model: simulator }}], price: {{ input: 10, output: 1000 }} }}]"
    )
}

fn asked(tokens: u32) -> CompleteRequest {
    let prompt = format!("sim: tokens={tokens} first_event=0ms pace=0ms");
    CompleteRequest { model: "m".to_owned(), prompt, max_tokens: Some(1000), ..Default::default() }
}

async fn call(wire: &Wire, request: &CompleteRequest) -> End {
    wire.complete(request, &[("authorization", &format!("Bearer {KEY}"))]).await
}

fn is_let_in(end: &End) -> bool {
    match end.code {
        Code::Ok => true,
        _ => {
            end.expect(Code::ResourceExhausted, "CALLER_LIMIT_EXCEEDED", "this caller may use");
            false
        }
    }
}

#[tokio::test]
async fn two_processes_never_both_give_the_last_place() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(&settings("requests_per_minute: 100"), &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let began = Instant::now();
    let request = asked(1);
    let calls: FuturesUnordered<_> =
        (0..300).map(|number| call(if number % 2 == 0 { &one } else { &other }, &request)).collect();
    let ends: Vec<End> = calls.collect().await;
    let admitted = ends.iter().filter(|end| is_let_in(end)).count();
    if began.elapsed() < Duration::from_secs(60) {
        assert_eq!(admitted, 100);
    }
    assert_eq!(pair.asked(), admitted);
}

#[tokio::test]
async fn what_one_process_has_used_the_other_takes_into_account() {
    let redis = Redis::start().await;
    let limits = "tokens_per_minute: 1500, spend_per_day: 5";
    let pair = Pair::sharing(&settings(limits), &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    assert!(is_let_in(&call(&one, &asked(990)).await));
    // What was reserved is put right from a task of its own: then 400 more fit, and after them nothing does.
    within("what was used is told", async {
        while redis.keys(0, "completiond:limits:1:*").await.is_empty()
            && redis.keys(3, "completiond:limits:1:*").await.is_empty()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(is_let_in(&call(&other, &asked(400)).await));
    within("the limit is reached at both", async {
        loop {
            let ends = [call(&one, &asked(1)).await, call(&other, &asked(1)).await];
            if ends.iter().all(|end| !is_let_in(end)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_broken_there_is_taken_out_and_all_processes_go_on_counting_together() {
    let redis = Redis::start().await;
    let limits = "requests_per_minute: 20, tokens_per_minute: 1000000, spend_per_day: 1000";
    let pair = Pair::sharing(&settings(limits), &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    assert!(is_let_in(&call(&one, &asked(1)).await));
    let key = redis.keys(3, "completiond:limits:1:*").await.remove(0);
    let (now, _): (i64, i64) = redis.answer(3, &cmd("TIME")).await;
    let (second, day) = (format!("r{now}"), format!("d{}", now / 86400));
    let put = async |field: &[u8], value: &[u8]| {
        let _: i64 = redis.answer(3, cmd("HSET").arg(&key).arg(field).arg(value)).await;
    };
    let broken: [(&[u8], &[u8]); 8] = [
        (b"nonsense", b"1"),
        (b"\xff\xfe", b"1"),
        (b"r", b"1"),
        (second.as_bytes(), b"none"),
        (second.as_bytes(), b"1.5"),
        (second.as_bytes(), b"\xff"),
        (day.as_bytes(), b"99999999999999999999999999"),
        (b"t1e99", b"1"),
    ];
    for (field, value) in broken {
        put(field, value).await;
        assert!(is_let_in(&call(&other, &asked(1)).await), "{field:?} {value:?}");
        let there: Option<Vec<u8>> = redis.answer(3, cmd("HGET").arg(&key).arg(field)).await;
        assert_ne!(there.as_deref(), Some(value), "{field:?}");
    }
    // More than a script can take out at once.
    for from in 0..10 {
        let mut many = cmd("HSET");
        many.arg(&key);
        (0..1000).for_each(|number| {
            many.arg(format!("x{from}-{number}")).arg(1);
        });
        let _: i64 = redis.answer(3, &many).await;
    }
    assert!(is_let_in(&call(&one, &asked(1)).await));
    assert!(redis.answer::<i64>(3, cmd("HLEN").arg(&key)).await < 100);
    of_another_kind(&redis, &key).await;
    let began = Instant::now();
    let mut admitted = 0;
    for number in 0..60 {
        let end = call(if number % 2 == 0 { &one } else { &other }, &asked(1)).await;
        admitted += usize::from(is_let_in(&end));
    }
    if began.elapsed() < Duration::from_secs(60) {
        assert_eq!(admitted, 20, "they count together");
    }
    for server in [&pair.one, &pair.other] {
        assert_eq!(server.logged("what processes share cannot be used"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_a_call_has_used_is_told_though_something_else_has_come_in_its_place() {
    let redis = Redis::start().await;
    let pair = Pair::sharing(&settings("tokens_per_minute: 100000"), &[("REDIS_URL", &redis.url())]).await;
    let (one, _) = pair.wires().await;
    for round in 1..=2 {
        let prompt = format!("sim: tokens={round} first_event=500ms pace=0ms");
        let request = CompleteRequest { prompt, ..asked(1) };
        let running = call(&one, &request);
        let spoilt = async {
            within("it is asked", async {
                while pair.asked() < round {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            let key = redis.keys(3, "completiond:limits:1:*").await.remove(0);
            let fields: Vec<String> = redis.answer(3, cmd("HKEYS").arg(&key)).await;
            // That of the second in which this call was let in.
            let last = fields.iter().filter(|field| field.starts_with('t')).max().unwrap();
            match round {
                1 => of_another_kind(&redis, &key).await,
                _ => redis.told(3, &["HSET", &key, last, "none"]).await,
            }
            key
        };
        let (end, key) = tokio::join!(running, spoilt);
        assert!(is_let_in(&end));
        within("it is told", async {
            let script = "local all = redis.pcall('HVALS', KEYS[1]) if all.err then return {'none'} end return all";
            loop {
                let values: Vec<String> = redis.answer(3, cmd("EVAL").arg(script).arg(1).arg(&key)).await;
                if !values.is_empty() && !values.contains(&"none".to_owned()) {
                    return;
                }
            }
        })
        .await;
    }
    assert_eq!(pair.one.logged("what processes share cannot be used"), Vec::<String>::new());
}

#[tokio::test]
async fn while_it_is_away_calls_go_on_and_each_process_counts_for_itself() {
    let mut redis = Redis::start().await;
    let pair = Pair::sharing(&settings("requests_per_minute: 20"), &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    assert!(is_let_in(&call(&one, &asked(1)).await));
    redis.kill();
    for wire in [&one, &other] {
        let mut admitted = 0;
        for _ in 0..30 {
            admitted += usize::from(is_let_in(&call(wire, &asked(1)).await));
        }
        assert!((19..=20).contains(&admitted), "{admitted}");
    }
    redis.again().await;
    // It counts anew: nothing of what was used is there.
    within("it is asked again", async {
        while !is_let_in(&call(&one, &asked(1)).await) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// As long as `LIMITS_SECONDS` says, at three times of what is allowed: see `.ci/slow limits`.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "what was measured is printed")]
async fn at_three_times_the_limit_over_minutes_it_holds_within_two_percent() {
    let seconds = std::env::var("LIMITS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_u64);
    let redis = Redis::start().await;
    let pair = Pair::sharing(&settings("requests_per_minute: 1000"), &[("REDIS_URL", &redis.url())]).await;
    let (one, other) = pair.wires().await;
    let mut pulse = tokio::time::interval(Duration::from_millis(20));
    let (began, request) = (Instant::now(), asked(1));
    let (mut calls, mut admitted, mut offered) = (FuturesUnordered::new(), 0_u64, 0_u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::select! {
            _ = pulse.tick() => {
                calls.push(call(if offered % 2 == 0 { &one } else { &other }, &request));
                offered += 1;
            }
            Some(end) = calls.next() => admitted += u64::from(is_let_in(&end)),
        }
    }
    while let Some(end) = calls.next().await {
        admitted += u64::from(is_let_in(&end));
    }
    let minutes = began.elapsed().as_secs().div_ceil(60);
    let most = 1000 * minutes;
    println!("offered {offered}, let in {admitted}, of at most {most} in {minutes} minutes");
    assert!(admitted <= most + most / 50, "{admitted}");
    assert!(admitted >= offered.min(most - most / 50), "{admitted} of {offered}");
}
