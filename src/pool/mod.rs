//! The shared provider pool: endpoints, and one attempt at one of them.

mod timeouts;

pub use timeouts::Timeouts;
