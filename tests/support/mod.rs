//! What end to end tests share: a server of ours in this process, reached over a real socket, and what a client sees of
//! it. It knows the public interface and the contract, and nothing of how the server is built.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod fold;
#[path = "../kept/mod.rs"]
pub(crate) mod kept;
pub(crate) mod raw;
pub(crate) mod seen;

use std::net::SocketAddr;
use std::path::Path;

use completiond::app::{self, Running};
use completiond::config::{Config, Overrides, Sources};
use completiond::edge::Bound;
use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::{self, CompleteRequest, StreamCompleteResponse};
use completiond::telemetry::Tracer;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, Status};

pub(crate) use seen::Seen;

/// A client as it is generated from the contract.
pub(crate) type Client = CompletionServiceClient<Channel>;

/// The two wire protocols, with the path that their vendors' SDKs append to the base address by themselves.
pub(crate) const PROTOCOLS: [&str; 2] = ["anthropic", "openai"];

/// A server in this process, with a worker of its own. It goes when it is dropped, once its connections are closed.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    channel: Channel,
}

impl Server {
    /// Starts with a configuration file's text. Ports are chosen by the system and there is one worker, unless the text
    /// says otherwise.
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::with(&config(yaml)).await
    }

    /// Starts with a configuration.
    pub(crate) async fn with(config: &Config) -> Self {
        kept::logs();
        let running = app::start(config, Tracer::off()).await.unwrap();
        let channel = channel(address(&running.public)).await;
        Self { running, channel }
    }

    /// Where callers reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        address(&self.running.public)
    }

    /// A client. All clients of a server share one connection.
    pub(crate) fn client(&self) -> Client {
        client(self.channel.clone())
    }

    /// A client with a connection of its own, to be closed by dropping it.
    pub(crate) async fn separate_client(&self) -> Client {
        client(channel(self.address()).await)
    }

    /// The running server itself, to be stopped.
    pub(crate) fn into_running(self) -> Running {
        self.running
    }

    /// One completion, whole.
    ///
    /// # Errors
    /// The status, read.
    pub(crate) async fn complete(
        &self,
        asked: impl IntoRequest<CompleteRequest>,
    ) -> Result<proto::CompleteResponse, Seen> {
        match self.client().complete(asked).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(Seen::of(&status)),
        }
    }

    /// One completion as a stream, read to its end.
    ///
    /// # Errors
    /// The status of a call that failed before its response began: the head of the response was its end.
    pub(crate) async fn stream(&self, asked: impl IntoRequest<CompleteRequest>) -> Result<Streamed, Seen> {
        let mut events = match self.client().stream_complete(asked).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Err(Seen::of(&status)),
        };
        let mut streamed = Streamed { events: Vec::new(), failure: None };
        loop {
            match events.message().await {
                Ok(Some(event)) => streamed.events.push(event),
                Ok(None) => return Ok(streamed),
                Err(status) => {
                    streamed.failure = Some(Seen::of(&status));
                    return Ok(streamed);
                }
            }
        }
    }
}

/// A stream that has ended.
#[derive(Debug)]
pub(crate) struct Streamed {
    /// All messages.
    pub(crate) events: Vec<StreamCompleteResponse>,
    /// The status at its end; none: OK.
    pub(crate) failure: Option<Seen>,
}

impl Streamed {
    /// What the events of a stream that ended with OK fold to, held against the rules for sequences on the way.
    pub(crate) fn fold(&self) -> proto::CompleteResponse {
        assert_eq!(self.failure, None, "the stream failed");
        fold::fold(&self.events).unwrap_or_else(|error| panic!("{error}: {:#?}", self.events))
    }
}

/// Reads the text of a configuration file, with free ports and one worker where it says nothing about them.
pub(crate) fn config(yaml: &str) -> Config {
    let mut text = String::new();
    for (key, value) in
        [("listen", "127.0.0.1:0"), ("admin_listen", "127.0.0.1:0"), ("ops_listen", "127.0.0.1:0"), ("workers", "1")]
    {
        if !yaml.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            text.push_str(&format!("{key}: {value}\n"));
        }
    }
    text.push_str(yaml);
    let variable = |name: &str| (name == "TEST_KEY").then(|| KEY.to_owned());
    Config::parse(&text, Path::new("test.yaml"), &Overrides::default(), &Sources::new(&variable))
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// The line of a provider that speaks `protocol` at `url`, as the vendor's own SDK writes the address.
pub(crate) fn provider(id: &str, protocol: &str, url: &str) -> String {
    let base = if protocol == "anthropic" { url.to_owned() } else { format!("{url}/v1") };
    format!("  - {{ id: {id}, protocol: {protocol}, base_url: \"{base}\", api_key: \"${{TEST_KEY}}\" }}\n")
}

/// The key that the server has for its providers, as `${TEST_KEY}`.
pub(crate) const KEY: &str = "sk-test-0123456789abcdefghijklmnopqrstuvwxyz";

/// A request that is nothing but a prompt, for a model that has any name at any provider.
pub(crate) fn ask(model: &str, prompt: &str) -> CompleteRequest {
    CompleteRequest { model: model.into(), prompt: prompt.into(), ..CompleteRequest::default() }
}

fn client(channel: Channel) -> Client {
    Client::new(channel).max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX)
}

async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

fn address(bound: &Bound) -> SocketAddr {
    match bound {
        Bound::Tcp(address) => *address,
        Bound::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}

/// The status of a stream that must not have begun.
pub(crate) fn refused(answer: Result<Streamed, Seen>) -> Seen {
    answer.map(|streamed| panic!("the stream began: {streamed:#?}")).unwrap_or_else(|seen| seen)
}

/// A status that a generated client gives, read.
pub(crate) fn seen(status: &Status) -> Seen {
    Seen::of(status)
}
