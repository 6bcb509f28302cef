//! One gRPC service in front of every language model provider.
//!
//! A request's way is a straight line, and so is this list:
//!
//! - [`edge`]: listeners, and the gRPC service that turns protobuf into the domain and back
//! - [`pool`]: endpoints, and one attempt at one of them
//! - [`protocol`]: the wire protocols of the providers, as pure functions
//! - [`transport`]: bytes to and from an upstream
//! - [`simulator`]: an upstream inside the process, for those who have no key
//! - [`catalog`]: what is known about the vendors' models
//! - [`domain`]: what all of them speak of

pub mod catalog;
pub mod domain;
pub mod edge;
pub mod pool;
pub mod proto;
pub mod protocol;
pub mod simulator;
pub mod transport;
