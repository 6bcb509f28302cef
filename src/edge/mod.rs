//! Where callers come in: listeners, connections, and the two faces of the pipeline: gRPC (`grpc`), and for who cannot speak it
//! plain HTTP and gRPC-Web (`http`).

mod certified;
mod connection;
mod drain;
mod gate;
mod greeting;
mod grpc;
mod handshake;
mod hangup;
mod http;
mod listener;
mod reload;
mod socket;
mod streams;
mod twice;
mod worker;

pub use self::http::Origins;
pub use certified::Certified;
pub use drain::Drain;
pub use gate::{ConnectionBounds, Gate, Refusals};
pub use grpc::convert;
pub use grpc::{Admission, Codec, Faces, LedgerView, Limits, Reflections, RequestRules, Served, Watch, code_name};
pub use listener::{Bound, Listener};
pub use reload::{CallersNow, Changes, Reload, Reloaded};
pub use socket::Socket;
pub use worker::{Load, Workers};
