//! `callers`, `callers_dir`, `issuers` and `allow_anonymous`: who may call, told by what, and what each may do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::callers_dir::{self, CallersDir};
use super::problem::Wrong;
use super::provider::unique_id;
use super::reader::{Fields, Value};
use super::rights::{MAX_NAME, Rights, few};
use super::{Overrides, issuers, quantity, secrets};
use crate::callers::{Caller, Entry, IssuerSettings, KeyHash};
use crate::domain::CallerName;

/// Who may call.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// Those that stand in the file itself, in its order.
    pub callers: Vec<Entry>,
    /// Those that stand in files of their own; none: there is no directory of such files.
    pub dir: Option<CallersDir>,
    /// Those whose tokens tell callers.
    pub issuers: Vec<IssuerSettings>,
    /// Whether who shows no credentials may call as well. Default: only where no callers are named, and only this machine
    /// reaches the port.
    pub anonymous: bool,
}

impl Admitted {
    /// All callers that have an entry.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.callers.iter().chain(self.dir.iter().flat_map(|dir| &dir.callers))
    }

    /// Whether callers are not told apart at all. A directory without callers is none that lets everybody in.
    pub fn is_open(&self) -> bool {
        self.callers.is_empty() && self.issuers.is_empty() && self.dir.is_none()
    }

    /// Whether somebody may administer the server from elsewhere.
    pub(super) fn has_admin(&self) -> bool {
        let by_token = self.issuers.iter().flat_map(|issuer| &issuer.templates).any(|template| template.is_admin);
        // Who stands in the directory may come and go.
        by_token || self.dir.is_some() || self.callers.iter().any(|entry| entry.caller.is_admin)
    }
}

/// Reads all of it; `config` is the file in which it stands, beside which a relative path begins.
pub(super) fn admitted(file: &mut Fields<'_>, config: &Path, overrides: &Overrides) -> Admitted {
    let written = [file.take("callers"), file.take("issuers")];
    let [list, of_issuers] = &written;
    let before = file.section().context().findings.count();
    let issuers = of_issuers.as_ref().map(issuers::issuers).unwrap_or_default();
    let mut known = Known::new(config, issuers.iter().map(|issuer| issuer.name.clone()).collect());
    let list = list.as_ref().map(Value::items).unwrap_or_default();
    let callers = list.iter().filter_map(|item| caller(item, &mut known)).collect();
    let dir = file.take("callers_dir").and_then(|section| callers_dir::callers_dir(&section, config, &known));
    let anonymous = file.read("allow_anonymous", false, quantity::truth) || overrides.allow_anonymous;
    let admitted = Admitted { callers, dir, issuers, anonymous };
    // What is wrong with entries that stand there was told.
    if admitted.is_open() && !anonymous && file.section().context().findings.count() == before {
        // Whoever writes a list means that callers are told apart: one that has become empty must not let everybody in.
        for value in written.into_iter().flatten() {
            value.wrong(Wrong::new("names nobody, and would let in whoever reaches `listen`", NAMES_NOBODY));
        }
    }
    admitted
}

/// What to write in place of an empty list.
const NAMES_NOBODY: &str =
    "name who may call; or leave it out if whoever is on this machine may, or write `allow_anonymous: true`";

/// What must not stand at two callers, each with the place where it stands.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The file that is being read.
    pub(super) file: PathBuf,
    issuers: Vec<String>,
    names: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
    certificates: BTreeMap<String, String>,
    tokens: BTreeMap<(String, String), String>,
    /// Tells apart what was read.
    pub(super) fingerprint: [u8; 32],
}

impl Known {
    fn new(file: &Path, issuers: Vec<String>) -> Self {
        Self {
            file: file.to_owned(),
            issuers,
            names: BTreeMap::new(),
            keys: BTreeMap::new(),
            certificates: BTreeMap::new(),
            tokens: BTreeMap::new(),
            fingerprint: [0; 32],
        }
    }

    /// The same, when nothing of it was read yet.
    pub(super) fn afresh(&self) -> Self {
        Self { fingerprint: [0; 32], ..self.clone() }
    }

    /// Something was read that callers are made from.
    pub(super) fn note(&mut self, text: &str) {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint);
        hash.update(text);
        self.fingerprint = hash.finalize().into();
    }

    /// Where a value stands.
    fn place(&self, value: &Value<'_>) -> String {
        let mark = value.mark();
        format!("{}:{}:{}", self.file.display(), mark.line, mark.column)
    }
}

/// Notes where `what` stands; where it stood before, if it did.
fn stood<K: Ord>(known: &mut BTreeMap<K, String>, what: K, place: String) -> Option<String> {
    match known.get(&what) {
        Some(before) => Some(before.clone()),
        None => {
            known.insert(what, place);
            None
        }
    }
}

