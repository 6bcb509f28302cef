//! A connection to one server or to a cluster of them. Which it is, is asked: the same address does for both.

use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::ClusterClient;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo, SingleNodeRoutingInfo};
use ::redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError as Failure, RedisFuture, Value, cmd,
};

use super::RedisUrl;

/// How many keys a server looks at before it answers.
const KEYS_AT_A_TIME: usize = 1000;
/// How often a question is asked again in a cluster that sends it to another server.
const REDIRECTS: u32 = 4;
/// The longest pause before that, in milliseconds.
const PAUSE: u64 = 50;

/// A connection. Clones share it.
#[derive(Clone)]
pub(in crate::store) enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all servers of a cluster.
    Cluster(ClusterConnection),
}

/// Where a search for keys stands: at which server, and where there.
struct Cursor {
    node: Option<(String, u16)>,
    at: String,
}

impl Connection {
    /// Connects, where an attempt and an answer take at most `patience`.
    pub(super) async fn open(url: &RedisUrl, patience: Duration) -> Result<Self, Failure> {
        let wrong = || Failure::from((ErrorKind::InvalidClientConfig, "the address cannot be used"));
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(Some(patience));
        let client = url.client().map_err(|_| wrong())?;
        let mut single = client.get_multiplexed_async_connection_with_config(&settings).await?;
        // One that does not say it is none.
        let told: Result<String, Failure> = cmd("INFO").arg("cluster").query_async(&mut single).await;
        match told {
            Ok(told) if told.contains("cluster_enabled:1") => {
                let cluster = ClusterClient::builder([url.expose()])
                    .connection_timeout(patience)
                    .response_timeout(patience)
                    .retries(REDIRECTS)
                    .max_retry_wait(PAUSE)
                    .build()?;
                Ok(Self::Cluster(cluster.get_async_connection().await?))
            }
            Err(error) if error.is_unrecoverable_error() || error.is_timeout() => Err(error),
            _ => Ok(Self::Single(single)),
        }
    }

    /// Whether all of it answers.
    pub(super) async fn is_there(&mut self) -> Result<(), Failure> {
        let ping = cmd("PING");
        match self {
            Self::Single(single) => ping.query_async(single).await,
            Self::Cluster(cluster) => {
                let all = (MultipleNodeRoutingInfo::AllMasters, Some(ResponsePolicy::AllSucceeded));
                cluster.route_command(ping, RoutingInfo::MultiNode(all)).await.map(drop)
            }
        }
    }

    /// Deletes all keys like `pattern`; returns how many.
    pub(super) async fn delete(&mut self, pattern: &str) -> Result<u64, Failure> {
        let (mut cursors, mut keys) = self.first(pattern).await?;
        let mut deleted = self.unlink(keys).await?;
        while let Some(cursor) = cursors.pop() {
            let (rest, more) = self.next(pattern, cursor).await?;
            (cursors, keys) = (cursors.into_iter().chain(rest).collect(), more);
            deleted = deleted.saturating_add(self.unlink(keys).await?);
        }
        Ok(deleted)
    }

    async fn unlink(&mut self, keys: Vec<Vec<u8>>) -> Result<u64, Failure> {
        if keys.is_empty() {
            return Ok(0);
        }
        cmd("UNLINK").arg(keys).query_async(self).await
    }

    /// The first keys of each server, and where it goes on there.
    async fn first(&mut self, pattern: &str) -> Result<(Vec<Cursor>, Vec<Vec<u8>>), Failure> {
        let begin = || Cursor { node: None, at: "0".to_owned() };
        let Self::Cluster(cluster) = self else {
            let (rest, keys) = self.next(pattern, begin()).await?;
            return Ok((rest.into_iter().collect(), keys));
        };
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let answers = cluster.route_command(scan(pattern, &begin().at), all).await?;
        let answers: Vec<(String, Value)> = FromRedisValue::from_redis_value(answers)?;
        let (mut cursors, mut found) = (Vec::new(), Vec::new());
        for (address, answer) in answers {
            let (at, keys): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(answer)?;
            let node = address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
            let node = node.ok_or((ErrorKind::Parse, "a server of the cluster has no address"))?;
            cursors.extend(going_on(Some(node), at));
            found.extend(keys);
        }
        Ok((cursors, found))
    }

    async fn next(&mut self, pattern: &str, cursor: Cursor) -> Result<(Option<Cursor>, Vec<Vec<u8>>), Failure> {
        let command = scan(pattern, &cursor.at);
        let answer = match (&mut *self, &cursor.node) {
            (Self::Cluster(cluster), Some((host, port))) => {
                let node = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                cluster.route_command(command, RoutingInfo::SingleNode(node)).await?
            }
            _ => command.query_async(self).await?,
        };
        let (at, keys): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(answer)?;
        Ok((going_on(cursor.node, at), keys))
    }
}

fn scan(pattern: &str, at: &str) -> Cmd {
    let mut scan = cmd("SCAN");
    scan.arg(at).arg("MATCH").arg(pattern).arg("COUNT").arg(KEYS_AT_A_TIME);
    scan
}

/// A search that is back at its beginning has seen everything.
fn going_on(node: Option<(String, u16)>, at: String) -> Option<Cursor> {
    (at != "0").then_some(Cursor { node, at })
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(single) => single.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(single) => single.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(single) => single.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
