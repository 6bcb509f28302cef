//! The code that the build generates from `proto/completiond/v1`, and its descriptors for reflection.
//!
//! Only `edge` and the client in `cli` may use it.

#![allow(clippy::too_many_lines, clippy::allow_attributes_without_reason, reason = "generated")]

pub mod json;

pub use crate::edge::Codec;

tonic::include_proto!("completiond.v1");

/// The encoded descriptors of the contract.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
