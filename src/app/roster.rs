//! From the configuration to the callers who are told apart.

use crate::callers::{Caller, Roster, Vouching};
use crate::config::Admitted;

/// The callers of a configuration; `before` is what was in force.
pub(super) fn roster(admitted: &Admitted, vouching: &Vouching, before: Option<&Roster>) -> Roster {
    if admitted.is_open() {
        // The configuration has seen to it that others are asked, or need not be.
        return Roster::open();
    }
    let entries = admitted.entries().cloned().collect();
    let nobody = admitted.anonymous.then(Caller::default);
    Roster::with_issuers(entries, nobody, (admitted.issuers.clone(), vouching), before)
}
