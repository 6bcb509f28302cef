//! Attacks over real sockets on the server as a process of its own: none gets in, a caller beside it is served all the while,
//! and what the server holds of it stays bounded. What was measured stands in docs/threat-model.md;
//! `UPDATE_EXPECTED=1 cargo test --test attacks` writes it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects, and this crate is nothing but tests; what was measured is printed"
)]

mod bodies;
mod connections;
mod floods;
mod headers;
mod health;
mod keys;
mod logs;
mod outwards;
mod paper;
mod peer;
mod series;
mod server;
mod spellings;
#[path = "../stage/mod.rs"]
mod stage;
mod upstream;
