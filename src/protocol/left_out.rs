//! What an endpoint cannot take: gathered while a request is encoded, judged once at its end.

use super::Unfit;
use crate::domain::{Request, UnsupportedParameters};

/// The fields of a request that an encoder leaves out.
#[derive(Debug)]
pub(super) struct LeftOut {
    policy: UnsupportedParameters,
    unsupported: Vec<String>,
    foreign: Vec<String>,
}

impl LeftOut {
    pub(super) fn of(request: &Request) -> Self {
        Self { policy: request.unsupported, unsupported: Vec::new(), foreign: Vec::new() }
    }

    /// A parameter that this endpoint does not know: the caller decides whether that rules the endpoint out.
    pub(super) fn unsupported(&mut self, path: impl Into<String>) {
        self.unsupported.push(path.into());
    }

    /// Content that only another vendor, model or account can read, which is never a reason to rule the endpoint out.
    pub(super) fn foreign(&mut self, path: impl Into<String>) {
        self.foreign.push(path.into());
    }

    /// The paths to report.
    ///
    /// # Errors
    /// [`Unfit::Parameters`] when the caller wants none of its parameters left out.
    pub(super) fn judge(self) -> Result<Vec<String>, Unfit> {
        if self.policy == UnsupportedParameters::Reject && !self.unsupported.is_empty() {
            return Err(Unfit::Parameters(self.unsupported));
        }
        Ok(self.unsupported.into_iter().chain(self.foreign).collect())
    }
}
