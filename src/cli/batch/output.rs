//! The output: there only when it is complete; and one that is there, of which only what failed is asked again.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::faults::Fault;
use super::figures::{Figures, Tally};
use super::item;
use super::journal::{Journal, Record};
use super::lines::{Kind, Lines};
use super::plan::Plan;
use super::stop::Stop;
use super::told;
use crate::cli::json;
use crate::proto::CompleteResponse;

/// The longest line of an output that is read, in bytes: more than any result.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// `path` with more behind its name.
pub(super) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(more);
    PathBuf::from(name)
}

/// Where the output is written before it is put in its place.
pub(super) fn draft(output: &Path) -> PathBuf {
    beside(output, ".partial.draft")
}

/// Writes the output in the order of the input, puts it in its place, and removes the journal.
///
/// # Errors
/// A file's own. The journal is still there then.
pub(super) fn write(journal: Journal, plan: &Plan, output: &Path) -> io::Result<()> {
    let draft = draft(output);
    // That of an earlier attempt; what it may lead to is not ours.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = BufWriter::with_capacity(1 << 16, File::create_new(&draft)?);
    let (mut input, mut line) = (journal.reader(), Vec::new());
    for item in plan.items() {
        // The batch has run to its end: there is one.
        let Some(at) = item.result() else { continue };
        journal.result(&mut input, at, &mut line, |result| {
            out.write_all(result.as_bytes())?;
            out.write_all(b"\n")
        })?;
    }
    drop(input);
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&draft, output)?;
    // What the name stands for survives a loss of power only once its folder does.
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    journal.remove()
}

/// A line of an output.
#[derive(Deserialize)]
struct Earlier<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

/// Puts what was answered in an output that is there into the journal, so that only what failed is asked again.
///
/// # Errors
/// The output is not that of this input, or a file's own.
pub(super) fn take_over(
    input: &Path,
    output: &Path,
    plan: &mut Plan,
    tally: &mut Tally,
    journal: &mut Journal,
) -> Result<(), Stop> {
    let of_input = |error: &io::Error| Stop::file(input, error);
    let of_output = |error: &io::Error| Stop::file(output, error);
    let file = File::open(input).map_err(|error| of_input(&error))?;
    let mut lines = Lines::new(BufReader::new(file), 1, 0);
    let mut earlier = BufReader::new(File::open(output).map_err(|error| of_output(&error))?);
    let (mut asked, mut told) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next(Some(&mut asked)).map_err(|error| of_input(&error))? {
        if line.kind == Kind::Blank {
            continue;
        }
        told.clear();
        let read = (&mut earlier).take(MAX_LINE_BYTES).read_until(b'\n', &mut told);
        read.map_err(|error| of_output(&error))?;
        let custom_id = match line.kind {
            Kind::Whole => item::read(&asked, line.number).custom_id,
            Kind::Blank | Kind::TooLong => line.number.to_string(),
        };
        let answered = answered(&told, &custom_id).map_err(|fault| foreign(input, output, line.number, &fault))?;
        if let Some((result, figures)) = answered {
            let record = Record { line: line.number, hash: line.hash, figures: figures.clone(), result };
            let at = journal.append(record).map_err(|error| of_output(&error))?;
            plan.settle(line.number, line.hash, at)?;
            tally.add(&figures);
        }
    }
    if earlier.fill_buf().map_err(|error| of_output(&error))?.is_empty() {
        return journal.taken_over().map_err(|error| of_output(&error));
    }
    Err(foreign(
        input,
        output,
        plan.items().last().map_or(0, |item| item.line),
        &Fault::of_line("is its last, and there are more results"),
    ))
}

/// A line of the output with the item's name, and what it adds to the sums; none where it failed.
fn answered<'a>(line: &'a [u8], custom_id: &str) -> Result<Option<(&'a RawValue, Figures)>, Fault> {
    let no_result = |_| Fault::of_line("has no result there");
    let whole: &RawValue = serde_json::from_slice(line).map_err(no_result)?;
    let earlier: Earlier<'_> = serde_json::from_str(whole.get()).map_err(no_result)?;
    if earlier.custom_id != custom_id {
        return Err(Fault::of_line(format!("is {custom_id} here and {} there", earlier.custom_id)));
    }
    match (earlier.response, earlier.status) {
        (Some(response), None) => {
            let response: CompleteResponse = json::read("CompleteResponse", response.get()).map_err(Fault::of_line)?;
            Ok(Some((whole, told::figures(&response))))
        }
        (None, Some(_)) => Ok(None),
        _ => Err(Fault::of_line("has neither a response nor a status there")),
    }
}

fn foreign(input: &Path, output: &Path, line: u64, fault: &Fault) -> Stop {
    let (input, output) = (input.display(), output.display());
    Stop::Failed(format!("{output} is not the output of {input}: line {line} of the input {}", fault.rule))
}
