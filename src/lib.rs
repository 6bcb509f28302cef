//! One gRPC service in front of every language model provider.
//!
//! A request's way is a straight line, and so is this list:
//!
//! - [`app`]: the composition root: what is built from a configuration, and what runs
//! - [`cli`]: what a person types
//! - [`callers`]: who calls, and what each may do
//! - [`config`]: what the file and the environment say, checked before a port opens
//! - [`edge`]: listeners, and the gRPC service that turns protobuf into the domain and back
//! - [`pipeline`]: what surrounds every call: trace, deadline, heartbeat
//! - [`route`]: from a name to the endpoint that answers
//! - [`pool`]: endpoints, one attempt at one of them, and the ledger of attempts
//! - [`protocol`]: the wire protocols of the providers, as pure functions
//! - [`credentials`]: what signs an outgoing request
//! - [`tls`]: certificates that listeners show, and whom they believe
//! - [`transport`]: bytes to and from an upstream
//! - [`simulator`]: an upstream inside the process, on the same wire formats
//! - [`catalog`]: what is known about models, as data
//! - [`telemetry`]: logs and traces
//! - [`price`]: what the work of providers costs
//! - [`tokens`]: how many tokens a text has
//! - [`store`]: what outlasts a call: what became of it, and what was used
//! - [`regular`]: files that have an end, and are read to it
//! - [`count`]: how many there are of something
//! - [`domain`]: what all of them speak of

pub mod app;
pub mod aside;
pub mod callers;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod count;
pub mod credentials;
pub mod domain;
pub mod edge;
pub mod pipeline;
pub mod pool;
pub mod price;
pub mod proto;
pub mod protocol;
pub mod regular;
pub mod route;
pub mod simulator;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod tokens;
pub mod transport;
