//! One attempt at one endpoint, up to the point where something leaves for the client.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::Stream;
use futures_util::stream;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, USER_AGENT};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout_at};

use super::destination::Place;
use super::patience::Patience;
use super::upstream::{Framing, Upstream, not_sent, within};
use super::{Endpoint, Entry, Lease, Ledger, Meter, RetryBudget, Timeouts, mask};
use crate::domain::{Decoded, Error, Event, Finish, Identity, PicoUsd, Reason, Request, Started, Terms, Usage};
use crate::protocol::{Decoder, Delivery, Exchange, HttpRefusal, Verdict};
use crate::telemetry::{CallTrace, Target};
use crate::transport::{Body, Departure, Incoming, Outgoing, Sending, Transport};

/// The most that is read of a body that is not an answer, in bytes.
const REFUSAL_BYTES: usize = 64 * 1024;
/// How long such a body is waited for. Its status is known, and most often says enough: a body that never ends must not
/// keep the call from going elsewhere.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// The headers that an attempt has of its own: those below, the credentials, and those of traces.
const HEADERS: usize = 8;

/// When an attempt counts as committed.
#[derive(Clone, Copy, Debug)]
pub enum Commitment {
    /// With its whole answer: until then it can be made elsewhere.
    WholeAnswer,
    /// With the first block, or with the first event that comes this long after the upstream began to work.
    FirstBlock {
        /// How long the caller is kept from knowing that somebody is at work.
        commit_after: Duration,
    },
}

/// What an attempt needs beside the endpoint and what is sent.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Carries the bytes.
    pub transport: &'a dyn Transport,
    /// How long it may take until it is committed; nothing in it is longer than what the endpoint allows.
    pub timeouts: Timeouts,
    /// The most that an answer may take, in bytes.
    pub max_answer_bytes: u64,
    /// What it may cost: an answer that reaches this ends there. None: whatever it does.
    pub spend: Option<PicoUsd>,
    /// The place at the endpoint that the attempt takes.
    pub lease: Lease,
    /// Where a success is paid in.
    pub budget: &'a RetryBudget,
    /// Where it is recorded.
    pub ledger: &'a Ledger,
    /// Makes its span, and the trace context for the upstream.
    pub trace: &'a CallTrace,
}

/// An answer of which something may leave for the client: the first events are ready. An error that ends it is told as
/// it was before the commitment.
pub type Committed = std::pin::Pin<Box<dyn Stream<Item = Result<Decoded, Error>> + Send>>;

/// An answer that has begun to arrive.
#[derive(Debug)]
pub struct Accepted {
    endpoint: Arc<Endpoint>,
    request_id: Option<String>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Arriving(Box<Upstream>),
    /// The provider's filter stopped the prompt: that is the answer.
    Filtered(Box<Finish>),
}

/// Sends `exchange` to `endpoint` and waits for the first event of the answer.
///
/// # Errors
/// Whatever went wrong before that, with the endpoint named; another endpoint may then be tried.
pub async fn attempt(
    endpoint: &Arc<Endpoint>,
    exchange: Exchange,
    request: &Request,
    attempt: Attempt<'_>,
) -> Result<Accepted, Error> {
    let mut patience = Patience::new(&attempt.timeouts, exchange.delivery);
    let (mut outgoing, delivery, decoder) = outgoing(endpoint, exchange);
    let meter = Meter::new(endpoint, request, outgoing.departure.clone(), attempt.spend);
    let span = attempt.trace.attempt(Target {
        identity: &endpoint.identity,
        telemetry_name: endpoint.provider.telemetry_name,
        address: outgoing.request.uri(),
    });
    span.inject(outgoing.request.headers_mut());
    // In a box from here on: it is handed on, and what waits would have room for it at each step.
    let mut entry = Box::new(attempt.ledger.begin(meter, span, attempt.lease, attempt.budget.clone()));

    let opened = open(endpoint, attempt.transport.send(outgoing), delivery, request, &mut patience, &mut entry).await;
    let (head, framing) = match opened {
        Ok(Opened::Answer(head, framing)) => (head, framing),
        Ok(Opened::Filtered(finish)) => {
            entry.filtered();
            return Ok(Accepted { endpoint: Arc::clone(endpoint), request_id: None, answer: Answer::Filtered(finish) });
        }
        Err(error) => {
            entry.failed(&error, Usage::default(), &Terms::default());
            return Err(blame(endpoint, error));
        }
    };
    let request_id = request_id(head.headers());
    let upstream = Upstream::new(head.into_body(), framing, decoder, patience, attempt.max_answer_bytes, entry);
    let mut upstream = Box::new(upstream);
    while upstream.accepted().is_none() {
        if let Err(error) = upstream.advance().await {
            return Err(uncommitted(endpoint, error, request, request_id));
        }
    }
    let answer = Answer::Arriving(upstream);
    Ok(Accepted { endpoint: Arc::clone(endpoint), request_id, answer })
}

