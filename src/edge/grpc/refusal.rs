//! A call that is not let in: how its caller is told so, and how that is logged.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use super::convert::LedgerView;
use super::failure::Failure;
use super::status;
use crate::domain::{CallId, Error};
use crate::proto::completion_service_server::SERVICE_NAME;

/// How a call that is not let in is told so.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Refusal {
    pub(in crate::edge) id: CallId,
    pub(in crate::edge) view: LedgerView,
}

/// How long nothing more is logged of refused calls: whoever is refused may come again a thousand times a second.
const QUIET: Duration = Duration::from_secs(1);

/// When a refused call was logged last, and how many were not since.
static NOTED: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

impl Refusal {
    /// Logs that a call was not let in: at most one in a second, with the number of those that were not logged.
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
        // A path is the client's word: only one of ours is repeated.
        let rpc = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_NAME)).unwrap_or("another");
        let rpc = rpc.strip_prefix('/').filter(|rpc| rpc.bytes().all(|byte| byte.is_ascii_alphabetic()));
        tracing::info!(id = %self.id, rpc, reason = error.reason.as_str(), unsaid, "call refused");
    }

    pub(super) fn status(self, error: &Error) -> Status {
        status::status(error, Some(self.id), self.view)
    }

    /// The same for the other face.
    pub(in crate::edge) fn failure(self, error: &Error) -> Failure {
        self.status(error).into()
    }
}
