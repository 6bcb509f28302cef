//! What a newer table changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{File, Price, Rates, Row, VendorRow};

/// One row that differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The vendor.
    pub vendor: String,
    /// The model; empty: what holds for all of the vendor's.
    pub model: String,
    /// How it differs.
    pub difference: Difference,
}

/// How a row differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// It is new.
    Added(Vec<Field>),
    /// These figures are others.
    Changed(Vec<Field>),
    /// The newer table does not have it.
    Gone,
}

/// One figure, before and after; none: not known there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Field {
    /// Its name in the file.
    pub name: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
}

impl File {
    /// What putting `newer` over this table changes, by vendor and model. Gone is what `newer` no longer has of the
    /// vendors of which it speaks.
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let (before, after) = (figures(self), figures(&self.merged(newer)));
        let mut changes = Vec::new();
        for (key, after) in &after {
            let old = before.get(key);
            let fields = differing(old.unwrap_or(&BTreeMap::new()), after);
            match old {
                None => changes.push((key, Difference::Added(fields))),
                Some(_) if !fields.is_empty() => changes.push((key, Difference::Changed(fields))),
                Some(_) => {}
            }
        }
        let is_gone = |(vendor, model): &&(String, String)| {
            let of_vendor = newer.models.iter().any(|row| row.vendor == *vendor);
            of_vendor && !model.is_empty() && !newer.has(vendor, model)
        };
        changes.extend(before.keys().filter(is_gone).map(|key| (key, Difference::Gone)));
        changes.sort_by(|one, other| one.0.cmp(other.0));
        let change = |((vendor, model), difference): (&(String, String), Difference)| Change {
            vendor: vendor.clone(),
            model: model.clone(),
            difference,
        };
        changes.into_iter().map(change).collect()
    }

    /// Whether it has a price of a model, by whatever name.
    fn has(&self, vendor: &str, model: &str) -> bool {
        self.models.iter().any(|row| row.vendor == vendor && row.names().any(|name| name == model))
    }

    /// This table with the rows of `newer` over it. What only this one has stays: a model that a newer list no longer
    /// names may still be called, and its old price is still the last one that is known.
    #[must_use]
    pub fn merged(&self, newer: &Self) -> Self {
        let mut merged = newer.clone();
        let kept = self.models.iter().filter(|old| !newer.has(&old.vendor, &old.id));
        merged.models.extend(kept.map(|old| Arc::new(without_taken_names(old, newer))));
        merged.models.sort_by(|one, other| (&one.vendor, &one.id).cmp(&(&other.vendor, &other.id)));
        for old in &self.vendors {
            match merged.vendors.iter_mut().find(|new| new.id == old.id) {
                Some(new) => {
                    new.cache_write_default = new.cache_write_default.or(old.cache_write_default);
                    let only_old = old.tools.iter().filter(|(tool, _)| !newer.has_tool(&old.id, tool));
                    new.tools.extend(only_old.map(|(tool, price)| (tool.clone(), *price)));
                }
                None => merged.vendors.push(old.clone()),
            }
        }
        merged
    }

    fn has_tool(&self, vendor: &str, tool: &str) -> bool {
        self.vendors.iter().any(|row| row.id == vendor && row.tools.contains_key(tool))
    }
}

/// An older row whose aliases the newer table has not given to another model.
fn without_taken_names(old: &Row, newer: &File) -> Row {
    let taken = |alias: &String| {
        newer.models.iter().any(|new| new.vendor == old.vendor && new.names().any(|name| name == alias))
    };
    let mut row = old.clone();
    row.aliases.retain(|alias| !taken(alias));
    row
}

type Figures = BTreeMap<String, String>;

/// All figures of a table, by vendor and model.
fn figures(file: &File) -> BTreeMap<(String, String), Figures> {
    let vendors = file.vendors.iter().map(|row| ((row.id.clone(), String::new()), of_vendor(row)));
    let models = file.models.iter().map(|row| ((row.vendor.clone(), row.id.clone()), of_model(row)));
    vendors.chain(models).collect()
}

fn of_vendor(row: &VendorRow) -> Figures {
    let mut figures = Figures::new();
    if let Some(lifetime) = row.cache_write_default {
        figures.insert("cache_write_default".to_owned(), lifetime.to_string());
    }
    let tools = row.tools.iter().filter_map(|(tool, price)| Some((format!("tools.{tool}"), price.get()?.to_string())));
    figures.extend(tools);
    figures
}

fn of_model(row: &Row) -> Figures {
    let Price { standard, long_context, tiers, multipliers, off_peak, tools } = &*row.price;
    let mut figures = Figures::new();
    let mut add = |prefix: String, rates: &Rates| {
        let known = rates.named().into_iter().filter_map(|(name, rate)| Some((name, rate?)));
        figures.extend(known.map(|(name, rate)| (format!("{prefix}{name}"), per_million(rate))));
    };
    add(String::new(), standard);
    long_context.iter().for_each(|step| add(format!("above {}: ", step.above), &step.price));
    tiers.iter().for_each(|(tier, rates)| add(format!("{tier}: "), rates));
    if let Some(quiet) = off_peak {
        add("off peak: ".to_owned(), &quiet.price);
        let hours = serde_json::to_string(&quiet.windows).unwrap_or_default();
        figures.insert("off peak: windows".to_owned(), hours);
    }
    figures.extend(multipliers.iter().map(|(name, factor)| (format!("times {name}"), factor.to_string())));
    let tools = tools.iter().filter_map(|(tool, price)| Some((format!("tools.{tool}"), price.get()?.to_string())));
    figures.extend(tools);
    if !row.aliases.is_empty() {
        figures.insert("aliases".to_owned(), row.aliases.join(" "));
    }
    figures
}

fn differing(before: &Figures, after: &Figures) -> Vec<Field> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let fields = names.into_iter().map(|name| Field {
        name: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    });
    fields.filter(|field| field.before != field.after).collect()
}

/// A price of a token as US dollars per million tokens, exactly.
pub fn per_million(rate: crate::domain::PicoUsd) -> String {
    let pico = rate.get().unsigned_abs();
    let text = format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
