//! The smallest plausible value that a JSON Schema allows.
//!
//! It knows what providers' structured outputs know: types, `enum`, `const`, objects, arrays, bounds, formats,
//! `anyOf`, `oneOf`, `allOf` and `$ref` within the schema. Of what it cannot satisfy for certain (`pattern`, `not`,
//! `if`, ...) it makes nothing rather than something wrong.

use std::cell::Cell;

use serde_json::{Map, Number, Value, json};

/// How deep values and references may nest.
const MAX_DEPTH: u32 = 48;
/// How many values are tried for one schema.
const MAX_STEPS: u32 = 5_000;
/// The most elements or characters that a bound may ask for.
const MAX_LENGTH: u64 = 1_000;
/// Keywords that only a search could satisfy.
const UNKNOWN: [&str; 9] = [
    "pattern",
    "not",
    "if",
    "contains",
    "propertyNames",
    "patternProperties",
    "dependentRequired",
    "dependentSchemas",
    "$dynamicRef",
];

/// A value that `schema` allows; none: it allows none, or asks for more than is known here.
pub(super) fn instance(schema: &Value) -> Option<Value> {
    Maker { root: schema, steps: Cell::new(MAX_STEPS) }.make(schema, 0, 0)
}

struct Maker<'a> {
    root: &'a Value,
    steps: Cell<u32>,
}

type Fields = Map<String, Value>;

impl Maker<'_> {
    /// A value; different for different `nth`, as far as the schema lets it.
    fn make(&self, schema: &Value, depth: u32, nth: usize) -> Option<Value> {
        self.steps.set(self.steps.get().checked_sub(1)?);
        if depth > MAX_DEPTH {
            return None;
        }
        let fields = match schema {
            Value::Bool(true) => return Some(json!(numbered("simulated", nth))),
            Value::Object(fields) => fields,
            _ => return None,
        };
        if let Some(options) = fields.get("anyOf").or_else(|| fields.get("oneOf")).and_then(Value::as_array) {
            let rest = without(fields, &["anyOf", "oneOf"]);
            return options.iter().find_map(|option| self.make(&merge(&rest, option)?, depth + 1, nth));
        }
        if let Some(parts) = fields.get("allOf").and_then(Value::as_array) {
            let mut merged = Value::Object(without(fields, &["allOf"]));
            for part in parts {
                merged = merge(merged.as_object()?, &self.resolved(part)?)?;
            }
            return self.make(&merged, depth + 1, nth);
        }
        if fields.contains_key("$ref") {
            let target = self.target(fields)?;
            return self.make(&merge(&without(fields, &["$ref"]), target)?, depth + 1, nth);
        }
        self.plain(fields, depth, nth)
    }

    /// The schema that a reference within the schema means.
    fn target(&self, fields: &Fields) -> Option<&Value> {
        let pointer = fields.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(&pointer.replace("%24", "$").replace("%25", "%"))
    }

    /// A schema with its references followed, as far as they stand at its top.
    fn resolved(&self, schema: &Value) -> Option<Value> {
        let mut schema = schema.clone();
        for _ in 0..MAX_DEPTH {
            let Some(fields) = schema.as_object().filter(|fields| fields.contains_key("$ref")) else {
                return Some(schema);
            };
            schema = merge(&without(fields, &["$ref"]), self.target(fields)?)?;
        }
        None
    }

    /// A value of a schema without references and alternatives.
    fn plain(&self, fields: &Fields, depth: u32, nth: usize) -> Option<Value> {
        if UNKNOWN.iter().any(|keyword| fields.contains_key(*keyword)) {
            return None;
        }
        if let Some(constant) = fields.get("const") {
            return Some(constant.clone());
        }
        if let Some(values) = fields.get("enum").and_then(Value::as_array) {
            return values.get(nth).or_else(|| values.first()).cloned();
        }
        match kind(fields) {
            "object" => self.object(fields, depth),
            "array" => self.array(fields, depth),
            "string" => string(fields, nth).map(Value::String),
            "integer" | "number" => number(fields, nth),
            "boolean" => Some(Value::Bool(nth.is_multiple_of(2))),
            "null" => Some(Value::Null),
            _ => None,
        }
    }

    fn object(&self, fields: &Fields, depth: u32) -> Option<Value> {
        let none = Map::new();
        let properties = fields.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let mut object = Map::new();
        for name in fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let schema =
                properties.get(name).or_else(|| fields.get("additionalProperties")).unwrap_or(&Value::Bool(true));
            object.insert(name.to_owned(), self.make(schema, depth + 1, 0)?);
        }
        let wanted = length(fields, "minProperties")?;
        for (name, schema) in properties {
            if object.len() < wanted && !object.contains_key(name) {
                object.insert(name.clone(), self.make(schema, depth + 1, 0)?);
            }
        }
        let more = fields.get("additionalProperties").unwrap_or(&Value::Bool(true));
        while object.len() < wanted {
            object.insert(format!("simulated_{}", object.len()), self.make(more, depth + 1, object.len())?);
        }
        let most = fields.get("maxProperties").and_then(Value::as_u64);
        most.is_none_or(|most| u64::try_from(object.len()).is_ok_and(|len| len <= most))
            .then_some(Value::Object(object))
    }

    fn array(&self, fields: &Fields, depth: u32) -> Option<Value> {
        let first = fields.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let rest = fields.get("items").unwrap_or(&Value::Bool(true));
        let mut items = Vec::new();
        for nth in 0..length(fields, "minItems")? {
            items.push(self.make(first.get(nth).unwrap_or(rest), depth + 1, nth)?);
        }
        let unique = fields.get("uniqueItems") == Some(&Value::Bool(true));
        let repeated = items.iter().enumerate().any(|(at, item)| items.iter().take(at).any(|other| other == item));
        (!unique || !repeated).then_some(Value::Array(items))
    }
}

