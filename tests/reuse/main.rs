//! Answers that are there already, over real sockets: from the cache, joined while they are made, and sent again.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod cache;
mod calls;
mod flights;
mod ids;
mod metrics;
#[path = "../stage/mod.rs"]
mod stage;

use calls::{CACHED, asked, folded, status, whole};
use stage::Stage;

/// How many requests the upstream had.
fn upstream(stage: &Stage) -> usize {
    stage.upstream.received().len()
}
