//! Processes that share one server, and what becomes of sums while it is away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use completiond::proto::{UsageRecord, UsageStore};
use redis::cmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code::Unavailable;
use tonic_types::StatusExt;

use crate::answers::of_another_kind;
use crate::process::Server;
use crate::servers::{Redis, url};
use crate::stage::{eventually, within};
use crate::{by, list, total};

const SETTINGS: &str = "usage: { redis_url: \"${REDIS_URL}\" }";

fn server(url: &str) -> Server {
    Server::start(SETTINGS, &[("REDIS_URL", url)])
}

/// The sum of all, once as many calls are in it as were made; more are a failure.
async fn sum_of(address: SocketAddr, calls: i64) -> UsageRecord {
    within("all calls are in the sum", async {
        loop {
            if let Ok(page) = list(address, by(&[])).await {
                let sum = page.records[0].clone();
                assert!(sum.succeeded <= calls, "something was added twice: {sum:?}");
                if sum.succeeded == calls {
                    assert_eq!((sum.output_tokens, sum.attempts), (calls * 3, calls), "{sum:?}");
                    return sum;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
async fn processes_share_their_sums_and_keep_them_when_they_end() {
    let redis = Redis::start().await;
    let (one, other) = (server(&redis.url()), server(&redis.url()));
    tokio::join!(one.call(40), other.call(30));
    let (here, there) = (sum_of(one.admin, 70).await, sum_of(other.admin, 70).await);
    assert_eq!(here, there);
    let page = list(one.admin, by(&[])).await.unwrap();
    assert_eq!(page.store(), UsageStore::Redis);
    other.call(5).await;
    assert!(other.end("TERM").await.success());
    assert_eq!(total(one.admin).await.succeeded, 75, "the last sums are kept before the end");
    one.end("KILL").await;
    let later = server(&redis.url());
    assert_eq!(total(later.admin).await.succeeded, 75);
    assert_eq!(list(later.admin, by(&[])).await.unwrap().since, page.since);
}

#[tokio::test]
async fn while_it_is_away_calls_are_answered_and_their_sums_wait() {
    let mut redis = Redis::start().await;
    let server = server(&redis.url());
    server.call(3).await;
    sum_of(server.admin, 3).await;
    redis.kill();
    server.call(20).await;
    let status = list(server.admin, by(&[])).await.unwrap_err();
    assert_eq!(status.code(), Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "USAGE_UNAVAILABLE");
    assert!(!status.message().contains("hidden"), "{}", status.message());
    server.call(2).await;
    redis.again().await;
    sum_of(server.admin, 25).await;
}

#[tokio::test]
async fn a_server_starts_while_it_is_away() {
    let mut redis = Redis::start().await;
    redis.kill();
    let server = server(&redis.url());
    server.call(4).await;
    redis.again().await;
    sum_of(server.admin, 4).await;
}

/// What stands between: while it swallows, it lets requests through and cuts the connection in place of the answers.
struct Between {
    port: u16,
    swallows: Arc<AtomicBool>,
    swallowed: Arc<AtomicUsize>,
}

impl Between {
    async fn of(redis: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (swallows, swallowed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (of_task, count) = (Arc::clone(&swallows), Arc::clone(&swallowed));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let upstream = TcpStream::connect(("127.0.0.1", redis)).await.unwrap();
                tokio::spawn(carry(client, upstream, Arc::clone(&of_task), Arc::clone(&count)));
            }
        });
        Self { port, swallows, swallowed }
    }
}

async fn carry(mut client: TcpStream, mut upstream: TcpStream, swallows: Arc<AtomicBool>, swallowed: Arc<AtomicUsize>) {
    let (mut asked, mut answer) = (vec![0; 65536], vec![0; 65536]);
    let mut is_adding = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(length) if length > 0 => {
                    is_adding = asked[..length].windows(7).any(|word| word == b"EVALSHA");
                    upstream.write_all(&asked[..length]).await.unwrap();
                }
                _ => return,
            },
            read = upstream.read(&mut answer) => match read {
                // The script has run when its answer is there.
                Ok(length) if length > 0 && is_adding && swallows.load(Ordering::SeqCst) => {
                    swallowed.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Ok(length) if length > 0 => client.write_all(&answer[..length]).await.unwrap(),
                _ => return,
            },
        }
    }
}

#[tokio::test]
async fn what_was_added_and_not_answered_is_not_added_again() {
    let redis = Redis::start().await;
    let between = Between::of(redis.port).await;
    let (server, direct) = (server(&url(between.port)), server(&redis.url()));
    server.call(1).await;
    sum_of(server.admin, 1).await;
    between.swallows.store(true, Ordering::SeqCst);
    server.call(9).await;
    // Through the other process it can be seen that they were added, while their own knows of no answer.
    sum_of(direct.admin, 10).await;
    within("it is tried again", async {
        while between.swallowed.load(Ordering::SeqCst) < 3 {
            assert!(list(server.admin, by(&[])).await.is_err());
        }
    })
    .await;
    server.call(5).await;
    between.swallows.store(false, Ordering::SeqCst);
    sum_of(server.admin, 15).await;
    assert_eq!(total(direct.admin).await.succeeded, 15);
}

#[tokio::test]
async fn over_tls_the_certificate_is_checked() {
    let (redis, certificate) = Redis::over_tls().await;
    let url = format!("rediss://:hidden@localhost:{}", redis.port);
    let trusting = Server::start(SETTINGS, &[("REDIS_URL", &url), ("SSL_CERT_FILE", &certificate)]);
    trusting.call(2).await;
    sum_of(trusting.admin, 2).await;
    let careful = server(&url);
    careful.call(1).await;
    assert_eq!(list(careful.admin, by(&[])).await.unwrap_err().code(), Unavailable);
    assert_eq!(total(trusting.admin).await.succeeded, 2);
}

/// Puts `value` in place of the tokens of answers that are kept.
const SPOIL: &str = "
for _, key in ipairs(redis.call('KEYS', '*:hour:*')) do
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field:sub(1, 2) == '5:' then redis.call('HSET', key, field, ARGV[1]) end
  end
end
return 'done'";

#[tokio::test]
async fn what_stands_in_the_way_of_a_batch_neither_loses_nor_doubles_it() {
    let redis = Redis::start().await;
    let server = server(&redis.url());
    server.call(1).await;
    sum_of(server.admin, 1).await;
    // The numbers before this one can be added, and this one cannot.
    redis.told(3, &["EVAL", SPOIL, "0", &i64::MAX.to_string()]).await;
    server.call(6).await;
    for _ in 0..3 {
        assert_eq!(list(server.admin, by(&[])).await.unwrap_err().code(), Unavailable);
    }
    redis.told(3, &["EVAL", SPOIL, "0", "3"]).await;
    sum_of(server.admin, 7).await;
}

#[tokio::test]
async fn what_is_none_of_ours_among_sums_is_left_aside_and_replaced_where_it_is_in_the_way() {
    let redis = Redis::start().await;
    let server = server(&redis.url());
    server.call(1).await;
    sum_of(server.admin, 1).await;
    let hour = redis.keys(3, "*:hour:*").await.remove(0);
    let strange: [(&[u8], &[u8]); 4] =
        [(b"\xff\xfe", b"1"), (b"nonsense", b"1"), (b"99:x", b"1"), (b"1:\xff", b"\xff")];
    for (field, value) in strange {
        let _: i64 = redis.answer(3, cmd("HSET").arg(&hour).arg(field).arg(value)).await;
    }
    server.call(1).await;
    sum_of(server.admin, 2).await;
    let is_told = || !server.logged("is left aside").is_empty();
    eventually("what is none of ours is told", is_told).await;
    // What is in the way is lost with it, and nothing else: what comes later is added.
    redis.told(3, &["EVAL", SPOIL, "0", "none"]).await;
    server.call(2).await;
    within("it is added", async { while total(server.admin).await.succeeded != 4 {} }).await;
    assert_eq!(total(server.admin).await.output_tokens, 6);
    for key in redis.keys(3, "*:usage:*").await {
        of_another_kind(&redis, &key).await;
    }
    assert!(list(server.admin, by(&[])).await.is_ok());
    server.call(3).await;
    let succeeded = async || Some(list(server.admin, by(&[])).await.ok()?.records.first()?.succeeded);
    within("it is added", async { while succeeded().await != Some(3) {} }).await;
}
