//! The simulator as its clients see it: bytes of both wire formats, in the process and over a socket.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod advice;
mod ask;
mod decoded;
mod failures;
mod schemas;
mod shapes;
mod sockets;
mod validator;
