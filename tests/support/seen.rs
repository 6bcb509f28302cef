//! A status as a client sees it: code, message and every detail, decoded.

use std::collections::BTreeMap;
use std::time::Duration;

use completiond::proto::FailureDetail;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb;

const GOOGLE_RPC: &str = "type.googleapis.com/google.rpc.";
const FAILURE_DETAIL: &str = "type.googleapis.com/completiond.v1.FailureDetail";

/// A status that is not OK.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// The reason of `ErrorInfo`; empty: there is none.
    pub(crate) reason: String,
    /// The domain of `ErrorInfo`.
    pub(crate) domain: String,
    /// The metadata of `ErrorInfo`.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The id of `RequestInfo`; empty: there is none.
    pub(crate) request_id: String,
    /// The delay of `RetryInfo`.
    pub(crate) retry_delay: Option<Duration>,
    /// Field and rule of each violation of `BadRequest`.
    pub(crate) violations: Vec<(String, String)>,
    pub(crate) failure: Option<FailureDetail>,
    /// The trailer `grpc-retry-pushback-ms`.
    pub(crate) pushback: Option<String>,
    /// The encoded size of all details.
    pub(crate) details_bytes: usize,
}

impl Seen {
    /// Reads a status, and fails the test where its details are no details.
    pub(crate) fn of(status: &Status) -> Self {
        let mut seen = Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: String::new(),
            domain: String::new(),
            metadata: BTreeMap::new(),
            request_id: String::new(),
            retry_delay: None,
            violations: Vec::new(),
            failure: None,
            pushback: status.metadata().get("grpc-retry-pushback-ms").map(|value| value.to_str().unwrap().to_owned()),
            details_bytes: status.details().len(),
        };
        let rich = pb::Status::decode(status.details()).unwrap();
        for any in rich.details {
            seen.read(&any.type_url, &any.value);
        }
        seen
    }

    fn read(&mut self, type_url: &str, value: &[u8]) {
        match type_url.strip_prefix(GOOGLE_RPC).unwrap_or(type_url) {
            "ErrorInfo" => {
                let info = pb::ErrorInfo::decode(value).unwrap();
                (self.reason, self.domain) = (info.reason, info.domain);
                self.metadata = info.metadata.into_iter().collect();
            }
            "RequestInfo" => self.request_id = pb::RequestInfo::decode(value).unwrap().request_id,
            "RetryInfo" => {
                let delay = pb::RetryInfo::decode(value).unwrap().retry_delay.unwrap();
                self.retry_delay = Some(delay.try_into().unwrap());
            }
            "BadRequest" => {
                let violations = pb::BadRequest::decode(value).unwrap().field_violations;
                self.violations = violations.into_iter().map(|told| (told.field, told.description)).collect();
            }
            FAILURE_DETAIL => self.failure = Some(FailureDetail::decode(value).unwrap()),
            other => panic!("a detail that the contract does not know: {other}"),
        }
    }

    /// The code and the reason.
    pub(crate) fn kind(&self) -> (Code, &str) {
        (self.code, self.reason.as_str())
    }

    /// The fields that are wrong.
    pub(crate) fn fields(&self) -> Vec<&str> {
        self.violations.iter().map(|(field, _)| field.as_str()).collect()
    }

    /// What our own detail says; it must be there.
    pub(crate) fn failure(&self) -> &FailureDetail {
        self.failure.as_ref().unwrap_or_else(|| panic!("no FailureDetail: {self:#?}"))
    }
}
