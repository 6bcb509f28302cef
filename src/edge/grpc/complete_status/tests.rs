//! What the framework refuses by itself, through the framework.

use bytes::Bytes;
use http_body_util::Full;
use tonic_types::StatusExt;
use tower::ServiceExt;

use super::*;
use crate::proto;
use crate::proto::completion_service_server::{CompletionService, CompletionServiceServer};

/// A service whose calls fail with a bare status, as one that is not ours would.
struct Bare;

#[tonic::async_trait]
impl CompletionService for Bare {
    async fn complete(
        &self,
        _: tonic::Request<proto::CompleteRequest>,
    ) -> Result<tonic::Response<proto::CompleteResponse>, Status> {
        Err(Status::not_found("no such service"))
    }

    type StreamCompleteStream = tokio_stream::Empty<Result<proto::StreamCompleteResponse, Status>>;

    async fn stream_complete(
        &self,
        _: tonic::Request<proto::CompleteRequest>,
    ) -> Result<tonic::Response<Self::StreamCompleteStream>, Status> {
        Ok(tonic::Response::new(tokio_stream::empty()))
    }

    async fn batch_complete(
        &self,
        _: tonic::Request<proto::BatchCompleteRequest>,
    ) -> Result<tonic::Response<proto::BatchCompleteResponse>, Status> {
        Err(Status::not_found("no such service"))
    }

    type StreamBatchCompleteStream = tokio_stream::Empty<Result<proto::StreamBatchCompleteResponse, Status>>;

    async fn stream_batch_complete(
        &self,
        _: tonic::Request<tonic::Streaming<proto::StreamBatchCompleteRequest>>,
    ) -> Result<tonic::Response<Self::StreamBatchCompleteStream>, Status> {
        Ok(tonic::Response::new(tokio_stream::empty()))
    }

    async fn get_completion(
        &self,
        _: tonic::Request<proto::GetCompletionRequest>,
    ) -> Result<tonic::Response<proto::GetCompletionResponse>, Status> {
        Err(Status::not_found("no such service"))
    }

    async fn count_tokens(
        &self,
        _: tonic::Request<proto::CountTokensRequest>,
    ) -> Result<tonic::Response<proto::CountTokensResponse>, Status> {
        Err(Status::not_found("no such service"))
    }

    async fn list_models(
        &self,
        _: tonic::Request<proto::ListModelsRequest>,
    ) -> Result<tonic::Response<proto::ListModelsResponse>, Status> {
        Err(super::status(&Error::new(Reason::ShuttingDown, "stops"), None, LedgerView::Full))
    }
}

fn id(number: u128) -> CallId {
    CallId::new(uuid::Uuid::from_u128(number))
}

/// The head of the answer to `message`, whose first byte and length the frame of gRPC has in front.
async fn answer(method: &str, headers: &[(&'static str, &str)], frame: Vec<u8>, known: Option<CallId>) -> HeaderMap {
    let service = CompletionServiceServer::new(Bare)
        .max_decoding_message_size(64)
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    let service = CompleteStatusLayer::new(Arc::new(|| id(1))).layer(service);
    let mut request = Request::post(format!("http://h/completiond.v1.CompletionService/{method}"))
        .header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::new(Bytes::from(frame))).unwrap();
    request.extensions_mut().extend(
        known
            .map(|id| {
                let mut extensions = http::Extensions::new();
                extensions.insert(id);
                extensions
            })
            .unwrap_or_default(),
    );
    service.oneshot(request).await.unwrap().headers().clone()
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

#[tokio::test]
async fn each_refusal_of_the_framework_leaves_complete() {
    let large = vec![b'a'; 65];
    let gzip: &[(&str, &str)] = &[("grpc-encoding", "gzip")];
    let unspoken: &[(&str, &str)] = &[("grpc-encoding", "br")];
    let mut large_when_open = flate(&[b'a'; 1000]);
    let cases = [
        ("unknown method", "Nothing", &[][..], frame(0, b""), Code::Unimplemented, "METHOD_UNKNOWN"),
        ("too large", "Complete", &[], frame(0, &large), Code::InvalidArgument, "REQUEST_TOO_LARGE"),
        ("no message", "Complete", &[], frame(0, b"\xff"), Code::InvalidArgument, "INVALID_REQUEST"),
        ("no frame", "Complete", &[], vec![0, 0], Code::InvalidArgument, "INVALID_REQUEST"),
        ("nothing", "Complete", &[], vec![], Code::InvalidArgument, "INVALID_REQUEST"),
        ("a flag that is none", "Complete", &[], frame(9, b""), Code::InvalidArgument, "INVALID_REQUEST"),
        ("a flag without encoding", "Complete", &[], frame(1, b"x"), Code::InvalidArgument, "INVALID_REQUEST"),
        ("no gzip", "Complete", gzip, frame(1, b"x"), Code::InvalidArgument, "INVALID_REQUEST"),
        ("an encoding not spoken", "Complete", unspoken, frame(1, b"x"), Code::Unimplemented, "INVALID_REQUEST"),
        ("a bare status", "Complete", &[], frame(0, b""), Code::NotFound, "NOT_FOUND"),
        (
            "a bomb",
            "Complete",
            gzip,
            frame(1, &std::mem::take(&mut large_when_open)),
            Code::InvalidArgument,
            "REQUEST_TOO_LARGE",
        ),
    ];
    for (name, method, headers, frame, code, reason) in cases {
        let head = answer(method, headers, frame, None).await;
        let status = Status::from_header_map(&head).unwrap();
        assert_eq!(status.code(), code, "{name}: {status:?}");
        let details = status.check_error_details().unwrap();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "completiond"), "{name}");
        assert_eq!(details.request_info().unwrap().request_id, id(1).to_string(), "{name}");
        assert_eq!(details.bad_request().is_some(), reason == "INVALID_REQUEST", "{name}");
        assert_eq!(head.get_all("grpc-status").iter().count(), 1, "{name}");
        assert_eq!(head.get_all("grpc-message").iter().count(), 1, "{name}");
        assert!(!status.message().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_spoken_is_answered_with_those_that_are() {
    let head = answer("Complete", &[("grpc-encoding", "br")], frame(1, b"x"), None).await;
    assert!(head["grpc-accept-encoding"].to_str().unwrap().contains("gzip"));
}

#[tokio::test]
async fn a_call_that_is_known_keeps_its_id() {
    let head = answer("Nothing", &[], frame(0, b""), Some(id(2))).await;
    let status = Status::from_header_map(&head).unwrap();
    assert_eq!(status.get_details_request_info().unwrap().request_id, id(2).to_string());
}

#[tokio::test]
async fn a_status_with_details_stays_as_it_is() {
    let status = Status::from_header_map(&answer("ListModels", &[], frame(0, b""), None).await).unwrap();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "stops"));
    assert_eq!(status.get_details_error_info().unwrap().reason, "SHUTTING_DOWN");
    assert!(status.get_details_request_info().is_none());
}

#[tokio::test]
async fn an_answer_that_goes_well_stays_as_it_is() {
    let head = answer("StreamComplete", &[], frame(0, b""), None).await;
    assert!(!head.contains_key("grpc-status-details-bin"));
}

/// A gzip stream of one block that is stored, not compressed: RFC 1951 and 1952 by hand.
fn flate(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    [&head[..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat()
}
