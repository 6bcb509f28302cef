//! What is kept in Redis or Valkey: shared by processes, and while it is away.
//!
//! `REDIS_SERVER` is the program to start; `.ci/run redis` gives one of each kind.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]
#![allow(dead_code, reason = "what other tests have as well, of which these use a part")]

mod answers;
#[path = "../usage/ask.rs"]
mod ask;
#[path = "../reuse/calls.rs"]
mod calls;
mod cluster;
mod ids;
mod limits;
#[path = "../usage/process.rs"]
mod process;
mod providers;
#[path = "../receiver/mod.rs"]
mod receiver;
mod servers;
mod spans;
#[path = "../stage/mod.rs"]
mod stage;
mod sums;

use ask::{by, list, total};
