//! `callers_dir`: callers in files of their own, which may change while the server runs.
//!
//! What Kubernetes mounts is a directory of links through `..data`, a link that is replaced when something changes: all
//! files are read from where it leads, so that no reading mixes two versions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::callers::{Known, caller};
use super::expand::Environment;
use super::node;
use super::problem::{Findings, Problem, Wrong};
use super::quantity::some_duration;
use super::reader::{Context, Value};
use super::sources::Sources;
use super::syntax::SyntaxError;
use crate::callers::Entry;
use crate::regular;

/// The default of `reload_interval`. Kubernetes takes a minute to show a map or a secret that has changed.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);
/// The most files that are read, and the most bytes of all together.
const MAX_FILES: usize = 4096;
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How many problems are told of one reading.
const MAX_TOLD: usize = 100;
/// How often it is read again when it changes while it is read.
const TRIES: usize = 3;

/// Callers in files of their own.
#[derive(Clone, Debug)]
pub struct CallersDir {
    /// Where the files are.
    pub path: PathBuf,
    /// How often they are looked at.
    pub reload_interval: Duration,
    /// The callers in them, in the order of the files' names.
    pub callers: Vec<Entry>,
    /// Tells apart what the files held.
    fingerprint: [u8; 32],
    /// What stands in the configuration's own file.
    others: Known,
}

impl CallersDir {
    /// Looks at the files again. None: nothing has changed.
    ///
    /// # Errors
    /// All that is wrong with them, each with its place.
    pub fn look(&self, sources: &Sources<'_>) -> Result<Option<Self>, Vec<String>> {
        let (callers, fingerprint) = read(&self.path, &self.others, sources)?;
        Ok((fingerprint != self.fingerprint).then(|| Self { callers, fingerprint, ..self.clone() }))
    }
}

/// Reads the section and the files. `known` is what stands in the file `config` itself.
pub(super) fn callers_dir(section: &Value<'_>, config: &Path, known: &Known) -> Option<CallersDir> {
    let mut fields = section.fields();
    let written = fields.require("path");
    let reload_interval = fields.read("reload_interval", RELOAD_INTERVAL, some_duration);
    fields.finish(&[]);
    let written = written?;
    let path = written.parse(|path| Ok(config.parent().unwrap_or(Path::new("")).join(path)))?;
    let read = read(&path, known, section.context().sources);
    let tell = |problems: Vec<String>| problems.into_iter().for_each(|rule| written.wrong(Wrong::new(rule, "")));
    let (callers, fingerprint) = read.map_err(tell).ok()?;
    if callers.is_empty() {
        written.doubtful("names no callers yet", "write them into files there that end with `.yaml`");
    }
    Some(CallersDir { path, reload_interval, callers, fingerprint, others: known.clone() })
}

type Callers = (Vec<Entry>, [u8; 32]);

fn read(path: &Path, others: &Known, sources: &Sources<'_>) -> Result<Callers, Vec<String>> {
    let mut last = Err(Vec::new());
    for _ in 0..TRIES {
        let at = in_force(path);
        last = read_files(path, &at, others, sources);
        // Another version has taken its place meanwhile, and this one may be gone.
        if in_force(path) == at {
            break;
        }
    }
    last
}

/// Where the files are that count now.
fn in_force(path: &Path) -> PathBuf {
    path.join("..data").canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Reads the files at `at`, which are spoken of as those in `path`.
fn read_files(path: &Path, at: &Path, others: &Known, sources: &Sources<'_>) -> Result<Callers, Vec<String>> {
    let mut known = others.afresh();
    let (mut callers, mut problems, mut left) = (Vec::new(), Vec::new(), MAX_BYTES);
    for file in files(at).map_err(|problem| vec![problem])? {
        let shown = path.join(file.file_name().unwrap_or_default());
        match text(&file, &mut left) {
            Ok(text) => read_file(&shown, &text, &mut known, sources)
                .map_or_else(|wrong| problems.extend(wrong), |entries| callers.extend(entries)),
            Err(problem) => problems.push(problem),
        }
    }
    problems.truncate(MAX_TOLD);
    if problems.is_empty() { Ok((callers, known.fingerprint)) } else { Err(problems) }
}

/// The files of callers, in the order of their names. Hidden ones are none.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("the directory {} cannot be read: {error}", path.display());
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_hidden = file.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && !is_hidden {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(format!("the directory {} has more than {MAX_FILES} files", path.display()));
        }
    }
    files.sort();
    Ok(files)
}

fn text(path: &Path, left: &mut u64) -> Result<String, String> {
    let shown = path.display();
    let bytes = regular::read(path, *left).map_err(|unread| format!("the file {shown} {unread}"))?;
    let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    *left = left.checked_sub(read).ok_or("the files of callers are larger than 16 MiB together")?;
    String::from_utf8(bytes).map_err(|_| format!("the file {shown} is not UTF-8"))
}

/// The callers of one file: a list of entries, one entry alone, or either under `callers`, as `completiond key new`
/// prints it.
fn read_file(file: &Path, text: &str, known: &mut Known, sources: &Sources<'_>) -> Result<Vec<Entry>, Vec<String>> {
    let told = |problem: &Problem| match problem.mark {
        Some(mark) => format!("{}:{}:{}: {problem}", file.display(), mark.line, mark.column),
        None => format!("{}: {problem}", file.display()),
    };
    known.file = file.to_owned();
    known.note(&file.file_name().unwrap_or_default().to_string_lossy());
    known.note(text);
    let root = node::parse(text).map_err(|SyntaxError { mark, wrong: Wrong { rule, right } }| {
        vec![told(&Problem { mark, key: String::new(), rule, right })]
    })?;
    let context = Context { sources, environment: Environment::Closed, findings: Findings::default() };
    let root = Value::root(&context, &root);
    let entries = match root.find("callers") {
        Some(list) => {
            let mut fields = root.fields();
            let _ = fields.take("callers");
            fields.finish(&[]);
            list.items()
        }
        None if root.is_map() => vec![root],
        None => root.items(),
    };
    let callers = entries.iter().filter_map(|entry| caller(entry, known)).collect();
    let (problems, _) = context.findings.sorted();
    if problems.is_empty() { Ok(callers) } else { Err(problems.iter().map(told).collect()) }
}
