//! The gRPC face: the only place that knows `tonic::Status` and the generated types.

mod codec;

pub use codec::Codec;
