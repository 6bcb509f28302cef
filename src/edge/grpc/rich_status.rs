//! A status with details, as `google.rpc.Status` in the trailer `grpc-status-details-bin`, and never more than clients
//! take: many bound all trailers of a call at 8 KiB.
//!
//! What goes into it is decided in `status`; here it is only packed.

use bytes::Bytes;
use prost::Message;
use prost_types::Any;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::proto;

/// The bytes of all details together, the status around them included.
pub(super) const MAX_BYTES: usize = 4096;
/// Ends a message that was cut; a header takes it as it is.
const ELLIPSIS: &str = "...";
/// Room for the lengths that grow when something is added to a message that is measured already.
const SLACK: usize = 32;
/// Room that violations leave for what a call used and for a provider's words.
const FAILURE_BYTES: usize = 1200;

/// The name of our own detail in an `Any`.
const FAILURE_DETAIL: &str = "type.googleapis.com/completiond.v1.FailureDetail";
/// Where the names of google.rpc live in an `Any`.
const GOOGLE_RPC: &str = "type.googleapis.com/google.rpc.";

/// A detail of google.rpc.
pub(super) trait Standard: Message {
    /// Its name in google.rpc.
    const NAME: &'static str;
}

impl Standard for pb::ErrorInfo {
    const NAME: &'static str = "ErrorInfo";
}
impl Standard for pb::RequestInfo {
    const NAME: &'static str = "RequestInfo";
}
impl Standard for pb::RetryInfo {
    const NAME: &'static str = "RetryInfo";
}
impl Standard for pb::QuotaFailure {
    const NAME: &'static str = "QuotaFailure";
}
impl Standard for pb::BadRequest {
    const NAME: &'static str = "BadRequest";
}

/// A status in the making.
#[derive(Debug)]
pub(super) struct RichStatus {
    code: Code,
    status: pb::Status,
}

impl RichStatus {
    /// A status without details; of its message at most `max_bytes` are told.
    pub(super) fn new(code: Code, message: &str, max_bytes: usize) -> Self {
        let message = match message.len() <= max_bytes {
            true => message.to_owned(),
            false => cut(message.to_owned(), max_bytes.saturating_sub(ELLIPSIS.len())) + ELLIPSIS,
        };
        Self { code, status: pb::Status { code: code.into(), message, details: Vec::new() } }
    }

    /// Adds a detail that is small by itself.
    pub(super) fn add<M: Standard>(&mut self, detail: &M) {
        self.push(format!("{GOOGLE_RPC}{}", M::NAME), detail);
    }

    /// Adds the wrong fields, the first ones as far as the room goes.
    pub(super) fn add_violations(&mut self, violations: impl Iterator<Item = pb::bad_request::FieldViolation>) {
        let mut room = self.room().saturating_sub(FAILURE_BYTES);
        let fits = |violation: &pb::bad_request::FieldViolation| fit(&mut room, violation);
        let field_violations: Vec<_> = violations.take_while(fits).collect();
        if !field_violations.is_empty() {
            self.add(&pb::BadRequest { field_violations });
        }
    }

    /// Adds the ledger of the call: the last attempts as far as the room goes, the others as a number.
    pub(super) fn add_failure(&mut self, mut failure: proto::FailureDetail, attempts: Vec<proto::Attempt>) {
        let room_beside = |failure: &proto::FailureDetail| {
            let any = Any { type_url: FAILURE_DETAIL.into(), value: failure.encode_to_vec() };
            self.room().checked_sub(any.encoded_len())
        };
        let beside = room_beside(&failure);
        if let (None, Some(usage)) = (beside, &mut failure.usage) {
            // The totals are told even where there is no room for what they are made of.
            usage.items.clear();
        }
        let mut room = beside.or_else(|| room_beside(&failure)).unwrap_or(0);
        let tried = attempts.len();
        failure.attempts = attempts.into_iter().rev().take_while(|attempt| fit(&mut room, attempt)).collect();
        failure.attempts.reverse();
        failure.attempts_omitted = i32::try_from(tried - failure.attempts.len()).unwrap_or(i32::MAX);
        self.push(FAILURE_DETAIL.into(), &failure);
    }

    /// The status, with `trailer` beside its details.
    pub(super) fn finish(self, trailer: MetadataMap) -> Status {
        let details = Bytes::from(self.status.encode_to_vec());
        Status::with_details_and_metadata(self.code, self.status.message, details, trailer)
    }

    fn push(&mut self, type_url: String, detail: &impl Message) {
        self.status.details.push(Any { type_url, value: detail.encode_to_vec() });
    }

    fn room(&self) -> usize {
        MAX_BYTES.saturating_sub(self.status.encoded_len() + SLACK)
    }
}

/// At most `max_bytes` of a text, cut between two characters.
pub(super) fn cut(mut text: String, max_bytes: usize) -> String {
    let mut end = max_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Takes what an element of a list needs from the room, if there is enough.
fn fit(room: &mut usize, element: &impl Message) -> bool {
    let len = element.encoded_len();
    let needed = 1 + prost::length_delimiter_len(len) + len;
    let left = room.checked_sub(needed);
    *room = left.unwrap_or(0);
    left.is_some()
}
