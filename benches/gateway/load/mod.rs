//! Load: who calls, and how often.

mod caller;
mod closed;
mod open;
pub(crate) mod raw;

pub(crate) use caller::{Caller, Told};
pub(crate) use closed::{Amount, closed};
pub(crate) use open::{Delays, open};
