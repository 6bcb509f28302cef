//! The gRPC face: the only place that knows `tonic::Status` and the generated types.

mod codec;
mod complete_status;
mod convert;
mod rich_status;
mod status;
mod timeout;

pub use codec::Codec;
