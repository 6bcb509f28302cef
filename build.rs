//! Generates the gRPC code from `proto/`, with a protobuf compiler in Rust: no protoc is needed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("proto");
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(root.join("completiond/v1"))? {
        files.push(entry?.path());
    }
    files.sort();
    println!("cargo:rerun-if-changed=proto");

    let descriptors = protox::compile(&files, [root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;

    let mut config = tonic_prost_build::Config::new();
    // The codec asks each message for its name.
    config.enable_type_names();
    config.extern_path(".google.rpc.Status", "::tonic_types::pb::Status");
    tonic_prost_build::configure()
        // Small buffers and our own words for bytes that are no message: see src/edge/grpc/codec.rs.
        .codec_path("crate::proto::Codec")
        // They are much larger than what may stand in their place, or than the rest of what is handed from hand to hand.
        .boxed(".completiond.v1.CompleteResponse.outcome")
        .boxed(".completiond.v1.StreamCompleteResponse.event.completed")
        .boxed(".completiond.v1.BatchResult.result.response")
        .boxed(".completiond.v1.BatchItem.request")
        // What is told of an answer stands in such a map already.
        .btree_map(".completiond.v1.CompletionOutcome.provider_metadata")
        .bytes(".completiond.v1.Media.data")
        .bytes(".completiond.v1.StreamCompleteResponse.BlockDelta.audio")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
