//! Lines of a file, one after another, with what tells them apart. A line is never held beyond the bound.

use std::io::{self, BufRead};

use sha2::{Digest as _, Sha256};

/// The longest line that is read as an item, in bytes.
pub(super) const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;

/// A line of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Where it begins in the file, in bytes.
    pub(super) offset: u64,
    /// The beginning of the SHA-256 of its bytes, the end of the line left out.
    pub(super) hash: u64,
    /// What is in it.
    pub(super) kind: Kind,
}

/// What is in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but blanks.
    Blank,
    /// An item, or what should be one.
    Whole,
    /// More than the bound.
    TooLong,
}

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    offset: u64,
    limit: usize,
}

impl<R: BufRead> Lines<R> {
    /// Reads from here on: the line that begins at `offset` has this number.
    pub(super) fn new(input: R, number: u64, offset: u64) -> Self {
        Self { input, number, offset, limit: MAX_LINE_BYTES }
    }

    #[cfg(test)]
    fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The next line, with its bytes in `kept` where one is given and they are within the bound; none at the end.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn next(&mut self, mut kept: Option<&mut Vec<u8>>) -> io::Result<Option<Line>> {
        if let Some(kept) = &mut kept {
            kept.clear();
        }
        let (mut hash, mut length, mut blank, mut read) = (Sha256::new(), 0_usize, true, 0_u64);
        loop {
            let piece = match self.input.fill_buf() {
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if piece.is_empty() {
                break;
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let (text, used) = match end {
                Some(end) => (piece.get(..end).unwrap_or_default(), end.saturating_add(1)),
                None => (piece, piece.len()),
            };
            hash.update(text);
            blank &= text.iter().all(u8::is_ascii_whitespace);
            length = length.saturating_add(text.len());
            if let Some(kept) = kept.as_mut().filter(|_| length <= self.limit) {
                kept.extend_from_slice(text);
            }
            self.input.consume(used);
            read = read.saturating_add(u64::try_from(used).unwrap_or(u64::MAX));
            if end.is_some() {
                break;
            }
        }
        if read == 0 {
            return Ok(None);
        }
        let kind = match (blank, length <= self.limit) {
            (true, _) => Kind::Blank,
            (false, true) => Kind::Whole,
            (false, false) => Kind::TooLong,
        };
        let (number, offset) = (self.number, self.offset);
        self.number = number.saturating_add(1);
        self.offset = offset.saturating_add(read);
        Ok(Some(Line { number, offset, hash: beginning(hash), kind }))
    }
}

/// The first eight bytes of a hash: enough to notice that a line was changed.
fn beginning(hash: Sha256) -> u64 {
    let bytes = hash.finalize();
    bytes.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, capacity: usize) -> Vec<(Line, String)> {
        let input = io::BufReader::with_capacity(capacity, text.as_bytes());
        let mut lines = Lines::new(input, 1, 0).with_limit(8);
        let (mut all, mut kept) = (Vec::new(), Vec::new());
        while let Some(line) = lines.next(Some(&mut kept)).unwrap() {
            all.push((line, String::from_utf8(kept.clone()).unwrap()));
        }
        all
    }

    #[test]
    fn lines_have_numbers_offsets_and_kinds_however_the_file_is_read() {
        let text = "one\r\n\n  \nmuch too long\nlast";
        for capacity in [1, 2, 3, 64] {
            let lines = all(text, capacity);
            let kinds: Vec<_> = lines.iter().map(|(line, _)| (line.number, line.offset, line.kind)).collect();
            let expected = [
                (1, 0, Kind::Whole),
                (2, 5, Kind::Blank),
                (3, 6, Kind::Blank),
                (4, 9, Kind::TooLong),
                (5, 23, Kind::Whole),
            ];
            assert_eq!(kinds, expected);
            assert_eq!((lines[0].1.as_str(), lines[4].1.as_str()), ("one\r", "last"));
            assert!(lines[3].1.len() <= 8, "{:?}", lines[3].1);
            assert_eq!(lines.iter().map(|(line, _)| line.hash).collect::<Vec<_>>(), {
                let whole = all(text, 1024);
                whole.iter().map(|(line, _)| line.hash).collect::<Vec<_>>()
            });
        }
    }

    #[test]
    fn the_hash_is_of_the_line_alone() {
        let (one, two) = (all("same\nsame", 64), all("same\r\nother", 64));
        assert_eq!(one[0].0.hash, one[1].0.hash);
        assert_ne!(one[0].0.hash, two[0].0.hash);
        assert!(all("", 64).is_empty());
    }
}
