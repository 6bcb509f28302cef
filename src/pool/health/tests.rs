//! Health as a whole.
