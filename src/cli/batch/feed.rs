//! Where the items come from: the input, read once more while it is asked, and a line of it again where it must be.

use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::faults::Fault;
use super::item::{self, Item};
use super::lines::{Kind, Line, Lines, MAX_LINE_BYTES};
use super::plan::{Changed, Plan};
use super::stop::Stop;

/// A buffer above this is given back.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// Reads items that have no result yet.
#[derive(Debug)]
pub(super) struct Feed {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    next: usize,
    buffer: Vec<u8>,
    model: String,
}

impl Feed {
    /// Opens the input. `model` stands in place of each line's model where it is not empty.
    ///
    /// # Errors
    /// The file's own.
    pub(super) fn open(path: &Path, model: String) -> Result<Self, Stop> {
        let file = File::open(path).map_err(|error| Stop::file(path, &error))?;
        let lines = Lines::new(BufReader::with_capacity(1 << 16, file), 1, 0);
        Ok(Self { path: path.to_owned(), lines, next: 0, buffer: Vec::new(), model })
    }

    /// The next item without a result; none at the end.
    ///
    /// # Errors
    /// The file's own, and a file that was changed since it was surveyed.
    pub(super) fn next(&mut self, plan: &Plan) -> Result<Option<(Line, Item)>, Stop> {
        loop {
            let Some(planned) = plan.items().get(self.next) else { return Ok(None) };
            let read = self.lines.next(Some(&mut self.buffer));
            let line = read.map_err(|error| Stop::file(&self.path, &error))?;
            let line = line.ok_or(Changed { line: planned.line })?;
            if line.kind == Kind::Blank {
                continue;
            }
            if (line.number, line.hash) != (planned.line, planned.hash) {
                return Err(Changed { line: planned.line }.into());
            }
            self.next = self.next.saturating_add(1);
            if planned.result().is_none() {
                return Ok(Some((line, self.item(&line))));
            }
        }
    }

    /// An item that was read before.
    ///
    /// # Errors
    /// The file's own, and a line that was changed since.
    pub(super) fn again(&mut self, line: &Line) -> Result<Item, Stop> {
        let failed = |error: &std::io::Error| Stop::file(&self.path, error);
        let mut file = File::open(&self.path).map_err(|error| failed(&error))?;
        file.seek(SeekFrom::Start(line.offset)).map_err(|error| failed(&error))?;
        let mut lines = Lines::new(BufReader::new(file), line.number, line.offset);
        let read = lines.next(Some(&mut self.buffer)).map_err(|error| failed(&error))?;
        if read.as_ref() != Some(line) {
            return Err(Changed { line: line.number }.into());
        }
        Ok(self.item(line))
    }

    fn item(&mut self, line: &Line) -> Item {
        let mut item = match line.kind {
            Kind::TooLong => {
                let fault = Fault::of_line(format!("is longer than {MAX_LINE_BYTES} bytes"));
                Item { custom_id: line.number.to_string(), request: Err(vec![fault]) }
            }
            Kind::Whole | Kind::Blank => item::read(&self.buffer, line.number),
        };
        if let Ok(request) = &mut item.request
            && !self.model.is_empty()
        {
            request.model.clone_from(&self.model);
        }
        if self.buffer.capacity() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        item
    }
}
