//! Callers that cannot speak gRPC, over real sockets: `POST /stream` by HTTP/1.1 and HTTP/2, gRPC-Web, and which pages may call.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod answers;
mod broken;
mod counted;
mod desk;
#[path = "../support/fold.rs"]
mod fold;
mod grpc_web;
mod pages;
mod refused;
#[path = "../metrics/scraped.rs"]
mod scraped;
#[path = "../stage/mod.rs"]
mod stage;
