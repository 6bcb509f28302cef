//! Where callers come in: listeners, and the gRPC service over the pipeline.

mod grpc;

pub use grpc::Codec;
