//! What a person types.

pub mod serve;