impl Accepted {
    /// Waits until the attempt is committed.
    ///
    /// # Errors
    /// Whatever went wrong before that, with the endpoint named; another endpoint may then be tried.
    pub async fn commit(self, commitment: Commitment, request: &Request) -> Result<Committed, Error> {
        let Self { endpoint, request_id, answer } = self;
        let mut upstream = match answer {
            Answer::Arriving(upstream) => upstream,
            Answer::Filtered(finish) => return Ok(filtered(&endpoint, finish)),
        };
        match reach(&mut upstream, commitment).await {
            Ok(()) => {
                upstream.relax(endpoint.timeouts.idle);
                Ok(committed(upstream, endpoint, request_id))
            }
            Err(error) => Err(uncommitted(&endpoint, error, request, request_id)),
        }
    }
}

/// What a failure is called while nothing has left for the client.
fn uncommitted(endpoint: &Endpoint, error: Error, request: &Request, request_id: Option<String>) -> Error {
    blame(endpoint, quotable(error.before_commit(), request, endpoint))
        .with(|details| details.upstream_request_id = request_id)
}

/// The head of an answer.
enum Opened {
    /// An answer follows, framed like this.
    Answer(Incoming, Framing),
    /// The provider's filter stopped the prompt: that is the answer.
    Filtered(Box<Finish>),
}

/// Waits for the head of the answer that `sending` leads to.
async fn open(
    endpoint: &Endpoint,
    sending: Sending,
    delivery: Delivery,
    request: &Request,
    patience: &mut Patience,
    entry: &mut Entry,
) -> Result<Opened, Error> {
    let waits = entry.waits().clone();
    let head = within(patience, waits.during(sending)).await?.map_err(|error| not_sent(&error))?;
    entry.head(head.status());
    entry.learn(&endpoint.provider.protocol.allowance(head.headers(), SystemTime::now()));
    if head.status().is_success() {
        let framing = framing(&head, delivery)?;
        return Ok(Opened::Answer(head, framing));
    }
    // In a box, whose room is not taken by an answer.
    match waits.during(Box::pin(refused(endpoint, head, patience, request))).await {
        Verdict::Answer(finish) => Ok(Opened::Filtered(finish)),
        Verdict::Failure(error) => Err(error),
    }
}

