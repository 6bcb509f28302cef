//! The shared provider pool: endpoints, one attempt at one of them, and the ledger of attempts.

mod account;
mod attempt;
mod budget;
mod counting;
mod destination;
mod endpoint;
mod health;
mod ledger;
mod mask;
mod meter;
mod patience;
mod spend;
mod tags;
mod timeouts;
mod upstream;

pub use account::Account;
pub use attempt::{Accepted, Attempt, Commitment, Committed, attempt};
pub use budget::RetryBudget;
pub use counting::count;
pub use destination::Destinations;
pub use endpoint::{Endpoint, Provider};
pub use health::{
    Access, BreakerState, ConcurrencyRule, FleetLimits, Health, HealthReport, Heard, LONGEST_HOLD, Lease, LimitNews,
    Right, Standing,
};
pub use ledger::{Entry, Ledger};
pub use meter::Meter;
pub use tags::{AccountTag, ModelTag};
pub use timeouts::Timeouts;
