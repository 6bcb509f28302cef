//! TLS over real sockets: what is served, who is let in, what each end of a connection that is not served is told, and
//! certificates that are replaced under load. Beside it, how long connections last and how many there may be.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test says what it expects, and this crate is nothing but tests; what was measured is printed"
)]

mod commands;
mod desk;
#[path = "../callers/issuer.rs"]
#[expect(dead_code, reason = "what signs and shows is the tests of callers' own; a part of it is used here")]
mod issuer;
mod keys;
mod lasting;
mod many;
mod pki;
mod process;
mod refusals;
mod replaced;
mod served;
#[path = "../stage/mod.rs"]
mod stage;
mod told;
