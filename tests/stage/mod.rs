//! A server in front of a simulated upstream, both on real sockets, and a client that does only what it is told: it
//! sets no timers of its own, gives no window that is not asked for, and lets go when it is dropped.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, and each uses its own part of this"
)]

#[path = "../kept/mod.rs"]
pub mod kept;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use completiond::app::Running;
use completiond::config::{Config, Overrides, Sources};
use completiond::edge::Bound;
use completiond::proto::{CompleteRequest, StreamCompleteResponse, stream_complete_response::Event};
use completiond::simulator::{Counts, Simulator, Upstream};
use completiond::telemetry::Guard;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic_types::StatusExt;

/// Far more than anything here takes; a wait that reaches it has failed.
pub const BOUND: Duration = Duration::from_secs(20);
const SERVICE: &str = "/completiond.v1.CompletionService";

/// A server and its upstream.
pub struct Stage {
    pub upstream: Upstream,
    pub running: Running,
}

/// The text of a configuration for `upstream`, on free ports.
pub fn configuration(upstream: &str, protocol: &str, settings: &str) -> String {
    let free = "127.0.0.1:0";
    // A key that no log may have.
    let key = concat!("    api_key: 'file:", env!("CARGO_MANIFEST_DIR"), "/tests/stage/key.txt'\n");
    let key = if settings.contains("api_key") { "" } else { key };
    format!(
        "listen: {free}\nadmin_listen: {free}\nops_listen: {free}\ndefault_model: up/simulator\n\
         providers:\n  - id: up\n    protocol: {protocol}\n    base_url: {upstream}\n{key}{settings}\n"
    )
}

pub fn parsed(text: &str) -> Config {
    let sources = Sources::new(&|_| None);
    Config::parse(text, Path::new("test.yaml"), &Overrides::default(), &sources)
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

impl Stage {
    /// A server with these settings beside its addresses and its one provider.
    pub async fn with(settings: &str) -> Self {
        Self::speaking("openai", settings).await
    }

    /// The same over this wire protocol.
    pub async fn speaking(protocol: &str, settings: &str) -> Self {
        Self::set(protocol, settings, |_| {}).await
    }

    /// The same, with a configuration that is changed after it was read.
    pub async fn set(protocol: &str, settings: &str, change: impl FnOnce(&mut Config)) -> Self {
        kept::logs();
        let upstream = Upstream::start(Simulator::default()).await.unwrap();
        let mut config = parsed(&configuration(&upstream.url(), protocol, settings));
        change(&mut config);
        let running = completiond::app::start(&config, Guard::start(|_| None).unwrap().tracer()).await.unwrap();
        Self { upstream, running }
    }

    pub fn address(&self) -> SocketAddr {
        tcp(&self.running.public)
    }

    pub async fn wire(&self) -> Wire {
        Wire::connect(self.address()).await
    }

    /// Waits until the upstream's counts are as `wanted`.
    pub async fn upstream_is(&self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        seen(self.upstream.simulator().counts(), wanted).await
    }

    /// Waits until nothing is in flight any more, neither here nor upstream.
    pub async fn is_quiet(&self) {
        self.upstream_is(|counts| counts.open == 0).await;
        let admission = &self.running.admission;
        let in_flight = || (admission.calls_in_flight(), admission.bytes_in_flight());
        eventually("what calls had taken is given back", || in_flight() == (0, 0)).await;
    }
}

pub fn tcp(bound: &Bound) -> SocketAddr {
    match bound {
        Bound::Tcp(address) => *address,
        Bound::Unix(path) => panic!("a port was asked for, not {}", path.display()),
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

pub async fn seen<T: Clone>(mut watch: watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) -> T {
    within("the upstream is as it should be", watch.wait_for(wanted)).await.unwrap().clone()
}

/// Waits for what nothing announces.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let asking = async {
        let mut pulse = tokio::time::interval(Duration::from_millis(5));
        while !holds() {
            pulse.tick().await;
        }
    };
    within(what, asking).await;
}

/// A request for `prompt`.
pub fn prompt(prompt: &str) -> CompleteRequest {
    CompleteRequest { prompt: prompt.to_owned(), max_tokens: Some(200_000), ..Default::default() }
}

/// A message as gRPC frames it.
pub fn framed(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(encoded.len()).unwrap().to_be_bytes());
    bytes.extend(encoded);
    bytes.into()
}

type Sent = UnsyncBoxBody<Bytes, std::convert::Infallible>;
/// The rest of an upload: dropped, it ends.
pub type Rest = mpsc::Sender<Result<Frame<Bytes>, std::convert::Infallible>>;

