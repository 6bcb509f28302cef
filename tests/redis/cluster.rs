//! Answers and calls that processes share on a cluster.

use completiond::proto::CacheStatus::{Hit, Miss, Replayed};
use completiond::proto::CompleteRequest;
use completiond::proto::clear_cache_request::Scope;

use crate::answers::{Pair, SHARED, answered, clear, is_used_again, one_of_many, stats};
use crate::servers::Cluster;
use crate::stage::within;

/// Both are shared.
fn settings() -> String {
    format!("{SHARED}\ncompletions: {{ redis_url: \"${{REDIS_URL}}\" }}")
}

const ANSWERS: &str = "completiond:answers:1:{??}:*:*:*";

async fn sharing(cluster: &Cluster) -> Pair {
    let url = cluster.url();
    let mut variables = vec![("REDIS_URL", url.as_str())];
    variables.extend(cluster.certificate.as_deref().map(|file| ("SSL_CERT_FILE", file)));
    Pair::sharing(&settings(), &variables).await
}

/// What holds on every cluster.
async fn is_shared_by_all(cluster: &Cluster) {
    let pair = sharing(cluster).await;
    let (one, other) = pair.wires().await;
    for number in 0..60 {
        assert_eq!(answered(&one, &one_of_many(number)).await, Miss);
        assert_eq!(answered(&other, &one_of_many(number)).await, Hit);
    }
    let keys = cluster.keys(ANSWERS).await;
    assert_eq!(keys.iter().sum::<usize>(), 60, "{keys:?}");
    assert!(keys.iter().all(|keys| *keys > 0), "each server has some: {keys:?}");
    let named = CompleteRequest { request_id: uuid::Uuid::now_v7().to_string(), ..one_of_many(100) };
    assert_eq!(answered(&one, &named).await, Miss);
    assert_eq!(answered(&other, &named).await, Replayed);
    assert_eq!(clear(&pair.other, Scope::Model("nobody".to_owned())).await.unwrap(), 0);
    assert_eq!(clear(&pair.other, Scope::All(true)).await.unwrap(), 61);
    assert_eq!(cluster.keys(ANSWERS).await, [0, 0, 0]);
    assert_eq!(answered(&one, &one_of_many(0)).await, Miss);
    let shared = stats(&pair.one).await.shared.unwrap();
    assert!(shared.available && shared.failures == 0, "{shared:?}");
}

#[tokio::test]
async fn all_servers_of_a_cluster_have_a_part_of_what_is_shared() {
    is_shared_by_all(&Cluster::start(false).await).await;
}

#[tokio::test]
async fn over_tls_a_cluster_shares_it_too() {
    is_shared_by_all(&Cluster::start(true).await).await;
}

#[tokio::test]
async fn who_has_what_may_change() {
    let cluster = Cluster::start(false).await;
    let pair = sharing(&cluster).await;
    let (one, other) = pair.wires().await;
    assert_eq!(answered(&one, &one_of_many(0)).await, Miss);
    clear(&pair.one, Scope::All(true)).await.unwrap();
    cluster.give(1, 2).await;
    for number in 0..60 {
        assert_eq!(answered(&one, &one_of_many(number)).await, Miss);
        assert_eq!(answered(&other, &one_of_many(number)).await, Hit, "{number}");
    }
    let keys = cluster.keys(ANSWERS).await;
    assert!(keys[1] == 0 && keys.iter().sum::<usize>() == 60, "{keys:?}");
    assert_eq!(clear(&pair.one, Scope::All(true)).await.unwrap(), 60);
}

#[tokio::test]
async fn no_call_fails_while_a_cluster_is_away() {
    let mut cluster = Cluster::start(false).await;
    let pair = sharing(&cluster).await;
    let (one, other) = pair.wires().await;
    assert_eq!(answered(&one, &one_of_many(0)).await, Miss);
    cluster.nodes.iter_mut().for_each(crate::servers::Redis::kill);
    for number in 1..50 {
        assert_eq!(answered(&one, &one_of_many(number)).await, Miss);
    }
    for node in &mut cluster.nodes {
        node.again().await;
    }
    cluster.is_there().await;
    is_used_again(&pair.one).await;
    is_used_again(&pair.other).await;
    assert_eq!(answered(&one, &one_of_many(0)).await, Hit);
    assert_eq!(answered(&other, &one_of_many(0)).await, Hit);
}

#[tokio::test]
async fn when_another_server_takes_the_place_of_one_it_is_used_again() {
    let mut cluster = Cluster::start(false).await;
    cluster.add_heir().await;
    let pair = sharing(&cluster).await;
    let (one, other) = pair.wires().await;
    for number in 0..30 {
        assert_eq!(answered(&one, &one_of_many(number)).await, Miss);
    }
    // The one that the address names, and it does not come back.
    cluster.nodes[0].kill();
    within("all is shared again", async {
        loop {
            let mut hits = 0;
            for number in 0..30 {
                answered(&one, &one_of_many(number)).await;
                hits += usize::from(answered(&other, &one_of_many(number)).await == Hit);
            }
            if hits == 30 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    })
    .await;
}