/// Reads an entry.
pub(super) fn caller(item: &Value<'_>, known: &mut Known) -> Option<Entry> {
    let mut fields = item.fields();
    let name = fields.require("name").and_then(|name| named(&name, known));
    let before = item.context().findings.count();
    let keys = fields.take("keys").map(|list| keys(&list, known)).unwrap_or_default();
    let certificates = fields.take("certificates").map(|list| certificates(&list, known)).unwrap_or_default();
    let tokens = fields.take("tokens").map(|list| tokens(&list, known)).unwrap_or_default();
    let all_are_right = item.context().findings.count() == before;
    let Rights { models, labels, is_admin, view, allowance } = Rights::read(&mut fields);
    fields.finish(&[]);
    // What is wrong with what stands there was told.
    if keys.is_empty() && certificates.is_empty() && tokens.is_empty() && all_are_right {
        item.wrong(Wrong::new(
            "has neither `keys` nor `certificates` nor `tokens`, so that nobody can be it",
            "`completiond key new` makes a key",
        ));
    }
    let name = CallerName::new(name?);
    let caller = Caller { name, models, labels, is_admin, view, allowance, in_flight: Default::default() };
    Some(Entry { caller, keys, certificates, tokens })
}

fn named(value: &Value<'_>, known: &mut Known) -> Option<String> {
    let name = unique_id(value, &[])?;
    if name.len() > MAX_NAME {
        value.wrong(Wrong::new(format!("is longer than {MAX_NAME} characters"), "no name is"));
        return None;
    }
    let place = known.place(value);
    if let Some(first) = stood(&mut known.names, name.clone(), place) {
        let rule = format!("`{name}` stands here a second time, first in {first}");
        value.wrong(Wrong::new(rule, "give each caller a name of its own"));
    }
    Some(name)
}

/// The hashes of keys, in the file or in files of their own, a hash on each line.
fn keys(list: &Value<'_>, known: &mut Known) -> Vec<KeyHash> {
    let mut hashes = Vec::new();
    for item in few(list, "keys") {
        let Some(texts) = item.written().and_then(|written| hash_texts(&item, written, known)) else { continue };
        for text in texts {
            let right = "a key's hash stands here, not the key; `completiond key new` prints both, `completiond key hash` makes it of a key";
            let read = text.parse::<KeyHash>().map_err(|error| Wrong::new(error.to_string(), right));
            let Some(hash) = item.keep(read) else { continue };
            let place = known.place(&item);
            if let Some(first) = stood(&mut known.keys, hash.to_string(), place) {
                let rule = format!("is the hash of a key that stands here already, in {first}");
                item.wrong(Wrong::new(rule, "each key is one caller's"));
            }
            hashes.push(hash);
        }
    }
    hashes
}

fn hash_texts(item: &Value<'_>, written: &str, known: &mut Known) -> Option<Vec<String>> {
    if !written.starts_with("file:") {
        return item.text().map(|text| vec![text.trim().to_owned()]);
    }
    let path = item.text()?;
    let text = item.keep(secrets::read_text(path.trim_start_matches("file:").as_ref()))?;
    known.note(&text);
    // A comment says which key it was, and when it was made.
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        item.wrong(Wrong::new(
            "is a file without a hash",
            "write one on each line, as `completiond key new` prints it",
        ));
    }
    Some(lines)
}

fn certificates(list: &Value<'_>, known: &mut Known) -> Vec<String> {
    let mut names = Vec::new();
    for item in few(list, "certificates") {
        let name = item.parse(|text| match text.contains(char::is_whitespace) {
            // A URI is a name to the letter; a DNS name is the same in upper and lower case.
            false if text.contains(':') => Ok(text.to_owned()),
            false => Ok(text.to_ascii_lowercase()),
            true => {
                Err(Wrong::new("is no name of a certificate", "a URI as `spiffe://prod.example/search`, or a DNS name"))
            }
        });
        let Some(name) = name else { continue };
        let place = known.place(&item);
        if let Some(first) = stood(&mut known.certificates, name.clone(), place) {
            item.wrong(Wrong::new(format!("`{name}` stands here already, in {first}"), "each name is one caller's"));
        }
        names.push(name);
    }
    names
}

/// What tokens call the caller: the name of their issuer, a colon, and the rest to the letter.
fn tokens(list: &Value<'_>, known: &mut Known) -> Vec<(String, String)> {
    let mut tokens = Vec::new();
    for item in few(list, "tokens") {
        let token = item.parse(|text| {
            let right = "write the `name` of one of `issuers`, a colon, and what its tokens call the caller";
            let (issuer, name) = text.split_once(':').ok_or_else(|| Wrong::new("names no issuer", right))?;
            match known.issuers.iter().any(|known| known == issuer) {
                _ if name.is_empty() => Err(Wrong::new("names no caller", right)),
                true => Ok((issuer.to_owned(), name.to_owned())),
                false => Err(Wrong::new(format!("`{issuer}` is none of `issuers`"), right)),
            }
        });
        let Some(token) = token else { continue };
        let place = known.place(&item);
        if let Some(first) = stood(&mut known.tokens, token.clone(), place) {
            item.wrong(Wrong::new(format!("stands here already, in {first}"), "each is one caller's"));
        }
        tokens.push(token);
    }
    tokens
}
