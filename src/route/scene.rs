//! What a call brings with it and finds: what is asked, and what does not change while it is answered.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Hedging, Rules};
use crate::domain::{CallId, Request};
use crate::pool::{Ledger, RetryBudget};
use crate::protocol::Delivery;
use crate::telemetry::CallTrace;
use crate::transport::Transport;

/// What is asked of the router.
#[derive(Debug)]
pub struct Asked {
    /// The call.
    pub id: CallId,
    /// What is asked.
    pub request: Box<Request>,
    /// Whether the caller wants the answer as it is made or whole.
    pub delivery: Delivery,
    /// When it must have ended.
    pub deadline: Instant,
    /// How often the client has asked before and failed (`grpc-previous-rpc-attempts`).
    pub previous_attempts: u32,
    /// Where attempts are recorded.
    pub ledger: Ledger,
    /// Makes the spans of attempts.
    pub trace: CallTrace,
}

/// What does not change while a call is under way.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) asked: Asked,
    pub(super) rules: Rules,
    pub(super) hedging: Option<Arc<Hedging>>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) budget: RetryBudget,
}
