//! Who calls: told by a key or by a certificate, and what each caller may do.
//!
//! Keys are known here by their hashes alone. It knows neither gRPC nor the configuration's file, and decides nothing about a
//! call: it says whose it is, and what was laid down for that caller.

mod caller;
mod key;
mod models;
mod roster;

pub use caller::{Allowance, Caller, LedgerView};
pub use key::{Key, KeyHash, NotAHash};
pub use models::{ModelPattern, Models, NotAPattern};
pub use roster::{Callers, Entry, Roster, Shown, Stranger};
