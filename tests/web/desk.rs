//! A client of plain HTTP that does only what it is told, and what it sees of an answer.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use completiond::callers::KeyHash;
use completiond::proto::{StreamCompleteResponse, json};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::stage::{Stage, within};

/// The versions of HTTP that are spoken.
pub(crate) const BOTH: [Http; 2] = [Http::One, Http::Two];
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const TEXT: (&str, &str) = ("content-type", "text/plain");
pub(crate) const WHOLE: (&str, &str) = ("accept", "application/json");
pub(crate) const SSE: (&str, &str) = ("accept", "text/event-stream");

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// An answer that has begun, and its connection, which goes with it.
pub(crate) struct Begun {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    connection: JoinHandle<()>,
}

/// An answer that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Why it is not whole; none: it is.
    pub(crate) broken: Option<String>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Http {
    /// Sends a request over a connection of its own, and waits for the head of its answer.
    pub(crate) async fn send(
        self,
        address: SocketAddr,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Begun {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let authority = if self == Self::Two { format!("http://{address}") } else { String::new() };
        let mut request = Request::builder().method(method).uri(format!("{authority}{path}"));
        if self == Self::One {
            request = request.header("host", "server");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let (response, connection) = match self {
            Self::One => {
                let (mut sender, connection) = http1::handshake(io).await.unwrap();
                let connection = tokio::spawn(async move { drop(connection.await) });
                (within("a head comes", sender.send_request(request)).await, connection)
            }
            Self::Two => {
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                let connection = tokio::spawn(async move { drop(connection.await) });
                (within("a head comes", sender.send_request(request)).await, connection)
            }
        };
        Begun::of(response.unwrap(), connection)
    }

    /// `POST /stream`.
    pub(crate) async fn stream(self, stage: &Stage, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Begun {
        self.send(stage.address(), ("POST", "/stream"), headers, body).await
    }
}

impl Begun {
    fn of(response: Response<Incoming>, connection: JoinHandle<()>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body, connection }
    }

    /// The next piece of the body; none at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        match within("a piece comes", self.body.frame()).await {
            None => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(format!("{error:?}")),
        }
    }

    /// Reads to the end.
    pub(crate) async fn end(mut self) -> Ended {
        let mut body = BytesMut::new();
        let broken = loop {
            match self.piece().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        Ended { status: self.status, headers: std::mem::take(&mut self.headers), body: body.freeze(), broken }
    }
}

impl Ended {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What is told about a failure.
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert_eq!(self.broken, None, "{self:?}");
        let told: Value = serde_json::from_str(self.text()).unwrap();
        assert_eq!(told["error"]["code"], self.status, "{told}");
        told["error"].clone()
    }

    /// What is wrong with it: the reason, and the first field and its rule.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, reason: &str, field: &str, rule: &str) {
        let error = self.error();
        assert_eq!((self.status, told_reason(&error).as_str()), (status, reason), "{error}");
        if !field.is_empty() {
            let violation = &detail(&error, "google.rpc.BadRequest")["field_violations"][0];
            assert_eq!(violation["field"], field, "{error}");
            assert!(violation["description"].as_str().unwrap().contains(rule), "{error}");
        }
    }

    /// The events of an event stream: the name of each, its id, and what it carries.
    pub(crate) fn events(&self) -> Vec<Told> {
        self.text().split_terminator("\n\n").map(Told::read).collect()
    }
}

/// An event of an event stream.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Told {
    pub(crate) fn read(block: &str) -> Self {
        let field = |wanted: &str| {
            let found = block.lines().find_map(|line| line.strip_prefix(wanted));
            found.unwrap_or_default().to_owned()
        };
        Self { name: field("event: "), id: field("id: "), data: field("data: ") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }

    pub(crate) fn message(&self) -> StreamCompleteResponse {
        json::read("StreamCompleteResponse", &self.data).unwrap()
    }
}

/// A detail of a failure, by its type.
pub(crate) fn detail<'a>(error: &'a Value, kind: &str) -> &'a Value {
    let details = error["details"].as_array().unwrap_or_else(|| panic!("{error}"));
    let wanted = format!("type.googleapis.com/{kind}");
    details.iter().find(|detail| detail["@type"] == wanted).unwrap_or_else(|| panic!("no {kind} in {error}"))
}

/// The word for the reason of a failure.
pub(crate) fn told_reason(error: &Value) -> String {
    detail(error, "google.rpc.ErrorInfo")["reason"].as_str().unwrap().to_owned()
}

/// `callers` with one who shows this key, and more keys of its entry.
pub(crate) fn caller(key: &str, more: &str) -> String {
    format!("callers: [{{ name: page, keys: [\"{}\"]{more} }}]\n", KeyHash::of(key))
}
