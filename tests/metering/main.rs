//! What calls are told to have used and to have cost, held against upstreams that know it, on real sockets.

#![allow(clippy::duplicate_mod, reason = "what tests share keeps the logs of servers, each by itself")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects, and this crate is nothing but tests; what was measured is printed"
)]

mod bill;
mod bound;
mod priced;
#[path = "../stage/mod.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod truth;
mod upstream;
