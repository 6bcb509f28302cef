//! The framer of `text/event-stream`: bytes in, frames out, however the bytes are cut.
//!
//! It follows the WHATWG rules for line ends (LF, CRLF, CR), a byte order mark, comments, and data on several lines; it
//! reports comments and blank lines, because they show that a connection is alive; and it bounds what it holds.

/// The most that one frame may hold, in bytes: an image that a model drew fits, an endless line does not.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes that came and were not read yet, from `read` on.
    buffer: Vec<u8>,
    read: usize,
    /// How far behind `read` the search for a line's end has come.
    searched: usize,
    /// The frame that is being gathered.
    event: String,
    data: Vec<u8>,
    has_data: bool,
    /// The frame that was handed out last is still in `event` and `data`.
    delivered: bool,
    past_mark: bool,
    skip_line_feed: bool,
}

/// What a piece of the stream is.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A frame with data.
    Event {
        /// Its name; empty: none.
        event: &'a str,
        /// Its data, lines joined with LF.
        data: &'a [u8],
    },
    /// A comment, a blank line, or a frame without data: the connection is alive.
    KeepAlive,
}

/// A frame that is larger than [`MAX_FRAME_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {MAX_FRAME_BYTES} bytes")]
pub struct FramingError;

impl Framer {
    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, as far as the bytes go. A frame that the stream's end cuts off is never handed out.
    ///
    /// # Errors
    /// [`FramingError`] when a frame or a line is too large; the stream is of no use after it.
    pub fn next_frame(&mut self) -> Result<Option<Framed<'_>>, FramingError> {
        if std::mem::take(&mut self.delivered) {
            self.event.clear();
            self.data.clear();
        }
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            match self.take(line) {
                Taken::Field => {}
                Taken::KeepAlive => return Ok(Some(Framed::KeepAlive)),
                Taken::Frame => {
                    self.delivered = true;
                    return Ok(Some(Framed::Event { event: &self.event, data: &self.data }));
                }
            }
        }
    }

    /// The place of the next whole line in the buffer, without its end.
    fn line(&mut self) -> Result<Option<(usize, usize)>, FramingError> {
        if !self.skip_mark() {
            return Ok(None);
        }
        let unread = self.buffer.get(self.read..).unwrap_or_default();
        let unsearched = unread.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'\n', b'\r', unsearched) else {
            self.searched = unread.len();
            return if self.searched + self.data.len() > MAX_FRAME_BYTES { Err(FramingError) } else { Ok(None) };
        };
        let end = self.searched + found;
        if end + self.data.len() > MAX_FRAME_BYTES {
            return Err(FramingError);
        }
        // The second half of a CRLF ends no line of its own; it may come with the next bytes.
        let skipped = std::mem::take(&mut self.skip_line_feed) && end == 0 && unread.first() == Some(&b'\n');
        self.skip_line_feed = unread.get(end) == Some(&b'\r');
        let line = (self.read, self.read + end);
        self.read += end + 1;
        self.searched = 0;
        if skipped { self.line() } else { Ok(Some(line)) }
    }

    /// Steps over a byte order mark; false while too few bytes came to tell.
    fn skip_mark(&mut self) -> bool {
        if !self.past_mark {
            if self.buffer.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&self.buffer) {
                return false;
            }
            self.past_mark = true;
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.read = BYTE_ORDER_MARK.len();
            }
        }
        true
    }

    fn take(&mut self, (start, end): (usize, usize)) -> Taken {
        let line = self.buffer.get(start..end).unwrap_or_default();
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(0) => return Taken::KeepAlive,
            Some(colon) => line.split_at(colon),
            None => (line, &b":"[..]),
        };
        let value = value.get(1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => {
                self.event.clear();
                self.event.push_str(&String::from_utf8_lossy(value));
            }
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            _ => {}
        }
        Taken::Field
    }

    /// A blank line: the frame, if it has data.
    fn dispatch(&mut self) -> Taken {
        if std::mem::take(&mut self.has_data) && !self.data.is_empty() {
            Taken::Frame
        } else {
            self.event.clear();
            self.data.clear();
            Taken::KeepAlive
        }
    }
}

