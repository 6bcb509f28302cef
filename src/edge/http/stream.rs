//! `POST /stream`: one completion, streamed or whole, behind the admission.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;
use tower::Service;
use uuid::Uuid;

use super::answer::{Unsaid, Written};
use super::convert::Reader;
use super::media::Form;
use super::{Answer, REQUEST_ID, refused};
use crate::domain::CallId;
use crate::edge::grpc::Streaming;
use crate::proto::{CompleteResponse, json};

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
    let request = Request::from_parts(head, body);
    let answer = match form {
        Form::Whole => calls.whole(request, read).await.map(|answer| whole(&answer, id)),
        Form::Text | Form::Events => match calls.stream(request, read).await {
            Ok(events) => match Written::begin(events, form).await {
                Ok(written) => Ok(begun(Body::new(written), form, id)),
                Err(Unsaid::Failed(failure)) => Err(failure),
                Err(Unsaid::Ended(outcome, said)) => return refused::without_text(&outcome, &said, id),
            },
            Err(failure) => Err(failure),
        },
    };
    answer.unwrap_or_else(|failure| {
        // What the call says of itself comes first: that the server stops, say.
        let status = status.filter(|_| failure.reason == "INVALID_REQUEST");
        let mut response = refused::answer_as(status.unwrap_or_else(|| refused::http_status(&failure)), &failure, id);
        if status == Some(StatusCode::UNSUPPORTED_MEDIA_TYPE) {
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response
    })
}

/// The whole answer, whose length is known.
fn whole(answer: &CompleteResponse, id: CallId) -> Response<Body> {
    let mut text = json::of("CompleteResponse", answer).unwrap_or_default().to_string();
    text.push('\n');
    begun(Body::new(Full::new(Bytes::from(text))), Form::Whole, id)
}

fn begun(body: Body, form: Form, id: CallId) -> Response<Body> {
    let mut response = Response::new(body);
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
