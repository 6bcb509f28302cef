//! `callers`: who may call, told by what, and what each may do.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::Wrong;
use super::provider::unique_id;
use super::reader::{Fields, Value, count};
use super::{Config, Model, Target, quantity, secrets, settings};
use crate::callers::{Allowance, Caller, Entry, KeyHash, LedgerView, ModelPattern, Models};
use crate::domain::CallerName;

/// The longest name of a caller, and the longest key and value of its labels, in characters.
const MAX_NAME: usize = 63;
/// The most keys, certificates, models and labels of one caller.
const MAX_EACH: usize = 64;

/// Who may call.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// Those that are told apart, in the file's order.
    pub callers: Vec<Entry>,
    /// Whether who shows no credentials may call as well. Default: only where no callers are named, and only this machine
    /// reaches the port.
    pub anonymous: bool,
}

impl Admitted {
    /// Whether somebody may administer the server from elsewhere.
    pub(super) fn has_admin(&self) -> bool {
        self.callers.iter().any(|entry| entry.caller.is_admin)
    }
}

/// Reads `callers` and `allow_anonymous`.
pub(super) fn callers(file: &mut Fields<'_>) -> Admitted {
    let mut known = Known::default();
    let list = file.take("callers").map(|list| list.items()).unwrap_or_default();
    let callers = list.iter().filter_map(|item| caller(item, &mut known)).collect();
    Admitted { callers, anonymous: file.read("allow_anonymous", false, quantity::truth) }
}

/// What must not stand at two callers.
#[derive(Default)]
struct Known {
    names: Vec<String>,
    keys: BTreeSet<String>,
    certificates: BTreeSet<String>,
}

fn caller(item: &Value<'_>, known: &mut Known) -> Option<Entry> {
    let mut fields = item.fields();
    let name = fields.require("name").and_then(|name| short(&name, unique_id(&name, &known.names)?));
    known.names.extend(name.clone());
    let keys = fields.take("keys").map(|list| keys(&list, &mut known.keys)).unwrap_or_default();
    let certificates = fields.take("certificates");
    let certificates = certificates.map(|list| certificates_of(&list, &mut known.certificates)).unwrap_or_default();
    let caller = Caller {
        name: CallerName::new(name.as_deref().unwrap_or_default()),
        models: fields.take("models").map(|list| models(&list)).unwrap_or_default(),
        labels: fields.take("labels").map(|map| labels(&map)).unwrap_or_default(),
        is_admin: fields.read("admin", false, quantity::truth),
        view: fields.take("ledger").and_then(|value| value.parse(ledger)),
        allowance: fields.take("limits").map(|section| allowance(&section)).unwrap_or_default(),
        in_flight: Default::default(),
    };
    fields.finish(&[]);
    if keys.is_empty() && certificates.is_empty() {
        item.wrong(Wrong::new(
            "has neither `keys` nor `certificates`, so that nobody can be it",
            "`completiond key new` makes a key",
        ));
    }
    name.map(|_| Entry { caller, keys, certificates })
}

fn short(value: &Value<'_>, name: String) -> Option<String> {
    value.keep(match name.len() <= MAX_NAME {
        true => Ok(name),
        false => Err(Wrong::new(format!("is longer than {MAX_NAME} characters"), "no name is")),
    })
}

/// The hashes of keys, in the file or in files of their own, a hash on each line.
fn keys(list: &Value<'_>, known: &mut BTreeSet<String>) -> Vec<KeyHash> {
    let mut hashes = Vec::new();
    for item in few(list, "keys") {
        let Some(texts) = item.written().and_then(|written| hash_texts(&item, written)) else { continue };
        for text in texts {
            let right = "a key's hash stands here, not the key; `completiond key new` prints both, `completiond key hash` makes it of a key";
            let read = text.parse::<KeyHash>().map_err(|error| Wrong::new(error.to_string(), right));
            let Some(hash) = item.keep(read) else { continue };
            if !known.insert(hash.to_string()) {
                item.wrong(Wrong::new("is the hash of a key that stands here already", "each key is one caller's"));
            }
            hashes.push(hash);
        }
    }
    hashes
}

