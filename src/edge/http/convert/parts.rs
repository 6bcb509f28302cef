//! How many parts JSON has, counted before it is read: a value of two bytes takes a hundred times that in memory, so a limit on
//! bytes alone does not bound what a caller can make this server hold.

/// The most values: far more than any conversation has, and some 64 MiB once they are read.
const MOST: usize = 256 * 1024;

/// Whether `json` stays within bounds once it is read. Bytes that are no JSON count as far as they look like it.
pub(super) fn are_few(json: &[u8]) -> bool {
    let (mut left, mut in_text, mut is_escaped) = (MOST, false, false);
    for byte in json {
        match (in_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (true, b'"') => in_text = false,
            (false, b'"') => in_text = true,
            // What separates or holds values.
            (false, b',' | b'[' | b'{') => match left.checked_sub(1) {
                Some(fewer) => left = fewer,
                None => return false,
            },
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_too_many_and_a_long_text_is_not() {
        assert!(!are_few("[]".repeat(MOST + 1).as_bytes()));
        assert!(!are_few("1,".repeat(MOST + 1).as_bytes()));
        assert!(are_few(format!("{{\"prompt\":\"{}\"}}", "a, b [c] {d} \\\" e, ".repeat(MOST)).as_bytes()));
        assert!(are_few("[]".repeat(MOST).as_bytes()));
    }
}
