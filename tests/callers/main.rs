//! Who calls, over real sockets: who is let in, what each may do, and what is nobody else's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod apart;
mod desk;
mod dir;
mod doors;
mod issuer;
mod keys;
mod limits;
#[path = "../stage/mod.rs"]
mod stage;
mod tokens;
