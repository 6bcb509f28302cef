//! What has come to a collector, compared with what may come, and with docs/conventions.md, which has it as tables.
//!
//! `UPDATE_EXPECTED=1` writes the tables anew: read the difference before you keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::conventions::{Attribute, By, EVENTS, Entry, METRICS, RECORDS, SPANS, When};
use crate::receiver::Received;

const BEGIN: &str = "<!-- seen: begin -->\n";
const END: &str = "<!-- seen: end -->";

/// One thing as it came: its entry, its kind, and its attributes with their types.
type Came<'a> = (&'a str, String, &'a [KeyValue]);

/// What was seen of an entry.
#[derive(Debug, Default)]
struct Seen {
    is_seen: bool,
    attributes: BTreeSet<String>,
}

type AllSeen = BTreeMap<&'static str, Seen>;

/// Compares what has come with what may come, and both with the documentation.
pub(crate) fn holds(received: &Received) {
    let spans = received.spans();
    let spans_seen = compared(SPANS, spans.iter().map(|it| (kind(it), format!("{:?}", it.kind()), &*it.attributes)));
    let events = spans.iter().flat_map(|it| &it.events);
    let events = events.map(|it| (it.name.as_str(), "event".to_owned(), &*it.attributes));
    let links = spans.iter().flat_map(|it| &it.links).map(|it| (EVENTS[7].0, "link".to_owned(), &*it.attributes));
    let events_seen = compared(EVENTS, events.chain(links));
    let metrics = received.latest();
    let points: Vec<_> = metrics.iter().flat_map(points).collect();
    let metrics_seen =
        compared(METRICS, points.iter().map(|(metric, kind, of)| (metric.name.as_str(), kind.clone(), *of)));
    let records = received.records_by_scope();
    // Warnings of other modules have a place in the code for a name, and what they tell is for people.
    let ours = records.iter().filter(|(scope, _)| scope == "completiond::call").map(|(_, record)| record);
    let records_seen = compared(RECORDS, ours.map(|it| (it.event_name.as_str(), level(it), &*it.attributes)));

    let mut text = long("span", "kind", SPANS, &spans_seen);
    text.push_str(&short("event or link of a completion", "type", EVENTS, &events_seen));
    text.push_str(&short("metric", "type, unit", METRICS, &metrics_seen));
    text.push_str(&long("log record", "severity", RECORDS, &records_seen));
    documented(&text);
}

/// The levels that such a record has, if this one is among them.
fn level(record: &LogRecord) -> String {
    let levels = RECORDS.iter().find(|(name, ..)| *name == record.event_name).map(|(_, levels, _)| *levels);
    let is_one = |levels: &&str| levels.split(" or ").any(|level| level == record.severity_text);
    levels.filter(is_one).unwrap_or(&record.severity_text).to_owned()
}

/// What was seen of each entry; whatever has no place, or lacks what it must have, fails.
fn compared<'a>(entries: &'static [Entry], all: impl Iterator<Item = Came<'a>>) -> AllSeen {
    let mut seen: AllSeen = entries.iter().map(|(name, ..)| (*name, Seen::default())).collect();
    for (name, kind, came) in all {
        let entry = entries.iter().find(|(known, ..)| *known == name);
        let (known, expected, attributes) = entry.unwrap_or_else(|| panic!("{name} may not come: {came:?}"));
        assert_eq!(kind, *expected, "{name}");
        for (required, ..) in attributes.iter().filter(|(.., when)| *when != When::Perhaps) {
            assert!(came.iter().any(|it| it.key == *required), "{name} lacks {required}: {came:?}");
        }
        let names: BTreeSet<&str> = came.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(names.len(), came.len(), "an attribute of {name} stands twice: {came:?}");
        let seen = seen.entry(*known).or_default();
        seen.is_seen = true;
        for attribute in came {
            let is = |(known, ..): &&Attribute| match known.strip_suffix('*') {
                Some(beginning) => attribute.key.starts_with(beginning),
                None => attribute.key == *known,
            };
            let allowed = attributes.iter().find(is);
            let (known, of_type, _) = allowed.unwrap_or_else(|| panic!("{name} may not have {attribute:?}"));
            assert_eq!(type_of(attribute), *of_type, "{known} of {name}");
            seen.attributes.insert((*known).to_owned());
        }
    }
    seen
}

