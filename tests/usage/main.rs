//! What was used and what it cost, summed up: over real sockets, and over restarts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod ask;
mod file;
mod metrics;
mod process;
#[path = "../stage/mod.rs"]
mod stage;
mod sums;

use ask::{by, list, total};
