//! What stands under a caller's own id for all processes: which call it names, and whether that runs.

use super::Named;
use crate::domain::{CallId, Owned, RequestId};

/// What all keys begin with. The number says how they are laid out.
const PREFIX: &str = "completiond:calls:1";

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Runs,
    Ended,
}

/// The key under which a caller's own id stands.
pub(super) fn name(id: Owned<RequestId>) -> String {
    format!("{PREFIX}:id:{id}")
}

/// The key under which an answer stands.
pub(super) fn answer_name(call: Owned<CallId>) -> String {
    format!("{PREFIX}:answer:{call}")
}

/// What stands under a caller's own id.
pub(super) fn named_value(standing: Standing, named: Named) -> Vec<u8> {
    let first = match standing {
        Standing::Runs => b'r',
        Standing::Ended => b'e',
    };
    let mut value = vec![first];
    value.extend(named.body);
    value.extend(named.call.to_string().into_bytes());
    value
}

/// The same, read back; none: it is none of ours.
pub(super) fn read(value: &[u8]) -> Option<(Standing, Named)> {
    let (first, rest) = value.split_first()?;
    let standing = match first {
        b'r' => Standing::Runs,
        b'e' => Standing::Ended,
        _ => return None,
    };
    let (body, call) = rest.split_first_chunk()?;
    let call = uuid::Uuid::try_parse_ascii(call).ok()?;
    Some((standing, Named { call: CallId::new(call), body: *body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_under_an_id_is_read_back_and_nothing_else() {
        let named = Named { call: CallId::new(uuid::Uuid::from_u128(7)), body: [3; 32] };
        for standing in [Standing::Runs, Standing::Ended] {
            let value = named_value(standing, named);
            assert_eq!(read(&value), Some((standing, named)));
            (0..value.len()).for_each(|end| assert_eq!(read(&value[..end]), None));
        }
        assert_eq!(read(b"x"), None);
    }
}
