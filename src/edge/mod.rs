//! Where callers come in: listeners, connections, and the gRPC service over the pipeline.

mod certified;
mod connection;
mod drain;
mod greeting;
mod grpc;
mod listener;
mod reload;
mod worker;

pub use certified::Certified;
pub use connection::Connection;
pub use drain::Drain;
pub use grpc::{Admission, Codec, Faces, LedgerView, Limits, RequestRules, Served, Watch, code_name};
pub use listener::{Bound, Listener};
pub use reload::{Changes, Reload, Reloaded};
pub use worker::{Load, Workers};
