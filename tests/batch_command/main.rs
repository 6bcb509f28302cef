//! `completiond batch`, the program itself: against a server in this process or one beside it, with a simulated upstream
//! here that says what it was asked.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod desk;
mod interrupted;
mod memory;
mod outages;
mod plain;
mod refused;
mod repeated;
#[path = "../stage/mod.rs"]
mod stage;
