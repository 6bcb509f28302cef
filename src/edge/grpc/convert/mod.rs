//! Between protobuf and the domain: the only place that names both worlds.
//!
//! What comes in is checked here, completely and once; what goes out is only put into another form. Nothing here knows
//! a provider, a connection or a clock.

mod answer;
mod batch;
mod block;
mod cache;
mod content;
mod conversation;
mod counted;
mod event;
mod json;
mod ledger;
mod list_usage;
mod lookup;
mod media;
mod models;
mod options;
mod page;
mod parameter;
mod pool;
mod request;
mod reuse;
mod tool;
mod usage;
mod violations;

#[cfg(test)]
mod tests;

pub use crate::callers::LedgerView;
pub use answer::response;
pub(crate) use batch::{Concurrency, Said, failed, said, to_batch};
pub(crate) use cache::{cache_stats, scope};
pub(crate) use counted::{counted, to_count};
pub(crate) use event::event;
pub(crate) use list_usage::{asked_usage, listed_usage};
pub(crate) use lookup::{CompletionId, completion, completion_elsewhere, completion_id};
pub(crate) use models::models;
pub use options::RequestRules;
pub(crate) use pool::{PoolReport, ProviderReport, pool, reloaded};
pub use request::request;

pub(super) use ledger::attempt;
pub(super) use usage::{cost, duration, usage};
