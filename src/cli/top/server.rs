//! The ops listener that is asked for its metrics.

use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

use super::reading::{self, Unread};
use super::snapshot::Snapshot;
use crate::cli::Exit;
use crate::cli::client::{ProofArgs, root_cause};

/// How long an answer may take. A server with very many series needs a moment to write them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is taken, in bytes: some hundred thousands of series.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The flags of an ops listener.
#[derive(Debug, Clone, Args)]
pub(super) struct OpsArgs {
    /// The server's ops listener: `host:port`, `https://host:port` or `unix:/path`
    #[arg(long, value_name = "ADDR", env = "COMPLETIOND_OPS_SERVER", default_value = "127.0.0.1:50053")]
    pub(super) server: String,
    #[command(flatten)]
    proof: ProofArgs,
}

/// A connection to an ops listener. It connects anew by itself when it is lost.
#[derive(Clone, Debug)]
pub(super) struct Server {
    channel: Channel,
    authorization: Option<http::HeaderValue>,
}

/// What the server answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scrape {
    pub(super) snapshot: Snapshot,
    /// The same for the same text: the server gives one out again for a second.
    pub(super) fingerprint: u64,
}

/// Why there is no answer that can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// Somebody does, who is no ops listener.
    #[error("it answers as a gRPC listener does, and has no metrics")]
    Grpc,
    #[error("it answers GET /metrics with {0}")]
    Refused(http::StatusCode),
    #[error("{0}")]
    Unread(#[from] Unread),
    #[error("it says more than {} MiB", MAX_ANSWER_BYTES / 1024 / 1024)]
    TooMuch,
}

impl OpsArgs {
    /// Connects.
    ///
    /// # Errors
    /// The server is not reachable; it was told.
    pub(super) async fn connect(&self) -> Result<Server, Exit> {
        let doubt = "is this its ops listener (`ops_listen`, with --server ADDR)?";
        let (channel, authorization) = self.proof.dial(&self.server, doubt).await?;
        let authorization = authorization.and_then(|value| {
            let mut value = http::HeaderValue::from_bytes(value.as_encoded_bytes()).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Ok(Server { channel, authorization })
    }
}

impl Server {
    /// Asks for the metrics.
    ///
    /// # Errors
    /// There are none, or none that can be read.
    pub(super) async fn scrape(&self) -> Result<Scrape, Trouble> {
        let text = tokio::time::timeout(PATIENCE, self.text()).await.map_err(|_| Trouble::Slow)??;
        let snapshot = reading::snapshot(&String::from_utf8_lossy(&text))?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&text);
        Ok(Scrape { snapshot, fingerprint: hasher.finish() })
    }

    async fn text(&self) -> Result<Bytes, Trouble> {
        let mut request = http::Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("/metrics");
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let mut channel = self.channel.clone();
        let lost = |error: &tonic::transport::Error| Trouble::Unreachable(root_cause(error));
        let ready = channel.ready().await.map_err(|error| lost(&error))?;
        let answer = ready.call(request).await.map_err(|error| lost(&error))?;
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if media_type.starts_with("application/grpc") {
            return Err(Trouble::Grpc);
        }
        if !answer.status().is_success() {
            return Err(Trouble::Refused(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.downcast_ref::<tonic::Status>() {
            Some(status) => Trouble::Unreachable(status.message().to_owned()),
            None => Trouble::TooMuch,
        })
    }
}

impl Trouble {
    /// What to do about it, and what the command ends with.
    pub(super) fn advice(&self) -> (&'static str, Exit) {
        match self {
            Self::Unreachable(_) | Self::Slow => (
                "is the server running, is this its ops listener (`ops_listen`), and does what stands in between speak HTTP/2?",
                Exit::Unreachable,
            ),
            Self::Grpc | Self::Refused(_) | Self::Unread(_) => (
                "--server wants the server's ops listener (`ops_listen`): by default that is port 50053, and callers come in \
                 at 50051",
                Exit::Failed,
            ),
            Self::TooMuch => ("fewer callers or label keys (`usage.labels`) make fewer series", Exit::Failed),
        }
    }

    /// It in a few words that a terminal can show.
    pub(super) fn words(&self) -> String {
        self.to_string().chars().filter(|letter| !letter.is_control()).collect()
    }
}
