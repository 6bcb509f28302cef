//! Where callers come in: listeners, connections, and the gRPC service over the pipeline.

mod certified;
mod connection;
mod drain;
mod gate;
mod greeting;
mod grpc;
mod handshake;
mod listener;
mod reload;
mod socket;
mod streams;
mod worker;

pub use certified::Certified;
pub use drain::Drain;
pub use gate::{ConnectionBounds, Gate, Refusals};
pub use grpc::{Admission, Codec, Faces, LedgerView, Limits, RequestRules, Served, Watch, code_name};
pub use listener::{Bound, Listener};
pub use reload::{Changes, Reload, Reloaded};
pub use socket::Socket;
pub use worker::{Load, Workers};
