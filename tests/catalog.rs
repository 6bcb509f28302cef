//! The table of models: whole, unambiguous, and right where it was checked by hand.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

use std::collections::BTreeSet;

use completiond::catalog::{self, Lifecycle};
use completiond::domain::{ModelId, PicoUsd, Tokens, Vendor};
use completiond::price::Prices;
use serde_json::Value;

fn rows() -> Vec<Value> {
    let table: Value = serde_json::from_str(catalog::TABLE).unwrap();
    table["models"].as_array().unwrap().clone()
}

#[test]
fn every_row_is_read_and_found_by_its_id_and_its_aliases() {
    let rows = rows();
    assert!(rows.len() > 100, "{}", rows.len());
    for row in &rows {
        let (vendor, id) = (row["vendor"].as_str().unwrap(), row["id"].as_str().unwrap());
        let model = catalog::find(vendor, id).unwrap_or_else(|| panic!("{vendor}/{id} is not found"));
        assert_eq!((model.vendor.as_str(), model.id.as_str()), (vendor, id));
        for alias in row["aliases"].as_array().into_iter().flatten() {
            let by_alias = catalog::find(vendor, alias.as_str().unwrap()).unwrap();
            assert_eq!(by_alias.id, id, "{alias}");
        }
    }
    let vendors: BTreeSet<_> = rows.iter().map(|row| row["vendor"].as_str().unwrap()).collect();
    assert_eq!(vendors.iter().map(|vendor| catalog::models(vendor).count()).sum::<usize>(), rows.len());
}

#[test]
fn no_name_stands_for_two_models_of_a_vendor() {
    let mut names = BTreeSet::new();
    for row in rows() {
        let own = [row["id"].clone()];
        for name in own.iter().chain(row["aliases"].as_array().into_iter().flatten()) {
            assert!(names.insert((row["vendor"].to_string(), name.to_string())), "{} {name}", row["vendor"]);
        }
    }
}

#[test]
fn prices_are_what_the_vendors_publish() {
    // US dollars per million tokens: input, output, read from the cache.
    for (vendor, model, input, output, cache_read) in [
        ("anthropic", "claude-opus-5-5", "4", "20", "0.2"),
        ("anthropic", "claude-sonnet-5-5", "2", "10", "0.1"),
        ("anthropic", "claude-3-5-haiku-latest", "0.8", "4", "0.08"),
        ("openai", "gpt-4o-2024-08-06", "2.5", "10", "1.25"),
        ("openai", "gpt-4o-mini", "0.15", "0.6", "0.075"),
        ("groq", "openai/gpt-oss-120b", "0.15", "0.6", "0.075"),
    ] {
        let tariff = Prices::built_in().tariff(&Vendor::new(vendor), &ModelId::new(model));
        let price = tariff.unwrap_or_else(|| panic!("{vendor}/{model} is not found")).listed();
        let per_million = |usd: &str| PicoUsd::parse_usd(usd).map(|usd| PicoUsd::new(usd.get() / 1_000_000));
        assert_eq!(price.input, per_million(input), "{model}");
        assert_eq!(price.output, per_million(output), "{model}");
        assert_eq!(price.cache_read, per_million(cache_read), "{model}");
    }
}

#[test]
fn every_model_that_is_known_has_a_price_and_the_same_names() {
    for row in rows() {
        let (vendor, id) = (row["vendor"].as_str().unwrap(), row["id"].as_str().unwrap());
        for name in catalog::find(vendor, id).unwrap().aliases.iter().map(String::as_str).chain([id]) {
            let entry = Prices::built_in().entry(&Vendor::new(vendor), &ModelId::new(name)).cloned();
            assert_eq!(entry.map(|entry| entry.row.id.clone()).as_deref(), Some(id), "{vendor}/{name}");
        }
    }
}

#[test]
fn what_models_can_do_and_insist_on() {
    let opus = catalog::facts("anthropic", "claude-opus-5-5").unwrap();
    assert_eq!(opus.context_window, Some(Tokens::new(1_000_000)));
    assert_eq!(opus.max_output, Some(Tokens::new(128_000)));
    assert_eq!(opus.constraints.sampling, Some(false));
    assert_eq!(opus.constraints.prefill, Some(false));
    assert_eq!(opus.constraints.forced_tool_choice, Some(false));
    assert_eq!(opus.constraints.reasoning_always_on, Some(true));
    assert_eq!(opus.capabilities.images, Some(true));
    let older = catalog::facts("anthropic", "claude-haiku-4-5").unwrap();
    assert_eq!(older.constraints.prefill, Some(true));
    assert_eq!(older.constraints.forced_tool_choice, None, "not known is not refused");
    let retired = catalog::find("anthropic", "claude-3-5-haiku-20241022").unwrap();
    assert_eq!(retired.lifecycle, Lifecycle::Retired);
    assert_eq!(retired.deprecation_date.as_deref(), Some("2026-02-19"));
}

#[test]
fn a_model_of_another_protocol_says_which() {
    let codex = catalog::facts("openai", "gpt-5.3-codex").unwrap();
    assert_eq!(codex.other_protocol.as_deref(), Some("openai responses"));
    assert_eq!(catalog::facts("openai", "gpt-4o").unwrap().other_protocol, None);
}

#[test]
fn nothing_is_guessed() {
    for (vendor, model) in [
        ("azure", "gpt-4o"),
        ("openrouter", "anthropic/claude-opus-5.5"),
        ("openai", "claude-opus-5-5"),
        ("openai", "gpt-4o-1999-01-01"),
        ("openai", "GPT-4o"),
        ("openai", ""),
        ("", "gpt-4o"),
        ("openai", "text-embedding-3-large"),
    ] {
        assert_eq!(catalog::facts(vendor, model), None, "{vendor}/{model}");
    }
}

#[test]
fn the_table_says_of_when_it_is() {
    assert_eq!(catalog::date().len(), "2026-01-01".len());
}
