//! Who calls: told by a key, by a certificate or by a token that somebody else has signed, and what each caller may do.
//!
//! Keys are known here by their hashes alone. It knows neither gRPC nor the configuration's file, and decides nothing about a
//! call: it says whose it is, and what was laid down for that caller.

mod accounts;
mod caller;
mod issuers;
mod key;
mod models;
mod roster;
mod vouchers;

pub use caller::{Allowance, Caller, LedgerView};
pub use issuers::{ClaimName, IssuerSettings, KeysAt, KeysFrom, KeysNow, Template, TokenAlgorithm, TokenFault};
pub use key::{Key, KeyHash, NotAHash};
pub use models::{ModelPattern, Models, NotAPattern};
pub use roster::{Callers, Entry, Identified, Roster, Shown, Stranger};
pub use vouchers::{Pending, Vouching};
