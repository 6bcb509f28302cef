//! The shared provider pool: endpoints, one attempt at one of them, and the ledger of attempts.

mod attempt;
mod endpoint;
mod ledger;
mod mask;
mod patience;
mod timeouts;
mod upstream;

pub use attempt::{Attempt, Commitment, Committed, attempt};
pub use endpoint::{Endpoint, Provider};
pub use ledger::{Entry, Ledger};
pub use timeouts::Timeouts;
