//! Asking a provider for the tokens of a prompt. It takes no place at the endpoint and leaves nothing in its health: such
//! questions have limits of their own, and an estimate stands in for every answer.

use std::time::Duration;

use http::HeaderValue;
use http_body_util::{BodyExt, Limited};

use super::Endpoint;
use super::attempt::addressed;
use super::destination::Place;
use crate::domain::Tokens;
use crate::protocol::Counting;
use crate::telemetry::WorkSpan;
use crate::transport::Transport;

/// The most that is read of an answer, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// What the provider of `endpoint` says, as a part of the work of `span`; none: it has not said it within `patience`, whatever
/// the reason.
pub async fn count(
    endpoint: &Endpoint,
    counting: Counting,
    transport: &dyn Transport,
    patience: Duration,
    span: &WorkSpan,
) -> Option<Tokens> {
    let Counting { path, headers, body, read } = counting;
    let place = Place::behind(&endpoint.provider.base_url, path);
    let mut outgoing = addressed(endpoint, place, headers, body, HeaderValue::from_static("application/json"));
    span.inject(outgoing.request.headers_mut());
    let asking = async {
        let response = transport.send(outgoing).await.ok()?;
        let status = response.status();
        if !status.is_success() {
            tracing::debug!(endpoint = endpoint.identity.to_string(), %status, "the provider does not count tokens");
            return None;
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await.ok()?;
        read(&body.to_bytes())
    };
    tokio::time::timeout(patience, asking).await.ok().flatten()
}