/// A connection of HTTP/2 and nothing above it.
pub struct Wire {
    sender: SendRequest<Sent>,
    connection: JoinHandle<()>,
    socket: std::net::TcpStream,
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The client's own tasks would keep it open.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(address, |_| {}).await
    }

    /// A connection that gives every stream only this window.
    pub async fn with_window(address: SocketAddr, bytes: u32) -> Self {
        Self::with(address, |builder| {
            builder.initial_stream_window_size(bytes).initial_connection_window_size(1 << 30);
        })
        .await
    }

    async fn with(address: SocketAddr, set: impl FnOnce(&mut http2::Builder<TokioExecutor>)) -> Self {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        set(&mut builder);
        let stream = TcpStream::connect(address).await.unwrap().into_std().unwrap();
        // As clients do: else each call waits for the acknowledgement of the one before.
        stream.set_nodelay(true).unwrap();
        let socket = stream.try_clone().unwrap();
        let io = TokioIo::new(TcpStream::from_std(stream).unwrap());
        let (sender, connection) = builder.handshake(io).await.unwrap();
        let connection = tokio::spawn(async move {
            // That the other side ends it is what some tests wait for.
            let _ = connection.await;
        });
        Self { sender, connection, socket }
    }

    /// Waits until the other side has closed the connection.
    pub async fn closed(mut self) {
        within("the connection is closed", &mut self.connection).await.unwrap();
    }

    /// Sends a call and returns without waiting for anything.
    pub fn send(
        &self,
        method: &str,
        message: &CompleteRequest,
        headers: &[(&str, &str)],
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        self.send_raw(&format!("{SERVICE}/{method}"), framed(message), headers)
    }

    pub fn send_raw(
        &self,
        path: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        self.send_body(path, Full::new(body).boxed_unsync(), headers)
    }

    /// Begins a call of which only `bytes` of a longer message are sent, as long as the first of what this returns is
    /// held.
    pub fn begin(
        &self,
        bytes: usize,
        headers: &[(&str, &str)],
    ) -> (Rest, impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<>) {
        let (rest, pieces) = mpsc::channel(4);
        let mut begun = vec![0];
        begun.extend((u32::try_from(bytes).unwrap() + 1).to_be_bytes());
        begun.resize(5 + bytes, 0);
        rest.try_send(Ok(Frame::data(begun.into()))).unwrap();
        let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(pieces)).boxed_unsync();
        (rest, self.send_body(&format!("{SERVICE}/StreamComplete"), body, headers))
    }

    /// Begins a call to `path` whose client says nothing, as long as the first of what this returns is held.
    pub fn begin_raw(
        &self,
        path: &str,
    ) -> (Rest, impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<>) {
        let (rest, pieces) = mpsc::channel(4);
        let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(pieces)).boxed_unsync();
        (rest, self.send_body(path, body, &[]))
    }

    fn send_body(
        &self,
        path: &str,
        body: Sent,
        headers: &[(&str, &str)],
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        let mut request = Request::post(format!("http://server{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone();
        let request = request.body(body).unwrap();
        async move {
            sender.ready().await?;
            sender.send_request(request).await
        }
    }

    /// A stream of events, once its head has come.
    pub async fn stream(&self, message: &CompleteRequest, headers: &[(&str, &str)]) -> Events {
        Events::of(within("a head comes", self.send("StreamComplete", message, headers)).await.unwrap())
    }

    /// A unary call to its end.
    pub async fn complete(&self, message: &CompleteRequest, headers: &[(&str, &str)]) -> End {
        Events::of(within("a head comes", self.send("Complete", message, headers)).await.unwrap()).end().await
    }
}

/// The events of a stream, taken one at a time. Dropped, it resets the stream.
pub struct Events {
    head: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    trailers: Option<HeaderMap>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub code: tonic::Code,
    pub reason: String,
    pub message: String,
}

impl Events {
    pub fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self { head: head.headers, body, buffer: BytesMut::new(), trailers: None }
    }

    /// What clients that try again by themselves are told.
    pub fn pushback(&self) -> Option<&str> {
        self.head.get("grpc-retry-pushback-ms")?.to_str().ok()
    }

    /// The bytes of the next message; none at the end.
    pub async fn next_bytes(&mut self) -> Option<Bytes> {
        self.try_next_bytes().await.unwrap()
    }

    /// The same, where the connection may break.
    pub async fn try_next_bytes(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(message) = self.cut() {
                return Ok(Some(message));
            }
            let Some(frame) = within("a frame comes", self.body.frame()).await else { return Ok(None) };
            match frame.map_err(|error| error.to_string())?.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
    }

    fn cut(&mut self) -> Option<Bytes> {
        let length = self.buffer.get(1..5)?;
        let length = usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
        if self.buffer.len() < 5 + length {
            return None;
        }
        self.buffer.advance(5);
        Some(self.buffer.split_to(length).freeze())
    }

    pub async fn next(&mut self) -> Option<StreamCompleteResponse> {
        Some(StreamCompleteResponse::decode(self.next_bytes().await?).unwrap())
    }

    /// The next event, which must be there.
    pub async fn event(&mut self) -> Event {
        self.next().await.unwrap().event.unwrap()
    }

    /// All events, which must be numbered from `first` on.
    pub async fn all(&mut self, mut first: i64) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(next) = self.next().await {
            assert_eq!(next.sequence, first, "sequence numbers have no gap");
            first += 1;
            events.push(next.event.unwrap());
        }
        events
    }

    /// Reads to the end, and how that was.
    pub async fn end(mut self) -> End {
        while self.next_bytes().await.is_some() {}
        self.status()
    }

    pub fn status(&self) -> End {
        let found = self.trailers.as_ref().unwrap_or(&self.head);
        let status = tonic::Status::from_header_map(found).unwrap_or_else(|| panic!("no status in {found:?}"));
        let reason = status.get_details_error_info().map(|told| told.reason).unwrap_or_default();
        End { code: status.code(), reason, message: status.message().to_owned() }
    }
}

impl End {
    #[track_caller]
    pub fn expect(&self, code: tonic::Code, reason: &str, words: &str) {
        assert_eq!((self.code, self.reason.as_str()), (code, reason), "{}", self.message);
        assert!(self.message.contains(words), "{:?} does not say {words:?}", self.message);
    }
}
