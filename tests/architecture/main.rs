//! What ARCHITECTURE.md promises about the code's shape, read from the code's own syntax tree.
//!
//! Each rule is a function from a source to complaints, so that each is shown to complain as well.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod names;
mod papers;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{Source, sources};

/// Whom each part may use beside itself. A part that is new has to be put here, and with it the decision.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("aside", &[]),
    ("count", &[]),
    ("regular", &[]),
    ("tls", &["aside", "count", "regular"]),
    ("callers", &["aside", "count", "domain", "regular"]),
    ("transport", &["count"]),
    ("catalog", &["domain"]),
    ("telemetry", &["domain"]),
    ("protocol", &["domain"]),
    ("credentials", &["protocol"]),
    ("simulator", &["transport"]),
    ("price", &["domain"]),
    ("tokens", &["domain"]),
    ("pool", &["domain", "protocol", "catalog", "credentials", "transport", "telemetry", "price", "tokens"]),
    ("store", &["domain", "pool", "price"]),
    ("route", &["domain", "protocol", "catalog", "pool", "price", "tokens", "transport", "telemetry"]),
    ("pipeline", &["callers", "domain", "protocol", "pool", "route", "store", "telemetry"]),
    // The generated code is built with the edge's own codec; nothing else of it is known there.
    ("proto", &["edge"]),
    (
        "edge",
        &["callers", "count", "domain", "protocol", "pool", "route", "pipeline", "store", "telemetry", "tls", "proto"],
    ),
    (
        "config",
        &[
            "callers",
            "domain",
            "protocol",
            "credentials",
            "pool",
            "route",
            "pipeline",
            "store",
            "telemetry",
            "tls",
            "catalog",
            "simulator",
            "price",
            "regular",
        ],
    ),
    ("app", ALL),
    ("cli", ALL),
    ("main", &["app", "cli", "config", "domain", "telemetry"]),
    ("lib", &[]),
];

/// The parts that stand above everything.
const ALL: &[&str] = &[
    "app",
    "aside",
    "callers",
    "catalog",
    "cli",
    "config",
    "count",
    "credentials",
    "domain",
    "edge",
    "pipeline",
    "pool",
    "price",
    "proto",
    "protocol",
    "regular",
    "route",
    "simulator",
    "store",
    "telemetry",
    "tls",
    "tokens",
    "transport",
];

/// Names from outside that only these places may use.
const KEPT_TO: &[(&str, &[&str])] = &[
    ("hyper_util::client", &["transport/"]),
    ("hyper::client", &["transport/"]),
    // The way to a collector is no upstream's: its exporter is lent a client of its own.
    ("reqwest", &["transport/", "telemetry/exporter", "callers/issuers/fetch"]),
    ("tonic::Status", &["edge/grpc/", "cli/", "cli."]),
    ("tonic::Code", &["edge/grpc/", "cli/", "cli."]),
    ("ratatui", &["cli/pool/", "cli/top/", "cli/watch/"]),
    // Signatures of tokens.
    ("jsonwebtoken", &["callers/issuers/"]),
    ("redb", &["store/usage/"]),
    ("redis", &["store/"]),
    ("bpe", &["tokens/"]),
    ("opentelemetry", &["telemetry/"]),
    ("opentelemetry_sdk", &["telemetry/"]),
    ("opentelemetry_otlp", &["telemetry/"]),
];

/// What pure code may not touch: I/O, clocks and dice.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "tokio",
    "rand",
    "hyper",
    "hyper_util",
    "reqwest",
    "tonic",
    "prost",
    "tracing",
    "std::time::Instant",
    "SystemTime::now",
    "Instant::now",
    "Uuid::now_v7",
];

fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn foreign_uses(source: &Source) -> Vec<String> {
    let top = source.top();
    let Some((_, allowed)) = MAY_USE.iter().find(|(part, _)| *part == top) else {
        return vec![format!("{top} is a part of which nothing says whom it may use")];
    };
    let parts: BTreeSet<&str> =
        source.uses.iter().filter_map(|path| path.strip_prefix("crate::")?.split("::").next()).collect();
    let known = |part: &str| MAY_USE.iter().any(|(known, _)| *known == part);
    parts
        .into_iter()
        .filter(|part| known(part) && *part != top && !allowed.contains(part))
        .map(|part| format!("{top} uses {part}"))
        .collect()
}

fn stray_uses(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in &source.uses {
        for (name, places) in KEPT_TO {
            if begins(path, name) && !places.iter().any(|place| source.path.starts_with(place)) {
                complaints.push(format!("uses {path}"));
            }
        }
    }
    complaints
}

fn impurities(source: &Source) -> Vec<String> {
    if !matches!(source.top(), "domain" | "protocol") {
        return Vec::new();
    }
    let touches = |path: &&String| IMPURE.iter().any(|name| begins(path, name) || path.ends_with(&format!("::{name}")));
    source.uses.iter().filter(touches).map(|path| format!("touches {path}")).collect()
}

fn shape(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    if !source.text.starts_with("//!") {
        complaints.push("does not begin with what it is for".to_owned());
    }
    let lines = source.without_tests().lines().count();
    if lines > 500 {
        complaints.push(format!("has {lines} lines"));
    }
    for (name, lines) in source.functions() {
        if lines > 60 {
            complaints.push(format!("{name} has {lines} lines"));
        }
    }
    for part in source.path.trim_end_matches(".rs").split('/').flat_map(|part| part.split('_')) {
        let vague = ["helper", "helpers", "util", "utils", "common", "manager", "handler", "misc", "info", "data"];
        if vague.contains(&part) {
            complaints.push(format!("is called {part}"));
        }
    }
    complaints.extend(source.flags.iter().map(|name| format!("{name} is public and takes a bool")));
    complaints
}

fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    let complaints: Vec<String> = sources()
        .iter()
        .flat_map(|source| rule(source).into_iter().map(|complaint| format!("src/{}: {complaint}", source.path)))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn complains(rule: impl Fn(&Source) -> Vec<String>, path: &str, text: &str, about: &str) {
    let complaints = rule(&Source::read(path, text));
    assert!(complaints.iter().any(|it| it.contains(about)), "{text}: {complaints:?} should be about {about:?}");
}

fn is_content_with(rule: impl Fn(&Source) -> Vec<String>, path: &str, text: &str) {
    let complaints = rule(&Source::read(path, text));
    assert!(complaints.is_empty(), "{text}: {complaints:?}");
}

#[test]
fn each_part_uses_only_whom_it_may() {
    hold(foreign_uses);
}

#[test]
fn each_part_uses_only_whom_it_may_is_a_rule_that_can_fail() {
    complains(foreign_uses, "domain/x.rs", "use crate::pool::Endpoint;", "domain uses pool");
    complains(foreign_uses, "domain/x.rs", "fn f() { super::super::pool::f() }", "domain uses pool");
    complains(
        foreign_uses,
        "transport/x.rs",
        "use crate::{domain::Error, protocol::Frame};",
        "transport uses protocol",
    );
    complains(foreign_uses, "route/x.rs", "fn f() { println!(\"{}\", crate::config::f()) }", "route uses config");
    complains(foreign_uses, "pool/x.rs", "use crate::proto::Usage;", "pool uses proto");
    complains(foreign_uses, "novelty/x.rs", "", "novelty");
    is_content_with(
        foreign_uses,
        "pool/x.rs",
        "use crate::domain::Error; #[cfg(test)] mod tests { use crate::app::X; }",
    );
}

#[test]
fn the_parts_form_no_circle() {
    let mut left: BTreeMap<&str, BTreeSet<&str>> = MAY_USE
        .iter()
        .filter(|(part, _)| !matches!(*part, "app" | "cli" | "proto"))
        .map(|(part, uses)| (*part, uses.iter().copied().filter(|used| *used != "proto").collect()))
        .collect();
    while !left.is_empty() {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, uses)| uses.is_disjoint(&left.keys().copied().collect()))
            .map(|(part, _)| *part)
            .collect();
        assert!(!free.is_empty(), "a circle among {:?}", left.keys());
        left.retain(|part, _| !free.contains(part));
    }
}

#[test]
fn clients_statuses_and_spans_stay_in_their_places() {
    hold(stray_uses);
}

#[test]
fn clients_statuses_and_spans_stay_in_their_places_is_a_rule_that_can_fail() {
    complains(stray_uses, "pool/x.rs", "use hyper_util::client::legacy::Client;", "hyper_util::client");
    complains(stray_uses, "edge/x.rs", "fn f() -> tonic::Status { todo() }", "tonic::Status");
    complains(stray_uses, "pipeline/x.rs", "use tonic::{Code, Request};", "tonic::Code");
    complains(stray_uses, "pool/x.rs", "use opentelemetry::KeyValue;", "opentelemetry");
    is_content_with(stray_uses, "transport/x.rs", "use hyper_util::client::legacy::Client; use reqwest::Proxy;");
}

#[test]
fn domain_and_protocols_are_pure() {
    hold(impurities);
}

#[test]
fn domain_and_protocols_are_pure_is_a_rule_that_can_fail() {
    complains(impurities, "protocol/x.rs", "fn f() { std::time::SystemTime::now(); }", "SystemTime::now");
    complains(
        impurities,
        "protocol/x.rs",
        "use std::time::SystemTime; fn f() { SystemTime::now(); }",
        "SystemTime::now",
    );
    complains(impurities, "domain/x.rs", "use tokio::sync::Mutex;", "tokio");
    complains(impurities, "domain/x.rs", "fn f() { rand::random() }", "rand");
    is_content_with(impurities, "pool/x.rs", "use tokio::time::Instant;");
}

#[test]
fn files_and_functions_are_small_and_named_for_what_they_do() {
    hold(shape);
}

#[test]
fn files_and_functions_are_small_and_named_for_what_they_do_is_a_rule_that_can_fail() {
    let long = format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(59));
    complains(shape, "pool/x.rs", &long, "f has 61 lines");
    let method = format!(
        "//! x\nimpl A {{\n    pub async fn f(\n        a: u8,\n    ) {{\n{}    }}\n}}\n",
        "        g();\n".repeat(60)
    );
    complains(shape, "pool/x.rs", &method, "f has 64 lines");
    complains(shape, "pool/x.rs", &format!("//! x\n{}", "const A: u8 = 1;\n".repeat(500)), "501 lines");
    complains(shape, "pool/x.rs", "use a::b;", "does not begin");
    complains(shape, "pool/http_utils.rs", "//! x", "utils");
    complains(shape, "pool/common/mod.rs", "//! x", "common");
    complains(shape, "pool/x.rs", "//! x\npub fn f(loud: bool) {}\n", "takes a bool");
    complains(shape, "pool/x.rs", "//! x\nimpl A {\n    pub fn f(&self, loud: bool) {}\n}\n", "takes a bool");
    let tested =
        format!("//! x\nfn f() {{}}\n\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    const A: u8 = 1;\n".repeat(600));
    is_content_with(shape, "pool/x.rs", &tested);
}
