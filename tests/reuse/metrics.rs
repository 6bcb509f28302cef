//! What calls were answered by, as a Prometheus scrapes it.

use std::collections::BTreeMap;

use completiond::proto::{CacheMode, CacheStatus, CompleteRequest, ResponseCache};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::calls::{CACHED, asked, folded, status, whole};
use crate::stage::{Stage, tcp};

/// Every series of the cache by its name and labels.
async fn scraped(stage: &Stage) -> BTreeMap<String, f64> {
    let mut connection = TcpStream::connect(tcp(&stage.running.ops)).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let lines = answer.lines().filter(|line| line.starts_with("completiond_cache_"));
    let series = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

#[tokio::test]
async fn a_scrape_shows_what_calls_were_answered_by_and_what_that_has_spared() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let request = asked("tokens=5 first_event=0ms pace=0ms");
    let made = whole(&wire, &request).await.outcome.unwrap();
    for _ in 0..3 {
        whole(&wire, &request).await;
    }
    let slow = asked("tokens=5 first_event=100ms pace=10ms");
    let (first, second) = (wire.stream(&slow, &[]).await, wire.stream(&slow, &[]).await);
    let (first, second) = futures_util::future::join(folded(first), folded(second)).await;
    assert_eq!(status(&first.unwrap().1), CacheStatus::Miss);
    assert_eq!(status(&second.unwrap().1), CacheStatus::Coalesced);
    let cache = Some(ResponseCache { mode: CacheMode::Bypass.into(), ttl: None });
    let named =
        CompleteRequest { request_id: uuid::Uuid::now_v7().to_string(), cache, ..asked("tokens=5 first_event=0ms") };
    whole(&wire, &named).await;
    whole(&wire, &named).await;
    let series = scraped(&stage).await;
    let of = |name: &str, status: &str| {
        let found = series.iter().find(|(key, _)| {
            key.starts_with(&format!("completiond_cache_{name}_total{{"))
                && key.contains(&format!("completiond_cache_status=\"{status}\""))
        });
        *found.unwrap_or_else(|| panic!("{name} of {status} in {series:?}")).1
    };
    for (status, calls) in [("hit", 3.0), ("miss", 2.0), ("coalesced", 1.0), ("replayed", 1.0), ("bypassed", 1.0)] {
        assert_eq!(of("calls", status).total_cmp(&calls), std::cmp::Ordering::Equal, "{status} in {series:?}");
    }
    let usage = made.usage.unwrap();
    let tokens = f64::from(3 * usage.total_tokens);
    assert!((of("saved_tokens", "hit") - tokens).abs() < 0.5, "{series:?}");
    let cost: f64 = made.cost.unwrap().usd.parse().unwrap();
    assert!((of("saved_usd", "hit") - 3.0 * cost).abs() < 1e-12, "{series:?}");
    assert!(of("saved_usd", "coalesced") > 0.0 && of("saved_usd", "replayed") > 0.0, "{series:?}");
    let evicted = series.iter().find(|(key, _)| key.starts_with("completiond_cache_evictions_total"));
    assert_eq!(evicted.map(|(_, count)| count.to_bits()), Some(0));
}
