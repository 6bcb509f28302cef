//! Lines of calls on their way out: those that come together are written together.
//!
//! To write is a call of the system, and one for each line is a fifteenth of what a call takes of this process. So a line that
//! tells of a call and is no warning waits for a moment, in which others come. Everything else is written at once, behind what
//! waits, so that lines stay in their order.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::semconv::log as key;

/// How long a line waits, at most: as much as is lost when the process is killed.
const PAUSE: Duration = Duration::from_millis(20);
/// How much waits, at most, in bytes. Whoever brings more writes it.
const MOST: usize = 64 * 1024;

/// Lines that wait, and what they are written to. Clones share them.
#[derive(Debug)]
pub(super) struct Gathered<W: Write + Send + 'static>(Arc<Owner<W>>);

impl<W: Write + Send + 'static> Clone for Gathered<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write + Send + 'static> Gathered<W> {
    /// Writes to `sink`.
    ///
    /// # Errors
    /// There is no thread to write.
    pub(super) fn to(sink: W) -> io::Result<Self> {
        let out = Mutex::new(Out { sink, leaving: Vec::new() });
        let shared = Arc::new(Shared { out, waiting: Mutex::default(), came: Condvar::new() });
        let writing = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writing.run())?;
        Ok(Self(Arc::new(Owner(shared))))
    }

    /// Writes what waits.
    pub(super) fn flush(&self) {
        self.0.0.flush();
    }
}

impl<'a, W: Write + Send + 'static> MakeWriter<'a> for Gathered<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Line<'a, W> {
        Line { shared: &self.0.0, may_wait: false }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a, W> {
        // The less a level matters, the greater it is.
        Line { shared: &self.0.0, may_wait: of.target() == key::TARGET && *of.level() > Level::WARN }
    }
}

/// What ends the thread when nobody is left who brings lines.
#[derive(Debug)]
struct Owner<W: Write>(Arc<Shared<W>>);

impl<W: Write> Drop for Owner<W> {
    fn drop(&mut self) {
        self.0.waiting().is_over = true;
        self.0.came.notify_one();
        self.0.flush();
    }
}

/// Where one line goes.
pub(super) struct Line<'a, W> {
    shared: &'a Shared<W>,
    may_wait: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.take(line, self.may_wait);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shared.flush();
        Ok(())
    }
}

#[derive(Debug)]
struct Shared<W> {
    /// Held from when lines are taken until they are written, so that they leave in their order.
    out: Mutex<Out<W>>,
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Debug)]
struct Out<W> {
    sink: W,
    /// What is being written: empty between.
    leaving: Vec<u8>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    is_over: bool,
}

impl<W: Write> Shared<W> {
    fn take(&self, line: &[u8], may_wait: bool) {
        let mut waiting = self.waiting();
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        let is_full = waiting.lines.len() >= MOST;
        drop(waiting);
        if is_full || !may_wait {
            self.flush();
        } else if is_first {
            self.came.notify_one();
        }
    }

    fn flush(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let Out { sink, leaving } = &mut *out;
        std::mem::swap(leaving, &mut self.waiting().lines);
        write_lines(sink, leaving);
        leaving.clear();
    }