/// Reads until the attempt is committed.
async fn reach(upstream: &mut Upstream, commitment: Commitment) -> Result<(), Error> {
    match commitment {
        Commitment::WholeAnswer => {
            while !upstream.is_over() {
                upstream.advance().await?;
            }
        }
        Commitment::FirstBlock { commit_after } => {
            while !upstream.has_begun() {
                upstream.advance().await?;
                // Only an event commits, never silence, and only one that the client will see.
                if upstream.has_events()
                    && upstream.accepted().is_some_and(|accepted| accepted.elapsed() > commit_after)
                {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The rest of an answer, of which the first events are ready.
fn committed(upstream: Box<Upstream>, endpoint: Arc<Endpoint>, request_id: Option<String>) -> Committed {
    Box::pin(stream::try_unfold((upstream, endpoint, request_id), |(mut upstream, endpoint, request_id)| async move {
        match upstream.next().await {
            Ok(Some(event)) => Ok(Some((identified(event, &request_id), (upstream, endpoint, request_id)))),
            Ok(None) => Ok(None),
            Err(error) => {
                Err(blame(&endpoint, error).with(|details| {
                    details.upstream_request_id = request_id;
                    // The request is gone, so nothing tells what these words quote of it.
                    details.provider_error = None;
                }))
            }
        }
    }))
}

/// Tells at the end of the answer what the provider calls the request.
fn identified(mut event: Decoded, request_id: &Option<String>) -> Decoded {
    if let (Event::Completed(finish), Some(id)) = (&mut event, request_id) {
        finish.metadata.entry("upstream_request_id".into()).or_insert_with(|| id.clone());
    }
    event
}

/// The answer to a prompt that the provider's filter stopped.
fn filtered(endpoint: &Endpoint, finish: Box<Finish>) -> Committed {
    let Identity { provider, model, .. } = endpoint.identity.clone();
    let started = Event::Started(Started::new(provider, model));
    Box::pin(stream::iter([Ok(started), Ok(Event::Completed(finish))]))
}

fn outgoing(endpoint: &Endpoint, exchange: Exchange) -> (Outgoing, Delivery, Box<dyn Decoder>) {
    let accept = match exchange.delivery {
        Delivery::Stream => HeaderValue::from_static("text/event-stream"),
        Delivery::Whole => HeaderValue::from_static("application/json"),
    };
    let place = endpoint.destinations.of(&endpoint.provider.base_url, &exchange.path);
    let outgoing = addressed(endpoint, place, exchange.headers, exchange.body, accept);
    (outgoing, exchange.delivery, exchange.decoder)
}

/// A body on its way to a place of the endpoint's provider, signed.
pub(super) fn addressed(
    endpoint: &Endpoint,
    Place { address, host }: Place,
    own: HeaderMap,
    body: bytes::Bytes,
    accept: HeaderValue,
) -> Outgoing {
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = address;
    *request.version_mut() = endpoint.provider.version;
    let headers = request.headers_mut();
    // Room for all of them at once.
    headers.reserve(HEADERS + own.len() + endpoint.provider.headers.len());
    // What goes through a proxy is named by whoever rewrites its address for that.
    if let Some(host) = host.filter(|_| endpoint.provider.proxy.is_none()) {
        headers.insert(HOST, host);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("completiond/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, accept);
    headers.extend(own);
    headers.extend(endpoint.provider.headers.clone());
    endpoint.provider.credentials.sign(headers);
    Outgoing {
        request,
        connect_timeout: endpoint.timeouts.connect,
        proxy: endpoint.provider.proxy.clone(),
        departure: Departure::default(),
    }
}

/// What an HTTP status that is no success means.
async fn refused(endpoint: &Endpoint, head: Incoming, patience: &Patience, request: &Request) -> Verdict {
    let (parts, body) = head.into_parts();
    let body = beginning(body, patience.left().min(REFUSAL_TIME)).await;
    let refusal = HttpRefusal { status: parts.status, headers: &parts.headers, body: &body, now: SystemTime::now() };
    match endpoint.provider.protocol.refuse(&endpoint.identity, &refusal) {
        Verdict::Answer(finish) => Verdict::Answer(finish),
        Verdict::Failure(error) => Verdict::Failure(quotable(error, request, endpoint).with(|details| {
            details.upstream_status = Some(parts.status.as_u16());
            if details.upstream_request_id.is_none() {
                details.upstream_request_id = request_id(&parts.headers);
            }
        })),
    }
}

/// As much of a body as is worth reading and comes in time.
async fn beginning(body: Body, time: Duration) -> Vec<u8> {
    let mut body = Limited::new(body, REFUSAL_BYTES);
    let mut bytes = Vec::new();
    let end = Instant::now() + time;
    while let Ok(Some(Ok(frame))) = timeout_at(end, body.frame()).await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    bytes
}

/// A provider's own words stay only where the contract hands them on: on a request that it rejected.
fn quotable(error: Error, request: &Request, endpoint: &Endpoint) -> Error {
    let rejected =
        matches!(error.reason, Reason::ProviderRejected | Reason::ContextLengthExceeded | Reason::RequestTooLarge);
    error.with(|details| {
        let words = details.provider_error.take().filter(|_| rejected);
        details.provider_error = words.map(|words| mask::mask(words, request, &endpoint.provider.credentials));
    })
}

/// How the answer is framed: as its type says, which may not be what was asked for.
fn framing(head: &Incoming, delivery: Delivery) -> Result<Framing, Error> {
    if head.status() == StatusCode::NO_CONTENT {
        return Err(Error::protocol("it has no content"));
    }
    let kind = head.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match (kind.as_str(), delivery) {
        ("text/event-stream", _) => Ok(Framing::Frames),
        ("application/json", _) => Ok(Framing::Whole),
        ("", Delivery::Stream) => Ok(Framing::Frames),
        ("", Delivery::Whole) => Ok(Framing::Whole),
        ("text/html", _) => Err(Error::protocol("it is a web page")),
        _ => Err(Error::protocol("its content type is neither an event stream nor JSON")),
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    static NAMES: [HeaderName; 2] = [HeaderName::from_static("request-id"), HeaderName::from_static("x-request-id")];
    let id = NAMES.iter().find_map(|name| headers.get(name))?.to_str().ok()?;
    Some(id.chars().take(128).collect())
}

/// Names the endpoint in a failure.
fn blame(endpoint: &Endpoint, error: Error) -> Error {
    error.with(|details| {
        details.provider.get_or_insert_with(|| endpoint.identity.provider.clone());
        details.model.get_or_insert_with(|| endpoint.identity.model.clone());
    })
}
