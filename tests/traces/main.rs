//! What a server as a process of its own tells an operator: its traces, its log records and its lines, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

#[path = "../kept/mod.rs"]
mod kept;
#[path = "../receiver/mod.rs"]
mod receiver;

mod canary;
mod conventions;
mod fields;
mod levels;
mod life;
mod outage;
mod real;
mod seen;
mod server;