fn hash_texts(item: &Value<'_>, written: &str) -> Option<Vec<String>> {
    if !written.starts_with("file:") {
        return item.text().map(|text| vec![text.trim().to_owned()]);
    }
    let path = item.text()?;
    let text = item.keep(secrets::read_text(path.trim_start_matches("file:").as_ref()))?;
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

fn certificates_of(list: &Value<'_>, known: &mut BTreeSet<String>) -> Vec<String> {
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
        if !known.insert(name.clone()) {
            item.wrong(Wrong::new(format!("`{name}` stands here already"), "each name is one caller's"));
        }
        names.push(name);
    }
    names
}

fn models(list: &Value<'_>) -> Models {
    let read = |text: &str| {
        let right = "as in `smart`, `home/*` or `*`";
        text.parse::<ModelPattern>().map_err(|error| Wrong::new(error.to_string(), right))
    };
    Models::Only(few(list, "models").iter().filter_map(|item| item.parse(read)).collect())
}

fn labels(map: &Value<'_>) -> BTreeMap<String, String> {
    let label = |text: &str| match text.chars().count() <= MAX_NAME {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(format!("is longer than {MAX_NAME} characters"), "no label is")),
    };
    let entries = map.entries();
    if entries.len() > MAX_EACH {
        map.wrong(Wrong::new(format!("has {} labels, and may have at most {MAX_EACH}", entries.len()), ""));
    }
    let read = entries.into_iter().filter_map(|(key, value)| {
        value.keep(label(key))?;
        Some((key.to_owned(), value.parse(label)?))
    });
    read.collect()
}

fn ledger(text: &str) -> Result<LedgerView, Wrong> {
    match text {
        "full" => Ok(LedgerView::Full),
        "without_endpoints" => Ok(LedgerView::WithoutEndpoints),
        _ => Err(Wrong::new(format!("`{text}` is no view of the ledger"), "`full` or `without_endpoints`")),
    }
}

fn allowance(section: &Value<'_>) -> Allowance {
    let mut fields = section.fields();
    let mut number = |key| fields.take(key).and_then(|value| value.parse(|text| count(text).map(u64::from)));
    let [requests_per_minute, tokens_per_minute, in_flight] =
        ["requests_per_minute", "tokens_per_minute", "in_flight"].map(&mut number);
    let spend_per_day = fields.take("spend_per_day").and_then(|value| value.parse(settings::dollars));
    fields.finish(&[]);
    Allowance { requests_per_minute, tokens_per_minute, spend_per_day, in_flight }
}

/// Callers whose spending is bounded, though nobody knows what some of their models cost.
pub(super) fn unpriced(config: &Config) -> Vec<(String, &'static str)> {
    let has_no_price =
        |model: &&Model| model.price.is_none() && model.targets.iter().any(|target| !is_priced(config, target));
    let unpriced: Vec<_> = config.models.iter().filter(has_no_price).map(|model| &model.id).collect();
    let callers = config.admitted.callers.iter().map(|entry| &entry.caller);
    let doubts = callers.filter(|caller| caller.allowance.spend_per_day.is_some()).filter_map(|caller| {
        let models: Vec<_> =
            unpriced.iter().filter(|model| caller.models.allow(model)).map(|model| model.as_str()).collect();
        let rule = format!(
            "`{}` has a `spend_per_day`, to which calls of `{}` add nothing, for their price is not known",
            caller.name.as_str(),
            models.join("`, `")
        );
        (!models.is_empty()).then_some((rule, "write a `price` at the model, or a `price_table`"))
    });
    doubts.collect()
}

fn is_priced(config: &Config, target: &Target) -> bool {
    let provider = config.providers.iter().find(|provider| provider.id == target.provider);
    provider.is_some_and(|provider| config.pricing.prices.tariff(&provider.vendor, &target.model).is_some())
}

fn few<'a>(list: &Value<'a>, what: &str) -> Vec<Value<'a>> {
    let items = list.items();
    if items.len() > MAX_EACH {
        list.wrong(Wrong::new(format!("has {} {what}, and may have at most {MAX_EACH}", items.len()), ""));
    }
    items
}
