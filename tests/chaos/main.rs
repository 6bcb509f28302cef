//! Upstreams that misbehave in every way that they know, over real sockets: what callers see of it, and what it costs
//! the providers. Each story is told for every wire protocol.

#![allow(clippy::duplicate_mod, reason = "what tests share keeps the logs of servers, each by itself")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects, and this crate is nothing but tests; what was measured is printed"
)]

mod deadline;
mod drain;
mod hedge;
mod limits;
mod misbehaviour;
mod mixed;
mod outage;
mod pair;
mod pushback;
mod resets;
#[path = "../stage/mod.rs"]
mod stage;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod way;
