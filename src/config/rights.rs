//! What a caller may do: the part of an entry that is the same however the caller is told.

use std::collections::BTreeMap;

use super::problem::Wrong;
use super::reader::{Fields, Value, count};
use super::{quantity, settings};
use crate::callers::{Allowance, LedgerView, ModelPattern, Models};

/// The longest name of a caller, and the longest key and value of its labels, in characters.
pub(super) const MAX_NAME: usize = 63;
/// The most keys, certificates, models and labels of one caller.
const MAX_EACH: usize = 64;

/// What a caller may do.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) models: Models,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) is_admin: bool,
    pub(super) view: Option<LedgerView>,
    pub(super) allowance: Allowance,
}

impl Rights {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            models: fields.take("models").map(|list| models(&list)).unwrap_or_default(),
            labels: fields.take("labels").map(|map| labels(&map)).unwrap_or_default(),
            is_admin: fields.read("admin", false, quantity::truth),
            view: fields.take("ledger").and_then(|value| value.parse(ledger)),
            allowance: fields.take("limits").map(|section| allowance(&section)).unwrap_or_default(),
        }
    }
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

/// The items of a list that may not have too many.
pub(super) fn few<'a>(list: &Value<'a>, what: &str) -> Vec<Value<'a>> {
    let items = list.items();
    if items.len() > MAX_EACH {
        list.wrong(Wrong::new(format!("has {} {what}, and may have at most {MAX_EACH}", items.len()), ""));
    }
    items
}