    fn run(&self) {
        loop {
            let is_idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_over;
            let waiting = self.came.wait_while(self.waiting(), is_idle).unwrap_or_else(PoisonError::into_inner);
            if waiting.is_over {
                return;
            }
            drop(waiting);
            thread::sleep(PAUSE);
            self.flush();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what can be written. Nobody is left to be told of a line that cannot; those behind it are tried all the same.
fn write_lines(sink: &mut impl Write, mut lines: &[u8]) {
    let mut is_torn = false;
    while !lines.is_empty() {
        match sink.write(lines) {
            Ok(written) if written > 0 => {
                let (gone, rest) = lines.split_at(written.min(lines.len()));
                (is_torn, lines) = (gone.last() != Some(&b'\n'), rest);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => {
                // Of a line that has begun its end is still to come, so that the next one is a line of its own.
                let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
                let (_, rest) = lines.split_at((end + usize::from(!is_torn || end == 0)).min(lines.len()));
                lines = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::super::{LogFormat, subscriber};
    use super::*;

    /// Tells each piece that is written.
    struct Pieces(Sender<String>);

    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(piece.to_vec()).map_err(io::Error::other)?;
            self.0.send(text).map_err(io::Error::other)?;
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gathered() -> (Gathered<Pieces>, Receiver<String>) {
        let (sender, pieces) = channel();
        (Gathered::to(Pieces(sender)).unwrap(), pieces)
    }

    fn logged(gathered: &Gathered<Pieces>, log: impl FnOnce()) {
        let layer = subscriber::layer(LogFormat::Json, subscriber::Surface::File, gathered.clone());
        tracing::subscriber::with_default(Registry::default().with(layer), log);
    }

    #[test]
    fn lines_of_calls_that_come_together_are_written_together_without_being_asked_for() {
        let (gathered, pieces) = gathered();
        logged(&gathered, || (1..=20).for_each(|number| tracing::info!(target: key::TARGET, number)));
        let mut lines = String::new();
        let mut count = 0;
        while lines.matches('\n').count() < 20 {
            lines += &pieces.recv().unwrap();
            count += 1;
        }
        assert!(count < 20, "{count} pieces");
        let places: Vec<_> = (1..=20).map(|number| lines.find(&format!("\"number\":{number},")).unwrap()).collect();
        assert!(places.is_sorted(), "{lines}");
    }

    #[test]
    fn what_is_no_ordinary_call_is_written_at_once_behind_what_waits() {
        for at_once in [
            || tracing::warn!(target: key::TARGET, "a call that failed"),
            || tracing::info!(target: "completiond", "no call"),
        ] {
            let (gathered, pieces) = gathered();
            logged(&gathered, || tracing::info!(target: key::TARGET, "a call"));
            logged(&gathered, at_once);
            let written: String = pieces.try_iter().collect();
            assert_eq!(written.lines().count(), 2, "{written}");
            assert!(written.starts_with("{") && written.lines().next().unwrap().contains("a call"), "{written}");
        }
    }

    #[test]
    fn no_more_waits_than_may_and_nothing_stays() {
        let (gathered, pieces) = gathered();
        let long = "x".repeat(MOST);
        logged(&gathered, || tracing::info!(target: key::TARGET, long));
        assert!(pieces.try_recv().unwrap().contains(&long));
        logged(&gathered, || tracing::info!(target: key::TARGET, "the last one"));
        drop(gathered);
        let rest: String = pieces.iter().collect();
        assert!(rest.contains("the last one"), "{rest}");
    }

    /// Takes so many bytes each time, or fails.
    struct Stubborn {
        answers: Vec<io::Result<usize>>,
        taken: Vec<u8>,
    }

    impl Write for Stubborn {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            let answer = if self.answers.is_empty() { Ok(piece.len()) } else { self.answers.remove(0) };
            answer.inspect(|count| self.taken.extend_from_slice(&piece[..*count]))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_takes_no_other_with_it() {
        let full = || Err(io::ErrorKind::WouldBlock.into());
        for (answers, expected) in [
            (vec![], "one\ntwo\nthree\n"),
            (vec![full()], "two\nthree\n"),
            (vec![Ok(5), full()], "one\nt\nthree\n"),
            (vec![Ok(4), full(), full()], "one\n"),
            (vec![Ok(1), full(), full(), Ok(4)], "otwo\nthree\n"),
            (vec![Err(io::ErrorKind::Interrupted.into()), Ok(3)], "one\ntwo\nthree\n"),
            (vec![Ok(0)], "two\nthree\n"),
        ] {
            let shown = format!("{answers:?}");
            let mut sink = Stubborn { answers, taken: Vec::new() };
            write_lines(&mut sink, b"one\ntwo\nthree\n");
            assert_eq!(String::from_utf8(sink.taken).unwrap(), expected, "{shown}");
        }
    }

    #[test]
    fn a_sink_that_takes_nothing_keeps_nobody() {
        let (gathered, pieces) = gathered();
        drop(pieces);
        logged(&gathered, || (0..1000).for_each(|number| tracing::warn!(target: key::TARGET, number)));
        gathered.flush();
    }
}