/// A line for each entry, and one for each of its attributes.
fn long(what: &str, kind: &str, entries: &[Entry], seen: &AllSeen) -> String {
    let word = |is_seen: bool| if is_seen { "yes" } else { "no" };
    let title = format!("{kind}, or type of the attribute");
    let mut text = format!("\n| {what} | {title} | whose name | there | seen |\n|---|---|---|---|---|\n");
    for (name, kind, attributes) in entries {
        let seen = &seen[name];
        let by = by_whom(name).word();
        text.push_str(&format!("| **`{name}`** | {kind} | {by} | | {} |\n", word(seen.is_seen)));
        for (attribute, of_type, when) in *attributes {
            let there = match when {
                When::Always => "always",
                When::Here => "where the caller says it",
                When::Perhaps => "where it is known",
            };
            let (by, seen) = (By::of(attribute).word(), word(seen.attributes.contains(*attribute)));
            text.push_str(&format!("| `{attribute}` | {of_type} | {by} | {there} | {seen} |\n"));
        }
    }
    text
}

/// A line for each entry, with its attributes in it. They are texts, unless their types are told.
fn short(what: &str, kind: &str, entries: &[Entry], seen: &AllSeen) -> String {
    let mut text =
        format!("\n| {what} | {kind} | whose name | always with | also with | seen |\n|---|---|---|---|---|---|\n");
    for (name, kind, attributes) in entries {
        let seen = &seen[name];
        let listed = |all: Vec<&Attribute>| {
            let told = all.into_iter().map(|(name, of_type, _)| match *of_type {
                "string" => format!("`{name}`"),
                other => format!("`{name}` ({other})"),
            });
            told.collect::<Vec<_>>().join(", ")
        };
        let (always, also) = attributes.iter().partition(|(.., when)| *when == When::Always);
        let unseen = listed(attributes.iter().filter(|(name, ..)| !seen.attributes.contains(*name)).collect());
        let told = match (seen.is_seen, unseen.is_empty()) {
            (false, _) => "no".to_owned(),
            (true, true) => "yes".to_owned(),
            (true, false) => format!("yes, without {unseen}"),
        };
        let by = by_whom(name).word();
        let row = format!("| `{name}` | {kind} | {by} | {} | {} | {told} |\n", listed(always), listed(also));
        text.push_str(&row.replace("|  |", "| |").replace("|  |", "| |"));
    }
    text
}

/// The names of spans are made of those of attributes.
fn by_whom(name: &str) -> By {
    let placeholder = name.split_once('{').map(|(_, rest)| rest.trim_end_matches('}'));
    By::of(placeholder.unwrap_or(name))
}

fn documented(tables: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conventions.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{tables}\n{END}{after}")).unwrap();
        return;
    }
    let written = written.strip_suffix('\n').unwrap();
    assert_eq!(written, tables, "docs/conventions.md does not say what is sent; UPDATE_EXPECTED=1 writes it");
}

fn kind(span: &Span) -> &str {
    match span.name.as_str() {
        name if name.starts_with("completiond.v1.") => "{rpc.method}",
        name if name.starts_with("chat") => "chat {gen_ai.request.model}",
        "POST" => "{http.request.method}",
        name => name,
    }
}

/// The points of a metric, each with the kind of the metric.
fn points(metric: &Metric) -> Vec<(&Metric, String, &[KeyValue])> {
    let (kind, points): (&str, Vec<&[KeyValue]>) = match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => ("gauge", gauge.data_points.iter().map(|it| &*it.attributes).collect()),
        Data::Histogram(it) => ("histogram", it.data_points.iter().map(|it| &*it.attributes).collect()),
        Data::Sum(sum) => {
            assert!(sum.is_monotonic, "{}", metric.name);
            ("counter", sum.data_points.iter().map(|it| &*it.attributes).collect())
        }
        other => panic!("{}: {other:?}", metric.name),
    };
    assert!(!metric.description.is_empty(), "{} says nothing of itself", metric.name);
    let kind = if metric.unit.is_empty() { kind.to_owned() } else { format!("{kind}, {}", metric.unit) };
    points.into_iter().map(|attributes| (metric, kind.clone(), attributes)).collect()
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

/// Our own names cannot be taken for those of the conventions, nor the other way round.
#[test]
fn whose_a_name_is_can_be_told_from_it() {
    for (name, _, attributes) in SPANS.iter().chain(EVENTS).chain(METRICS) {
        for name in attributes.iter().map(|(name, ..)| *name).chain([*name]) {
            let is_prefixed = name.starts_with("completiond.") || name.starts_with('(');
            assert_eq!(by_whom(name) == By::Own, is_prefixed, "{name}");
        }
    }
}
