//! A call that is not let in: how its caller is told so, and how that is logged.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic::metadata::MetadataValue;

use super::convert::LedgerView;
use super::failure::Failure;
use super::status;
use crate::domain::{CallId, Error, Reason};
use crate::proto::completion_service_server::SERVICE_NAME;

/// How a call that is not let in is told so.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Refusal {
    pub(in crate::edge) id: CallId,
    pub(in crate::edge) view: LedgerView,
}

/// What is asked of who is not known.
const CHALLENGE: &str = r#"Bearer realm="completiond""#;

/// How long nothing more is logged of refused calls: whoever is refused may come again a thousand times a second.
const QUIET: Duration = Duration::from_secs(1);

/// The longest name of a method that is repeated: longer ones are none of ours.
const METHOD_BYTES: usize = 40;

/// When a refused call was logged last, and how many were not since.
static NOTED: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

impl Refusal {
    /// Logs that a call was not let in, and why: at most one in a second, with the number of those that were not logged. What is
    /// refused on the headers is refused in words of this server, and nothing of what its caller has sent is in them.
    pub(in crate::edge) fn note(self, error: &Error, path: &str) {
        let unsaid = {
            let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *noted {
                Some((at, unsaid)) if at.elapsed() < QUIET => {
                    *unsaid = unsaid.saturating_add(1);
                    return;
                }
                last => last.replace((Instant::now(), 0)).map_or(0, |(_, unsaid)| unsaid),
            }
        };
        let rpc = method(path);
        tracing::info!(id = %self.id, rpc, reason = error.reason.as_str(), cause = %error, unsaid, "call refused");
    }

    pub(super) fn status(self, error: &Error) -> Status {
        let mut status = status::status(error, Some(self.id), self.view);
        if error.reason == Reason::CredentialsInvalid {
            // What proxies and clients of HTTP look at (RFC 6750).
            status.metadata_mut().insert("www-authenticate", MetadataValue::from_static(CHALLENGE));
        }
        status
    }

    /// The same for the other face.
    pub(in crate::edge) fn failure(self, error: &Error) -> Failure {
        self.status(error).into()
    }
}

/// What is repeated of a path, which is the client's word: what may be a method of ours.
fn method(path: &str) -> Option<&str> {
    let method = path.strip_prefix('/')?.strip_prefix(SERVICE_NAME)?.strip_prefix('/')?;
    Some(method).filter(|name| name.len() <= METHOD_BYTES && name.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_path_only_what_may_be_a_method_of_ours_is_repeated() {
        let of_ours = |name: &str| format!("/{SERVICE_NAME}/{name}");
        assert_eq!(method(&of_ours("StreamBatchComplete")), Some("StreamBatchComplete"));
        for name in ["a b", "%0a", "a\u{1b}[2J", "a/b", &"a".repeat(41)] {
            assert_eq!(method(&of_ours(name)), None, "{name}");
        }
        assert_eq!(method("/other.Service/Complete"), None);
    }
}
