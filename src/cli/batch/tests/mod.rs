//! What is read of lines and kept of results, without a server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod chat;
mod formats;
mod results;
mod resuming;
