//! What calls leave in the metrics, over real sockets: as text exactly, and by OTLP.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test says what it expects; counts are whole numbers"
)]

#[path = "../receiver/mod.rs"]
mod receiver;
#[path = "../stage/mod.rs"]
mod stage;

mod off;
mod pushed;
mod scraped;
mod script;
mod waited;