/// The type to make: the first that is named, else what the other keywords speak of.
fn kind(fields: &Fields) -> &str {
    let named = match fields.get("type") {
        Some(Value::Array(types)) => types.first(),
        other => other,
    };
    let speaks_of = |keywords: &[&str]| keywords.iter().any(|keyword| fields.contains_key(*keyword));
    match named.and_then(Value::as_str) {
        Some(kind) => kind,
        None if speaks_of(&["properties", "required", "additionalProperties", "minProperties"]) => "object",
        None if speaks_of(&["items", "prefixItems", "minItems"]) => "array",
        None if speaks_of(&["minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"]) => "number",
        None => "string",
    }
}

fn string(fields: &Fields, nth: usize) -> Option<String> {
    let least = length(fields, "minLength")?;
    let most = fields.get("maxLength").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let formatted = match fields.get("format").and_then(Value::as_str) {
        Some("date-time") => format!("2000-01-01T00:00:{:02}Z", nth % 60),
        Some("date") => format!("2000-01-{:02}", nth % 28 + 1),
        Some("time") => format!("00:00:{:02}Z", nth % 60),
        Some("duration") => format!("P{}D", nth + 1),
        Some("email") => format!("{}@example.com", numbered("simulated", nth)),
        Some("hostname") => format!("{}.example.com", numbered("simulated", nth)),
        Some("uri" | "url" | "uri-reference") => format!("https://example.com/{}", numbered("simulated", nth)),
        Some("uuid") => format!("00000000-0000-4000-8000-{nth:012x}"),
        Some("ipv4") => format!("192.0.2.{}", nth % 255),
        Some("ipv6") => format!("2001:db8::{nth:x}"),
        _ => {
            let plain = numbered("simulated", nth);
            let padding = least.saturating_sub(plain.chars().count());
            let padded = plain + &"-".repeat(padding);
            // The number stands at the end, so that a short text keeps what tells it from its neighbours.
            let surplus = most.map_or(0, |most| padded.chars().count().saturating_sub(most));
            return (most.is_none_or(|most| most >= least)).then(|| padded.chars().skip(surplus).collect());
        }
    };
    let chars = formatted.chars().count();
    (least <= chars && most.is_none_or(|most| chars <= most)).then_some(formatted)
}

/// The `nth` number within the bounds, in steps of `multipleOf`.
fn number(fields: &Fields, nth: usize) -> Option<Value> {
    let bound = |key: &str| fields.get(key).and_then(Value::as_f64);
    let whole = kind(fields) == "integer";
    let least = [bound("minimum"), bound("exclusiveMinimum")].into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
    let most = [bound("maximum"), bound("exclusiveMaximum")].into_iter().flatten().fold(f64::INFINITY, f64::min);
    let fits = |value: &f64| {
        (least..=most).contains(value)
            && bound("exclusiveMinimum").is_none_or(|bound| *value > bound)
            && bound("exclusiveMaximum").is_none_or(|bound| *value < bound)
            && (!whole || value.fract() == 0.0)
    };
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    let start = if least.is_finite() { (least / step.unwrap_or(1.0)).ceil() } else { 1.0 };
    let start = start.min((most / step.unwrap_or(1.0)).floor());
    let around = (0..100).map(f64::from).chain((1..100).map(|below| f64::from(-below)));
    let steps = around.map(|by| (start + by) * step.unwrap_or(1.0));
    let between = (step.is_none() && !whole).then_some(f64::midpoint(least, most));
    let found: Vec<f64> = steps.chain(between).filter(fits).take(nth + 1).collect();
    let value = found.get(nth).or_else(|| found.first())?;
    // A float without a fraction is written as the integer that it is.
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}").parse::<i64>().ok().map(Value::from);
    }
    Number::from_f64(*value).map(Value::Number)
}

/// A lower bound on a length; none: more than is made here.
fn length(fields: &Fields, key: &str) -> Option<usize> {
    let asked = fields.get(key).and_then(Value::as_u64).unwrap_or(0);
    usize::try_from(asked).ok().filter(|_| asked <= MAX_LENGTH)
}

fn numbered(word: &str, nth: usize) -> String {
    if nth == 0 { word.to_owned() } else { format!("{word}-{nth}") }
}

fn without(fields: &Fields, keys: &[&str]) -> Fields {
    fields
        .iter()
        .filter(|(key, _)| !keys.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A schema that asks for what both ask for, as far as keywords can be joined; the second one's words win otherwise.
fn merge(one: &Fields, other: &Value) -> Option<Value> {
    let other = match other {
        Value::Bool(true) => return Some(Value::Object(one.clone())),
        Value::Object(other) => other,
        _ => return None,
    };
    let mut merged = one.clone();
    for (key, value) in other {
        let joined = match (key.as_str(), merged.get(key)) {
            ("properties", Some(Value::Object(mine))) => {
                let mut properties = mine.clone();
                properties.extend(value.as_object()?.clone());
                Value::Object(properties)
            }
            ("required" | "allOf", Some(Value::Array(mine))) => {
                let mut both = mine.clone();
                both.extend(value.as_array()?.iter().filter(|name| !mine.contains(name)).cloned());
                Value::Array(both)
            }
            _ => value.clone(),
        };
        merged.insert(key.clone(), joined);
    }
    Some(Value::Object(merged))
}
