//! What the certificate of a connection's client says; put beside each of its calls.

use std::sync::Arc;

/// The names in a client's certificate, which was checked.
#[derive(Clone, Debug)]
pub struct Certified {
    /// Its URIs (a SPIFFE id is one), then its DNS names.
    pub names: Arc<[String]>,
}
