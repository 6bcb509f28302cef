//! Signed tokens (JWT) that others issue for callers: whose word counts, with which keys they sign, and what a token says.
//!
//! Nothing here is logged of a token, nor told to whoever shows one, but what is wrong with it in words of ours.

mod claims;
mod fault;
mod fetch;
mod issuer;
mod jwks;
mod kept;
mod look;
mod settings;
mod signatures;
mod verified;

pub use fault::TokenFault;
pub use kept::KeysNow;
pub use settings::{ClaimName, IssuerSettings, KeysAt, KeysFrom, Template, TokenAlgorithm};

pub(super) use issuer::{Issuer, Outcome, Refused, issuer_of, looks_like_a_token};
pub(super) use kept::Kept;
