//! Where callers come in: listeners, connections, and the gRPC service over the pipeline.

mod connection;
mod count;
mod drain;
mod greeting;
mod grpc;
mod listener;
mod worker;

pub use connection::Connection;
pub use count::{Count, Held};
pub use drain::Drain;
pub use grpc::{Admission, Codec, Faces, LedgerView, Limits, RequestRules, Served, Watch, code_name};
pub use listener::{Bound, Listener};
pub use worker::{Load, Workers};
