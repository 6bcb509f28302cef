//! What a listener shows of itself and whom it believes: certificates, their keys and the authorities of clients, read from
//! files, checked, and read again when they change.
//!
//! Nothing here knows a listener, a connection or the configuration.

mod current;
mod files;
mod material;
mod names;

pub use current::Current;
pub use files::{ClientCertificates, Clients, Fault, Files, Part, Settings};
pub use names::names;
