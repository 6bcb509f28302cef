//! Lists of prices as others keep them: US dollars per million tokens, as decimal numbers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::file::FileError;
use crate::domain::PicoUsd;

/// Prices by their names, beside other figures. Read as text: as a float 0.1 would be something else.
type Figures<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct List<'a> {
    generated: String,
    currency: Option<String>,
    #[serde(default)]
    source: Vec<String>,
    #[serde(borrow)]
    models: Vec<Model<'a>>,
}

#[derive(Deserialize)]
struct Model<'a> {
    id: String,
    provider: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    note: String,
    #[serde(borrow)]
    usd_per_mtok: Figures<'a>,
    #[serde(borrow)]
    long_context_tiers: Option<Vec<Figures<'a>>>,
    #[serde(borrow)]
    batch_usd_per_mtok: Option<Figures<'a>>,
    #[serde(borrow)]
    service_tier_usd_per_mtok: Option<BTreeMap<String, Figures<'a>>>,
    #[serde(borrow)]
    multipliers: Option<Figures<'a>>,
    #[serde(borrow)]
    off_peak: Option<Figures<'a>>,
}

#[derive(Deserialize)]
struct Window {
    hours_utc: Value,
    weekdays: Value,
}

/// Whether a text is such a list.
pub(super) fn is_list(text: &str) -> bool {
    text.contains("\"usd_per_mtok\"")
}

/// The list as a table in this program's own form; what it does not know is left out.
///
/// # Errors
/// What cannot be understood.
pub(super) fn table(text: &str) -> Result<Value, FileError> {
    let list: List<'_> = serde_json::from_str(text).map_err(|error| FileError::of(&error))?;
    let mut models = Vec::with_capacity(list.models.len());
    for model in &list.models {
        models.push(
            row(model, &list.generated)
                .map_err(|rule| FileError { line: None, rule: format!("{}/{}: {rule}", model.provider, model.id) })?,
        );
    }
    let mut table = Map::new();
    table.insert("version".to_owned(), list.generated.into());
    if let Some(currency) = list.currency {
        table.insert("currency".to_owned(), currency.into());
    }
    table.insert("sources".to_owned(), list.source.into());
    table.insert("models".to_owned(), models.into());
    Ok(table.into())
}

fn row(model: &Model<'_>, date: &str) -> Result<Value, String> {
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("vendor", model.provider.clone().into());
    put("id", model.id.clone().into());
    put("aliases", model.aliases.clone().into());
    put("source", model.source.clone().into());
    put("date", date.into());
    put("note", model.note.clone().into());
    let standard = rates(&model.usd_per_mtok)?;
    let of_tier = |figures: &Figures<'_>| rates(figures).map(|tier| with_writes(tier, &standard));
    put("price", standard.clone().into());
    let mut steps = Vec::new();
    for step in model.long_context_tiers.iter().flatten() {
        let above = step.get("input_tokens_above").ok_or("a tier without `input_tokens_above`")?;
        let above: u32 = above.get().parse().map_err(|_| "`input_tokens_above` is no whole number")?;
        steps.push(object([("above", above.into()), ("price", of_tier(step)?.into())]));
    }
    put("long_context", steps.into());
    let mut tiers = Map::new();
    if let Some(batch) = &model.batch_usd_per_mtok {
        tiers.insert("batch".to_owned(), of_tier(batch)?.into());
    }
    for (tier, figures) in model.service_tier_usd_per_mtok.iter().flatten() {
        tiers.insert(tier.clone(), of_tier(figures)?.into());
    }
    put("tiers", tiers.into());
    let factors = model.multipliers.iter().flatten();
    put("multipliers", factors.map(|(name, factor)| (name.clone(), factor.get().into())).collect::<Map<_, _>>().into());
    if let Some(quiet) = &model.off_peak {
        put("off_peak", object([("windows", windows(quiet)?), ("price", rates(quiet)?.into())]));
    }
    Ok(row.into())
}

fn windows(quiet: &Figures<'_>) -> Result<Value, String> {
    let windows = quiet.get("windows").ok_or("quiet hours without `windows`")?;
    let windows: Vec<Window> = serde_json::from_str(windows.get()).map_err(|error| error.to_string())?;
    let window = |Window { hours_utc, weekdays }| {
        // One stretch may stand alone.
        let hours = if hours_utc.is_array() { hours_utc } else { Value::Array(vec![hours_utc]) };
        object([("weekdays", weekdays), ("hours_utc", hours)])
    };
    Ok(windows.into_iter().map(window).collect::<Vec<_>>().into())
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// Prices in pico-dollars per token.
fn rates(figures: &Figures<'_>) -> Result<Map<String, Value>, String> {
    let mut rates = Map::new();
    for (name, figure) in figures {
        let name = match name.as_str() {
            // These stand among the prices and are none.
            "input_tokens_above" | "windows" => continue,
            "reasoning_output" => "reasoning",
            name => name,
        };
        if figure.get() == "null" {
            continue;
        }
        let usd = PicoUsd::parse_usd(figure.get()).ok_or_else(|| format!("`{name}` is no price"))?;
        if usd.get() % 1_000_000 != 0 {
            return Err(format!("`{name}` is no whole number of pico-dollars per token"));
        }
        rates.insert(name.to_owned(), (usd.get() / 1_000_000).into());
    }
    Ok(rates)
}

/// The prices of a tier with those of writes that live for a named time, where it lists none: they are multiples of the
/// input price by their vendors' own definition, so the multiple holds in each tier. One that gives no whole number is
/// left out.
fn with_writes(mut tier: Map<String, Value>, standard: &Map<String, Value>) -> Map<String, Value> {
    let whole = |rates: &Map<String, Value>, name: &str| rates.get(name).and_then(Value::as_i64);
    for name in ["cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h"] {
        let figures = (whole(standard, name), whole(&tier, "input"), whole(standard, "input"));
        let (Some(write), Some(input), Some(of_input)) = figures else { continue };
        let (Some(over), false) = (write.checked_mul(input), tier.contains_key(name)) else { continue };
        if of_input != 0 && over % of_input == 0 {
            tier.insert(name.to_owned(), (over / of_input).into());
        }
    }
    tier
}
