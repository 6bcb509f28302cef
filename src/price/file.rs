//! A price table as it stands in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::foreign;
use super::hours::OffPeak;
use super::rates::{Factor, Lifetime, Rates};
use crate::domain::PicoUsd;

/// A price table as it stands in a file: facts, each with where it is from and of when it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it is called in each cost that rests on it; the day of its facts is a good name.
    pub version: String,
    /// US dollars, when it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// For people who read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Where its facts are from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// What holds for all models of a vendor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vendors: Vec<VendorRow>,
    /// The models.
    #[serde(default)]
    pub models: Vec<Arc<Row>>,
}

/// What holds for all models of a vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VendorRow {
    /// The vendor.
    pub id: String,
    /// Where this is from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Of which day it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// How long a write to the cache lives of which no lifetime is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_default: Option<Lifetime>,
    /// What a call of a tool costs that the vendor runs; 0: it is free. One that is left out has no known price.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, CallPrice>,
}

/// What one model costs at one vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The vendor.
    pub vendor: String,
    /// The vendor's own id of the model.
    pub id: String,
    /// Other names that the vendor takes for exactly this model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Where the prices are from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Of which day they are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// What to know beside them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The prices.
    #[serde(flatten)]
    pub price: Arc<Price>,
}

/// What one model costs at one vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// What its tokens cost where nothing else applies.
    #[serde(rename = "price")]
    pub standard: Rates,
    /// What all tokens of a request cost whose prompt is longer than a bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub long_context: Vec<LongContext>,
    /// What they cost in other service tiers, by the tier's name: `batch`, `flex`, `priority`, `ultrafast`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<String, Rates>,
    /// What multiplies all of these, by the surcharge's name: a region, a speed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub multipliers: BTreeMap<String, Factor>,
    /// What they cost at the quiet times of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_peak: Option<OffPeak>,
    /// What a call of a tool costs, where this model differs from the vendor's others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, CallPrice>,
}

/// What all tokens of a request cost whose prompt is longer than a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// The longest prompt to which this does not apply, in tokens, cached ones included.
    pub above: u32,
    /// What a token costs.
    pub price: Rates,
}

/// What a call of a tool costs, in pico-dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallPrice(u64);

impl CallPrice {
    /// The amount; none: more than can be counted.
    pub fn get(self) -> Option<PicoUsd> {
        i64::try_from(self.0).ok().map(PicoUsd::new)
    }
}

/// What is wrong with a price table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct FileError {
    /// The line, where it is known, counted from 1.
    pub line: Option<usize>,
    /// The rule that is broken.
    pub rule: String,
}

impl FileError {
    pub(super) fn of(error: &serde_json::Error) -> Self {
        // The place is told by itself.
        let rule = error.to_string();
        let rule = rule.rsplit_once(" at line ").map_or(rule.as_str(), |(rule, _)| rule).to_owned();
        Self { line: Some(error.line()).filter(|line| *line > 0), rule }
    }

    fn rule(rule: String) -> Self {
        Self { line: None, rule }
    }
}

impl File {
    /// Reads a table, in its own form or as a list in US dollars per million tokens.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(text: &str) -> Result<Self, FileError> {
        let read: Result<Self, _> = if foreign::is_list(text) {
            serde_json::from_value(foreign::table(text)?)
        } else {
            serde_json::from_str(text)
        };
        let file = read.map_err(|error| FileError::of(&error))?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), FileError> {
        if self.version.trim().is_empty() {
            return Err(FileError::rule("`version` is empty".to_owned()));
        }
        if self.currency.as_deref().is_some_and(|currency| currency != "USD") {
            return Err(FileError::rule("`currency` is not USD".to_owned()));
        }
        let mut names = BTreeSet::new();
        for row in &self.models {
            let wrong = |rule: &str| Err(FileError::rule(format!("{}/{}: {rule}", row.vendor, row.id)));
            if row.vendor.is_empty() || row.id.is_empty() {
                return wrong("a vendor and an id are not empty");
            }
            if let Some(twice) = row.names().find(|name| !names.insert((row.vendor.as_str(), *name))) {
                return wrong(&format!("`{twice}` stands for two models of this vendor"));
            }
            if row.price.off_peak.is_some() && !row.price.long_context.is_empty() {
                return wrong("there is no rule for long prompts at quiet times; leave one of them out");
            }
        }
        Ok(())
    }

    /// The file as text, a model on each line, so that a change shows as one.
    ///
    /// # Errors
    /// Never for what was read.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        let mut parts = vec![format!("\"version\": {}", json(&self.version)?)];
        for (name, value) in [("currency", &self.currency), ("unit", &self.unit)] {
            if let Some(value) = value {
                parts.push(format!("\"{name}\": {}", json(value)?));
            }
        }
        if !self.sources.is_empty() {
            parts.push(format!("\"sources\": {}", json(&self.sources)?));
        }
        if !self.vendors.is_empty() {
            parts.push(lines("vendors", &self.vendors)?);
        }
        parts.push(lines("models", &self.models)?);
        Ok(format!("{{\n{}\n}}\n", parts.join(",\n")))
    }
}

impl Row {
    /// Its id and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

fn lines<T: Serialize>(name: &str, rows: &[T]) -> Result<String, serde_json::Error> {
    let rows = rows.iter().map(json).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("\"{name}\": [\n{}\n]", rows.join(",\n")))
}

fn json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}
