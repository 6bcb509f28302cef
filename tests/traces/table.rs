//! The table of docs/traces.md: what spans there are and what they carry, as a receiver has seen them.
//!
//! `UPDATE_EXPECTED=1` writes it anew: read the difference before you keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;

const BEGIN: &str = "<!-- seen: begin -->\n";
const END: &str = "<!-- seen: end -->";

/// What each kind of span must have, by the conventions and by our own word.
const REQUIRED: &[(&str, &[(&str, &str)])] = &[
    (
        "server",
        &[
            ("rpc.system.name", "string"),
            ("rpc.method", "string"),
            ("rpc.status_code", "string"),
            ("completiond.call.id", "string"),
        ],
    ),
    (
        "completion",
        &[
            ("gen_ai.operation.name", "string"),
            ("gen_ai.request.model", "string"),
            ("gen_ai.provider.name", "string"),
            ("gen_ai.request.max_tokens", "int"),
        ],
    ),
    (
        "attempt",
        &[
            ("http.request.method", "string"),
            ("url.full", "string"),
            ("server.address", "string"),
            ("server.port", "int"),
            ("completiond.provider.id", "string"),
            ("completiond.attempt.outcome", "string"),
        ],
    ),
    ("completiond.tokens.count", &[]),
];

/// Compares what was seen with the documentation and with what is required.
pub(crate) fn holds(spans: &[Span]) {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for span in spans {
        let kind = kind(span);
        let (_, required) =
            REQUIRED.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("{kind} is not known"));
        for (name, of_type) in *required {
            let has = span.attributes.iter().find(|attribute| attribute.key == *name).map(type_of);
            assert_eq!(has, Some(*of_type), "{name} of {}", span.name);
        }
        let names: BTreeSet<&str> = span.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(names.len(), span.attributes.len(), "an attribute stands twice: {span:?}");
        let rows = seen.entry(kind.to_owned()).or_default();
        rows.extend(span.attributes.iter().map(|it| format!("`{}` | {}", it.key, type_of(it))));
        rows.insert(format!("(the span itself) | {:?}", span.kind()));
        for event in &span.events {
            let with: Vec<String> = event.attributes.iter().map(|it| format!("`{}`", it.key)).collect();
            rows.insert(format!("event `{}` | {}", event.name, with.join(", ")));
        }
        rows.extend((!span.links.is_empty()).then(|| "link to the call that makes the answer | ".to_owned()));
    }
    let mut table =
        "| span | attribute, event or link | type, or attributes of the event |\n|---|---|---|\n".to_owned();
    for (kind, rows) in &seen {
        rows.iter().for_each(|row| table.push_str(&format!("| {kind} | {row} |\n").replace("  |", " |")));
    }
    compare(&table);
}

fn compare(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/traces.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written, table, "docs/traces.md does not say what is sent; UPDATE_EXPECTED=1 writes it");
}

fn kind(span: &Span) -> &str {
    match span.name.as_str() {
        name if name.starts_with("completiond.v1.") => "server",
        name if name.starts_with("chat") => "completion",
        "POST" => "attempt",
        name => name,
    }
}

fn type_of(attribute: &KeyValue) -> &'static str {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(_)) => "string",
        Some(Value::BoolValue(_)) => "boolean",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        Some(Value::ArrayValue(_)) => "string[]",
        _ => "other",
    }
}
