//! `POST /stream`: one completion, streamed, behind the admission.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response};
use tonic::body::Body;
use tower::Service;
use uuid::Uuid;

use super::answer::Written;
use super::convert::Reader;
use super::media::Form;
use super::{Answer, REQUEST_ID, refused};
use crate::domain::CallId;
use crate::edge::grpc::Streaming;

/// Streams completions by plain HTTP.
#[derive(Clone, Debug)]
pub(in crate::edge) struct PlainStream {
    calls: Streaming,
}

impl PlainStream {
    pub(in crate::edge) const fn new(calls: Streaming) -> Self {
        Self { calls }
    }
}

impl Service<Request<Body>> for PlainStream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let calls = self.calls.clone();
        Box::pin(async move { Ok(answered(&calls, request).await) })
    }
}

async fn answered(calls: &Streaming, request: Request<Body>) -> Response<Body> {
    let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
    let (head, body) = request.into_parts();
    let (status, read, form) = match Reader::of(&head) {
        Ok((reader, form)) => (None, Ok(move |body: &[u8]| reader.read(body)), form),
        Err(unreadable) => (Some(unreadable.status), Err(unreadable.error), Form::Text),
    };
    match calls.stream(Request::from_parts(head, body), read).await {
        Ok(events) => begun(Written::new(events, form), form, id),
        Err(failure) => {
            // What the call says of itself comes first: that the server stops, say.
            let status = status.filter(|_| failure.reason == "INVALID_REQUEST");
            refused::answer_as(status.unwrap_or_else(|| refused::http_status(&failure)), &failure, id)
        }
    }
}

fn begun(written: Written, form: Form, id: CallId) -> Response<Body> {
    let mut response = Response::new(Body::new(written));
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, form.media_type()),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // nginx would gather the answer otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}
