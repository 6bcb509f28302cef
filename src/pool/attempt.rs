//! One attempt at one endpoint, up to the point where something leaves for the client.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::Stream;
use futures_util::stream;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, USER_AGENT};
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};

use super::patience::Patience;
use super::upstream::{Framing, Upstream, not_sent, reported_cost, within};
use super::{Endpoint, Ledger, mask};
use crate::domain::{AttemptOutcome, Decoded, Error, Event, Finish, Identity, Reason, Request, Started, Usage};
use crate::protocol::{Decoder, Delivery, Exchange, HttpRefusal, Verdict};
use crate::telemetry::{CallTrace, Target};
use crate::transport::{Body, Incoming, Outgoing, Transport};

/// The most that is read of a body that is not an answer, in bytes.
const REFUSAL_BYTES: usize = 64 * 1024;

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
    /// When something may leave for the client.
    pub commitment: Commitment,
    /// The most that an answer may take, in bytes.
    pub max_answer_bytes: u64,
    /// Where it is recorded.
    pub ledger: &'a Ledger,
    /// Makes its span, and the trace context for the upstream.
    pub trace: &'a CallTrace,
}

/// An answer of which something may leave for the client: the first events are ready.
pub type Committed = std::pin::Pin<Box<dyn Stream<Item = Result<Decoded, Error>> + Send>>;

/// Sends `exchange` to `endpoint` and waits until the attempt is committed.
///
/// # Errors
/// Whatever went wrong before that, with the endpoint named; another endpoint may then be tried.
pub async fn attempt(
    endpoint: &Arc<Endpoint>,
    exchange: Exchange,
    request: &Request,
    attempt: Attempt<'_>,
) -> Result<Committed, Error> {
    let mut patience = Patience::new(&endpoint.timeouts, exchange.delivery);
    let (mut outgoing, delivery, decoder) = outgoing(endpoint, exchange);
    let span = attempt.trace.attempt(Target {
        identity: &endpoint.identity,
        telemetry_name: endpoint.provider.telemetry_name,
        address: outgoing.request.uri(),
    });
    span.inject(outgoing.request.headers_mut());
    let mut entry = attempt.ledger.begin(endpoint.identity.clone(), span);

    let head = match within(&mut patience, attempt.transport.send(outgoing)).await {
        Ok(Ok(head)) => Ok(head),
        Ok(Err(error)) => Err(not_sent(&error)),
        Err(error) => Err(error),
    };
    let head = head.map_err(|error| {
        entry.settle(AttemptOutcome::Failed(error.reason), Usage::default(), None);
        blame(endpoint, error)
    })?;

    entry.head(head.status());
    if !head.status().is_success() {
        let verdict = refused(endpoint, head, &mut patience, request).await;
        return match verdict {
            Verdict::Answer(finish) => {
                entry.accepted();
                entry.settle(AttemptOutcome::Finished, finish.usage.clone(), reported_cost(&finish));
                Ok(filtered(endpoint, finish))
            }
            Verdict::Failure(error) => {
                entry.settle(AttemptOutcome::Failed(error.reason), Usage::default(), None);
                Err(blame(endpoint, error))
            }
        };
    }
    let request_id = request_id(head.headers());
    let framing = framing(&head, delivery).map_err(|error| {
        entry.settle(AttemptOutcome::Failed(error.reason), Usage::default(), None);
        blame(endpoint, error)
    })?;
    let mut upstream = Upstream::new(head.into_body(), framing, decoder, patience, attempt.max_answer_bytes, entry);
    let seen =
        |error: Error| blame(endpoint, error).with(|details| details.upstream_request_id.clone_from(&request_id));
    let committed_to = commit(&mut upstream, attempt.commitment).await;
    committed_to.map_err(|error| seen(quotable(error.before_commit(), request, endpoint)))?;
    Ok(committed(upstream, Arc::clone(endpoint), request_id))
}

/// Reads until the attempt is committed.
async fn commit(upstream: &mut Upstream, commitment: Commitment) -> Result<(), Error> {
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
fn committed(upstream: Upstream, endpoint: Arc<Endpoint>, request_id: Option<String>) -> Committed {
    Box::pin(stream::try_unfold((upstream, endpoint, request_id), |(mut upstream, endpoint, request_id)| async move {
        match upstream.next().await {
            Ok(Some(event)) => Ok(Some((identified(event, &request_id), (upstream, endpoint, request_id)))),
            Ok(None) => Ok(None),
            Err(error) => {
                Err(blame(&endpoint, error.after_commit()).with(|details| {
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
    let started = Event::Started(Started { provider, model });
    Box::pin(stream::iter([Ok(started), Ok(Event::Completed(finish))]))
}

fn outgoing(endpoint: &Endpoint, exchange: Exchange) -> (Outgoing, Delivery, Box<dyn Decoder>) {
    let mut request = http::Request::new(exchange.body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = address(&endpoint.provider.base_url, &exchange.path);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("completiond/", env!("CARGO_PKG_VERSION"))));
    headers.insert(
        ACCEPT,
        match exchange.delivery {
            Delivery::Stream => HeaderValue::from_static("text/event-stream"),
            Delivery::Whole => HeaderValue::from_static("application/json"),
        },
    );
    headers.extend(exchange.headers);
    headers.extend(endpoint.provider.headers.clone());
    endpoint.provider.credentials.sign(headers);
    let outgoing =
        Outgoing { request, connect_timeout: endpoint.timeouts.connect, proxy: endpoint.provider.proxy.clone() };
    (outgoing, exchange.delivery, exchange.decoder)
}

/// `path` behind `base`; a query of the base stays.
fn address(base: &Uri, path: &str) -> Uri {
    let mut parts = base.clone().into_parts();
    let before = base.path().trim_end_matches('/');
    let target = match base.query() {
        Some(query) => format!("{before}{path}?{query}"),
        None => format!("{before}{path}"),
    };
    parts.path_and_query = target.parse().ok();
    // Both halves were valid before; an address without a path is refused by the transport.
    Uri::from_parts(parts).unwrap_or_default()
}

/// What an HTTP status that is no success means.
async fn refused(endpoint: &Endpoint, head: Incoming, patience: &mut Patience, request: &Request) -> Verdict {
    let (parts, body) = head.into_parts();
    let body = within(patience, beginning(body)).await.unwrap_or_default();
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

/// As much of a body as is worth reading; what could not be read is as good as empty.
async fn beginning(body: Body) -> Vec<u8> {
    let mut body = Limited::new(body, REFUSAL_BYTES);
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
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
    let id = headers.get("request-id").or_else(|| headers.get("x-request-id"))?.to_str().ok()?;
    Some(id.chars().take(128).collect())
}

/// Names the endpoint in a failure.
fn blame(endpoint: &Endpoint, error: Error) -> Error {
    error.with(|details| {
        details.provider.get_or_insert_with(|| endpoint.identity.provider.clone());
        details.model.get_or_insert_with(|| endpoint.identity.model.clone());
    })
}