/// What a line led to.
enum Taken {
    Field,
    KeepAlive,
    Frame,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All frames of `bytes`, fed in pieces of the given sizes, over and over.
    fn frames(bytes: &[u8], sizes: &[usize]) -> Result<Vec<(String, Vec<u8>)>, FramingError> {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        let mut rest = bytes;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = sizes.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
            let (piece, later) = rest.split_at(size);
            framer.push(piece);
            rest = later;
            while let Some(framed) = framer.next_frame()? {
                if let Framed::Event { event, data } = framed {
                    frames.push((event.to_owned(), data.to_vec()));
                }
            }
        }
        Ok(frames)
    }

    fn frame(event: &str, data: &str) -> (String, Vec<u8>) {
        (event.to_owned(), data.as_bytes().to_vec())
    }

    #[test]
    fn the_rules_of_the_format() {
        let cases = [
            ("data: a\n\n", vec![frame("", "a")]),
            ("data:a\n\n", vec![frame("", "a")]),
            ("data:  a\n\n", vec![frame("", " a")]),
            ("\u{feff}data: a\n\n", vec![frame("", "a")]),
            ("event: x\r\ndata: a\r\n\r\n", vec![frame("x", "a")]),
            ("event: x\rdata: a\r\r", vec![frame("x", "a")]),
            ("data: a\ndata: b\n\n", vec![frame("", "a\nb")]),
            ("data\ndata\n\n", vec![frame("", "\n")]),
            (": comment\n\ndata: a\n\n", vec![frame("", "a")]),
            ("event: x\n\ndata: a\n\n", vec![frame("", "a")]),
            ("id: 1\nretry: 5\nunknown: z\ndata: a\n\n", vec![frame("", "a")]),
            ("data: a\n\n\n\ndata: b\n\n", vec![frame("", "a"), frame("", "b")]),
            ("data: naïve 日本語 🙂\n\n", vec![frame("", "naïve 日本語 🙂")]),
            ("data: cut", vec![]),
            ("data: cut\n", vec![]),
            ("{\"error\": 1}\n", vec![]),
        ];
        for (text, expected) in cases {
            for sizes in [&[][..], &[1], &[2], &[3, 1, 7]] {
                assert_eq!(frames(text.as_bytes(), sizes).as_ref(), Ok(&expected), "{text:?} in pieces of {sizes:?}");
            }
        }
    }

    #[test]
    fn comments_and_blank_lines_show_life() -> Result<(), FramingError> {
        let mut framer = Framer::default();
        framer.push(b": ping\n\n");
        assert_eq!(framer.next_frame()?, Some(Framed::KeepAlive));
        assert_eq!(framer.next_frame()?, Some(Framed::KeepAlive));
        assert_eq!(framer.next_frame()?, None);
        Ok(())
    }

    #[test]
    fn what_has_no_end_is_bounded() {
        let piece = vec![b'x'; 1 << 20];
        let endless_line = |lines: bool| {
            let mut framer = Framer::default();
            for _ in 0..=(MAX_FRAME_BYTES >> 20) {
                framer.push(if lines { b"data: " } else { b"" });
                framer.push(&piece);
                framer.push(if lines { b"\n" } else { b"" });
                if framer.next_frame().is_err() {
                    return true;
                }
            }
            false
        };
        assert!(endless_line(false) && endless_line(true));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_frames(
            lines in prop::collection::vec("(data|event|id|:|)(: ?)?[a-zé\u{feff}]{0,6}(\n|\r\n|\r)", 0..24),
            sizes in prop::collection::vec(1_usize..9, 1..8),
        ) {
            let text = lines.concat();
            prop_assert_eq!(frames(text.as_bytes(), &sizes), frames(text.as_bytes(), &[]));
        }
    }
}
