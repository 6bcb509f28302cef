//! What is known about the vendors' models: a table in `data/models.json`, read once.
//!
//! Facts hold for one vendor's own offering and nowhere else: the same weights behind another vendor have another
//! price, another window and other limits, so nothing is carried over or guessed. What is not in the table is not known.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::domain::{CachedPrompts, Capabilities, Constraints, ModelFacts, Tokens};

/// The table as it stands in the file.
pub const TABLE: &str = include_str!("../data/models.json");

/// One model of one vendor.
#[derive(Clone, Debug)]
pub struct Model {
    /// The vendor.
    pub vendor: String,
    /// The vendor's own id of it.
    pub id: String,
    /// Other names that the vendor takes for exactly this model.
    pub aliases: Vec<String>,
    /// What is known about it.
    pub facts: ModelFacts,
    /// Whether its vendor still serves it.
    pub lifecycle: Lifecycle,
    /// The day on which its vendor stops or stopped to serve it, as `YYYY-MM-DD`; none: none announced.
    pub deprecation_date: Option<String>,
}

/// Whether a vendor still serves a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// It does, or nothing else is known.
    #[default]
    Active,
    /// It does, and has announced the end.
    Deprecated,
    /// The announced end has passed; calls may fail.
    PastShutdownDate,
    /// It no longer does: calls fail.
    Retired,
}

/// What is known about `model` of `vendor`, by its id or one of its aliases. None: nothing is.
pub fn facts(vendor: &str, model: &str) -> Option<&'static ModelFacts> {
    find(vendor, model).map(|found| &found.facts)
}

/// The table's row of `model` of `vendor`, by its id or one of its aliases.
pub fn find(vendor: &str, model: &str) -> Option<&'static Model> {
    let row = *CATALOG.by_name.get(vendor)?.get(model)?;
    CATALOG.models.get(row)
}

/// All models of `vendor`, by id.
pub fn models(vendor: &str) -> impl Iterator<Item = &'static Model> {
    CATALOG.models.iter().filter(move |model| model.vendor == vendor)
}

/// The day of the table's figures, as `YYYY-MM-DD`.
pub fn date() -> &'static str {
    &CATALOG.date
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    // The table is part of the program; that it reads without an error is a test, not a question at run time.
    read(TABLE).unwrap_or_default()
});

#[derive(Default)]
struct Catalog {
    date: String,
    models: Vec<Model>,
    /// Vendor, then id or alias, to the place in `models`.
    by_name: HashMap<String, HashMap<String, usize>>,
}

/// Reads a table.
fn read(table: &str) -> Result<Catalog, serde_json::Error> {
    let table: Table = serde_json::from_str(table)?;
    let models: Vec<Model> = table.models.into_iter().map(Model::from).collect();
    let mut by_name: HashMap<String, HashMap<String, usize>> = HashMap::new();
    for (place, model) in models.iter().enumerate() {
        let names = by_name.entry(model.vendor.clone()).or_default();
        for name in std::iter::once(&model.id).chain(&model.aliases) {
            names.insert(name.clone(), place);
        }
    }
    Ok(Catalog { date: table.date, models, by_name })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    date: String,
    #[expect(dead_code, reason = "for people who read the file")]
    sources: serde::de::IgnoredAny,
    models: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    vendor: String,
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    context_window: Option<u32>,
    max_input: Option<u32>,
    max_output: Option<u32>,
    #[serde(default)]
    capabilities: CapabilityRow,
    #[serde(default)]
    constraints: ConstraintRow,
    #[serde(default)]
    prompt_cache: PromptCacheRow,
    other_protocol: Option<String>,
    #[serde(default)]
    lifecycle: Lifecycle,
    deprecation_date: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapabilityRow {
    tools: Option<bool>,
    images: Option<bool>,
    documents: Option<bool>,
    audio: Option<bool>,
    json_schema: Option<bool>,
    reasoning: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptCacheRow {
    min_tokens: Option<u32>,
    breakpoints: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstraintRow {
    sampling: Option<bool>,
    prefill: Option<bool>,
    forced_tool_choice: Option<bool>,
    reasoning_always_on: Option<bool>,
    adaptive_reasoning: Option<bool>,
    effort_none: Option<bool>,
    effort_minimal: Option<bool>,
    effort_xhigh: Option<bool>,
    effort_max: Option<bool>,
}

impl From<Row> for Model {
    fn from(row: Row) -> Self {
        let facts = ModelFacts {
            context_window: row.context_window.map(Tokens::new),
            max_input: row.max_input.map(Tokens::new),
            max_output: row.max_output.map(Tokens::new),
            capabilities: row.capabilities.into(),
            constraints: row.constraints.into(),
            cached_prompts: row.prompt_cache.into(),
            other_protocol: row.other_protocol,
        };
        Self {
            vendor: row.vendor,
            id: row.id,
            aliases: row.aliases,
            facts,
            lifecycle: row.lifecycle,
            deprecation_date: row.deprecation_date,
        }
    }
}

impl From<PromptCacheRow> for CachedPrompts {
    fn from(row: PromptCacheRow) -> Self {
        Self { least: row.min_tokens.map(Tokens::new), breakpoints: row.breakpoints }
    }
}

impl From<CapabilityRow> for Capabilities {
    fn from(row: CapabilityRow) -> Self {
        let CapabilityRow { tools, images, documents, audio, json_schema, reasoning } = row;
        Self { tools, images, documents, audio, json_schema, reasoning }
    }
}

impl From<ConstraintRow> for Constraints {
    fn from(row: ConstraintRow) -> Self {
        Self {
            sampling: row.sampling,
            prefill: row.prefill,
            forced_tool_choice: row.forced_tool_choice,
            reasoning_always_on: row.reasoning_always_on,
            adaptive_reasoning: row.adaptive_reasoning,
            effort_none: row.effort_none,
            effort_minimal: row.effort_minimal,
            effort_xhigh: row.effort_xhigh,
            effort_max: row.effort_max,
        }
    }
}
