//! What calls cost: recorded usage blocks of each protocol, read by their decoders, beside the cost as it was worked out
//! by hand; and what holds for every price.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test says what it expects; tables are long"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use completiond::domain::{
    Block, CostSource, Identity, Message, Modality, ModelId, PicoUsd, ProviderId, Request, Role, Terms, Tokens, Usage,
    UsageItem, UsageKind, UsageSource, Vendor,
};
use completiond::price::{Change, Difference, File, Price, Prices, Rates, TABLE, Tariff};
use completiond::protocol::{Delivery, Order, vendor};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a usage block means, by the decoder of the vendor's protocol.
fn read(vendor: &str, model: &str, usage: &Value) -> Usage {
    let preset = vendor::preset(vendor).unwrap();
    let protocol = (preset.protocol)();
    let message = Message { role: Role::User, content: vec![Block::text("Hello?")], state: None };
    let request = Request { messages: vec![message], ..Request::default() };
    let identity = Identity::new(ProviderId::new("p"), Vendor::new(vendor), ModelId::new(model));
    let max_tokens = Tokens::new(2048);
    let order = Order {
        request: &request,
        identity: &identity,
        facts: None,
        delivery: Delivery::Whole,
        max_tokens,
        prompt_cache: request.prompt_cache,
    };
    let mut decoder = protocol.encode(&order).unwrap_or_else(|unfit| panic!("{unfit:?}")).decoder;
    let body = if protocol.name() == "anthropic" {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "Hi."}], "usage": usage})
    } else {
        json!({"id": "c-1", "object": "chat.completion", "model": model, "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}]})
    };
    decoder.whole(body.to_string().as_bytes(), &mut Vec::new()).unwrap();
    decoder.usage()
}

fn tariff(vendor: &str, model: &str) -> Option<Tariff> {
    Prices::built_in().tariff(&Vendor::new(vendor), &ModelId::new(model))
}

fn on(service_tier: &str, surcharges: &[&'static str]) -> Terms {
    Terms { service_tier: service_tier.to_owned(), surcharges: surcharges.to_vec() }
}

/// Monday 2026-11-23, at this hour and minute, UTC.
fn monday(hour: u64, minute: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_392_000 + hour * 3600 + minute * 60)
}

fn cost(vendor: &str, model: &str, usage: &Value, terms: &Terms, at: SystemTime) -> Option<i64> {
    let cost = tariff(vendor, model)?.cost(&read(vendor, model, usage), terms, at)?;
    assert_eq!(cost.source, CostSource::Table(completiond::domain::PriceVersion::new("2026-11-23")));
    Some(cost.amount.get())
}

#[test]
fn numbers_that_cannot_be_true_are_never_told_as_the_providers() {
    let sure = |vendor, usage| {
        let usage = read(vendor, "m", &usage);
        (usage.source, usage.input().get(), usage.output().get())
    };
    for (input, output) in [(json!(-5), json!(-9)), (json!({}), json!([1])), (json!("many"), json!("few"))] {
        let nothing = (UsageSource::None, 0, 0);
        let openai = json!({"prompt_tokens": input.clone(), "completion_tokens": output.clone()});
        assert_eq!(sure("openai", openai), nothing);
        assert_eq!(sure("anthropic", json!({"input_tokens": input, "output_tokens": output})), nothing);
    }
    let half = json!({"prompt_tokens": -5, "completion_tokens": 9});
    assert_eq!(sure("openai", half), (UsageSource::Partial, 0, 9));
    assert_eq!(sure("anthropic", json!({"input_tokens": 5, "output_tokens": -9})), (UsageSource::Partial, 5, 0));
    for unreadable in [json!([1, 2]), json!({"input_tokens": 12.5}), json!({"input_tokens": 1, "service_tier": 5})] {
        assert_eq!(sure("anthropic", unreadable), (UsageSource::None, 0, 0), "the answer is read all the same");
    }
    let calls = |calls: Value| json!({"input_tokens": 5, "output_tokens": 7, "server_tool_use": calls});
    assert_eq!(sure("anthropic", calls(json!({"new": {"requests": 1}}))), (UsageSource::Provider, 5, 7));
    let many: Value = (0..1000).map(|tool| (format!("t{tool}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    for endless in [many, json!({"x".repeat(100_000): 1})] {
        assert_eq!(sure("anthropic", calls(endless)), (UsageSource::None, 0, 0));
    }
}

#[test]
fn messages_cost_what_was_worked_out_by_hand() {
    let plain = on("standard", &[]);
    // Prices are pico-dollars per token: 3 USD per million tokens is 3,000,000.
    let cases: &[(&str, &str, Value, &Terms, Option<i64>)] = &[
        (
            "the seed: 3 and 15 USD",
            "claude-sonnet-4-20250514",
            json!({"input_tokens": 1000, "output_tokens": 500}),
            &plain,
            // 1,000 x 3,000,000 + 500 x 15,000,000 = 3,000,000,000 + 7,500,000,000
            Some(10_500_000_000),
        ),
        (
            "the seed by its other name: 15 and 75 USD",
            "claude-opus-4-0",
            json!({"input_tokens": 1000, "output_tokens": 500}),
            &plain,
            // 1,000 x 15,000,000 + 500 x 75,000,000 = 15,000,000,000 + 37,500,000,000
            Some(52_500_000_000),
        ),
        (
            "the seed: 0.80 and 4 USD",
            "claude-3-5-haiku-20241022",
            json!({"input_tokens": 1000, "output_tokens": 500}),
            &plain,
            // 1,000 x 800,000 + 500 x 4,000,000 = 800,000,000 + 2,000,000,000
            Some(2_800_000_000),
        ),
        (
            "reads, and writes of both lifetimes; input excludes them",
            "claude-sonnet-5-5",
            json!({"input_tokens": 21, "cache_read_input_tokens": 18432, "cache_creation_input_tokens": 2048,
                "cache_creation": {"ephemeral_5m_input_tokens": 1024, "ephemeral_1h_input_tokens": 1024},
                "output_tokens": 300, "output_tokens_details": {"thinking_tokens": 200}}),
            &plain,
            // 21 x 2,000,000 + 18,432 x 100,000 + 1,024 x 2,500,000 + 1,024 x 4,000,000 + 300 x 10,000,000
            // = 42,000,000 + 1,843,200,000 + 2,560,000,000 + 4,096,000,000 + 3,000,000,000
            Some(11_541_200_000),
        ),
        (
            "a write whose lifetime is not told lives 5 minutes",
            "claude-sonnet-5-5",
            json!({"input_tokens": 10, "cache_creation_input_tokens": 1000, "output_tokens": 10}),
            &plain,
            // 10 x 2,000,000 + 1,000 x 2,500,000 + 10 x 10,000,000 = 20,000,000 + 2,500,000,000 + 100,000,000
            Some(2_620_000_000),
        ),
        (
            "200,000 tokens are not above the bound",
            "claude-sonnet-4-20250514",
            json!({"input_tokens": 100_000, "cache_read_input_tokens": 100_000, "output_tokens": 10}),
            &plain,
            // 100,000 x 3,000,000 + 100,000 x 300,000 + 10 x 15,000,000 = 300,000,000,000 + 30,000,000,000 + 150,000,000
            Some(330_150_000_000),
        ),
        (
            "one more is, with all that the cache had to do with, and the answer too",
            "claude-sonnet-4-20250514",
            json!({"input_tokens": 100_000, "cache_read_input_tokens": 100_001, "output_tokens": 10}),
            &plain,
            // 100,000 x 6,000,000 + 100,001 x 600,000 + 10 x 22,500,000
            // = 600,000,000,000 + 60,000,600,000 + 225,000,000
            Some(660_225_600_000),
        ),
        (
            "a long prompt in a batch: the long price by the ratio of batch to standard",
            "claude-haiku-5-5",
            json!({"input_tokens": 100_001, "output_tokens": 100}),
            &on("batch", &[]),
            // 500,000 x 50,000 / 100,000 = 250,000; 2,500,000 x 250,000 / 500,000 = 1,250,000
            // 100,001 x 250,000 + 100 x 1,250,000 = 25,000,250,000 + 125,000,000
            Some(25_125_250_000),
        ),
        (
            "searches are paid by the call, fetches are free",
            "claude-sonnet-5-5",
            json!({"input_tokens": 100, "output_tokens": 10,
                "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2}}),
            &plain,
            // 100 x 2,000,000 + 10 x 10,000,000 + 3 x 10,000,000,000 + 2 x 0
            Some(30_300_000_000),
        ),
        (
            "a tool of which no price is known",
            "claude-sonnet-5-5",
            json!({"input_tokens": 100, "output_tokens": 10, "server_tool_use": {"code_execution_requests": 1}}),
            &plain,
            None,
        ),
        (
            "an advisor's work is billed for its own model, which must not raise the prompt's tier",
            "claude-haiku-5-5",
            json!({"input_tokens": 90_000, "output_tokens": 100, "iterations": [
                {"type": "message", "input_tokens": 90_000, "output_tokens": 100},
                {"type": "advisor_message", "model": "claude-opus-4-1-20250805", "input_tokens": 20_000, "output_tokens": 50}]}),
            &plain,
            // 90,000 x 100,000 + 100 x 500,000 = 9,050,000,000
            // 20,000 x 15,000,000 + 50 x 75,000,000 = 303,750,000,000
            Some(312_800_000_000),
        ),
        (
            "work for a model that nobody knows",
            "claude-haiku-5-5",
            json!({"input_tokens": 9, "output_tokens": 1, "iterations": [
                {"type": "advisor_message", "model": "claude-unheard-of", "input_tokens": 2, "output_tokens": 5}]}),
            &plain,
            None,
        ),
        (
            "a region's surcharge",
            "claude-sonnet-5-5",
            json!({"input_tokens": 1000, "cache_read_input_tokens": 1000, "output_tokens": 100}),
            &on("standard", &["us"]),
            // 1.1 x: 1,000 x 2,200,000 + 1,000 x 110,000 + 100 x 11,000,000
            Some(3_410_000_000),
        ),
        (
            "a region's and a speed's",
            "claude-opus-4-8",
            json!({"input_tokens": 1000, "output_tokens": 100}),
            &on("standard", &["fast", "us"]),
            // 2 x 1.1 x: 1,000 x 11,000,000 + 100 x 55,000,000
            Some(16_500_000_000),
        ),
        (
            "a surcharge of which the model's row knows nothing",
            "claude-3-5-haiku-20241022",
            json!({"input_tokens": 1000, "output_tokens": 100}),
            &on("standard", &["us"]),
            None,
        ),
        (
            "a tier that was bought beforehand",
            "claude-sonnet-5-5",
            json!({"input_tokens": 1000, "output_tokens": 100}),
            &on("priority", &[]),
            None,
        ),
    ];
    for (what, model, usage, terms, expected) in cases {
        assert_eq!(cost("anthropic", model, usage, terms, monday(12, 0)), *expected, "{what}");
    }
}

#[test]
fn chat_completions_cost_what_was_worked_out_by_hand() {
    let plain = on("default", &[]);
    let details = |prompt: u32, cached: u32, written: u32, output: u32, reasoning: u32| {
        json!({"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": reasoning}})
    };
    type Case<'a> = (&'a str, &'a str, &'a str, Value, Terms, SystemTime, Option<i64>);
    let cases: &[Case<'_>] = &[
        (
            "the prompt's sum includes what was cached, the answer's its reasoning",
            "openai",
            "gpt-4o-2024-08-06",
            details(2019, 1920, 0, 300, 256),
            plain.clone(),
            monday(0, 0),
            // 99 x 2,500,000 + 1,920 x 1,250,000 + 44 x 10,000,000 + 256 x 10,000,000
            // = 247,500,000 + 2,400,000,000 + 3,000,000,000
            Some(5_647_500_000),
        ),
        (
            "a write to the cache lives 30 minutes where nothing is told",
            "openai",
            "gpt-6.2-sol",
            details(3000, 1000, 500, 100, 0),
            plain.clone(),
            monday(0, 0),
            // 1,500 x 2,000,000 + 1,000 x 100,000 + 500 x 2,500,000 + 100 x 10,000,000
            // = 3,000,000,000 + 100,000,000 + 1,250,000,000 + 1,000,000,000
            Some(5_350_000_000),
        ),
        (
            "a prediction that did not hold is paid as the answer",
            "openai",
            "gpt-4o-2024-08-06",
            json!({"prompt_tokens": 100, "completion_tokens": 90, "total_tokens": 190,
                "completion_tokens_details": {"accepted_prediction_tokens": 30, "rejected_prediction_tokens": 40}}),
            plain.clone(),
            monday(0, 0),
            // 100 x 2,500,000 + 50 x 10,000,000 + 40 x 10,000,000 = 250,000,000 + 900,000,000
            Some(1_150_000_000),
        ),
        (
            "sound has prices of its own",
            "openai",
            "gpt-audio-1.5",
            json!({"prompt_tokens": 120, "completion_tokens": 80, "total_tokens": 200,
                "prompt_tokens_details": {"audio_tokens": 100, "text_tokens": 20},
                "completion_tokens_details": {"audio_tokens": 60, "text_tokens": 20}}),
            plain.clone(),
            monday(0, 0),
            // 20 x 2,500,000 + 100 x 32,000,000 + 20 x 10,000,000 + 60 x 64,000,000
            // = 50,000,000 + 3,200,000,000 + 200,000,000 + 3,840,000,000
            Some(7_290_000_000),
        ),
        (
            "sound without one has none",
            "openai",
            "gpt-4o-2024-08-06",
            json!({"prompt_tokens": 120, "completion_tokens": 80, "prompt_tokens_details": {"audio_tokens": 100}}),
            plain.clone(),
            monday(0, 0),
            None,
        ),
        (
            "images are paid as text",
            "openai",
            "gpt-4o-2024-08-06",
            json!({"prompt_tokens": 120, "completion_tokens": 10,
                "prompt_tokens_details": {"image_tokens": 100, "text_tokens": 20}}),
            plain.clone(),
            monday(0, 0),
            // 20 x 2,500,000 + 100 x 2,500,000 + 10 x 10,000,000 = 300,000,000 + 100,000,000
            Some(400_000_000),
        ),
        (
            "a tier that is faster",
            "openai",
            "gpt-6.2-sol",
            details(1000, 200, 100, 100, 50),
            on("priority", &[]),
            monday(0, 0),
            // 700 x 4,000,000 + 200 x 200,000 + 100 x 5,000,000 + 100 x 20,000,000
            // = 2,800,000,000 + 40,000,000 + 500,000,000 + 2,000,000,000
            Some(5_340_000_000),
        ),
        (
            "a tier that waits",
            "openai",
            "gpt-6.2-sol",
            details(1000, 200, 0, 100, 50),
            on("flex", &[]),
            monday(0, 0),
            // 800 x 1,000,000 + 200 x 50,000 + 100 x 5,000,000 = 800,000,000 + 10,000,000 + 500,000,000
            Some(1_310_000_000),
        ),
        (
            "the fastest tier",
            "openai",
            "gpt-6.2-sol",
            details(1000, 0, 0, 100, 0),
            on("ultrafast", &[]),
            monday(0, 0),
            // 1,000 x 6,000,000 + 100 x 30,000,000
            Some(9_000_000_000),
        ),
        (
            "a long prompt in a faster tier",
            "openai",
            "gpt-6.2-sol",
            details(272_001, 1, 0, 100, 0),
            on("priority", &[]),
            monday(0, 0),
            // 4,000,000 x 4/2 = 8,000,000; 200,000 x 200/100 = 400,000; 15,000,000 x 20/10 = 30,000,000
            // 272,000 x 8,000,000 + 400,000 + 100 x 30,000,000 = 2,176,000,000,000 + 400,000 + 3,000,000,000
            Some(2_179_000_400_000),
        ),
        (
            "a long prompt in a region",
            "openai",
            "gpt-6-sol",
            details(272_001, 0, 0, 100, 0),
            on("default", &["regional_eu"]),
            monday(0, 0),
            // 272,001 x 4,400,000 + 100 x 16,500,000 = 1,196,804,400,000 + 1,650,000,000
            Some(1_198_454_400_000),
        ),
        (
            "a tier of which nothing is known",
            "openai",
            "gpt-6.2-sol",
            details(10, 0, 0, 1, 0),
            on("scale", &[]),
            monday(0, 0),
            None,
        ),
        (
            "above 200,000 tokens with another vendor",
            "gemini",
            "gemini-2.5-pro",
            details(200_001, 0, 0, 100, 0),
            on("", &[]),
            monday(0, 0),
            // 200,001 x 2,500,000 + 100 x 15,000,000 = 500,002,500,000 + 1,500,000,000
            Some(501_502_500_000),
        ),
        (
            "reasoning that the sum leaves out",
            "gemini",
            "gemini-2.5-flash",
            json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 150,
                "completion_tokens_details": {"reasoning_tokens": 30}}),
            on("", &[]),
            monday(0, 0),
            // 100 x 300,000 + 20 x 2,500,000 + 30 x 2,500,000 = 30,000,000 + 125,000,000
            Some(155_000_000),
        ),
        (
            "hits and misses of another vendor, at a dear hour",
            "deepseek",
            "deepseek-v4-pro",
            json!({"prompt_tokens": 1000, "completion_tokens": 100, "prompt_cache_hit_tokens": 400,
                "prompt_cache_miss_tokens": 600}),
            on("", &[]),
            monday(3, 59),
            // 600 x 1,320,000 + 400 x 44,000 + 100 x 3,960,000 = 792,000,000 + 17,600,000 + 396,000,000
            Some(1_205_600_000),
        ),
        (
            "and at a quiet one",
            "deepseek",
            "deepseek-v4-pro",
            json!({"prompt_tokens": 1000, "completion_tokens": 100, "prompt_cache_hit_tokens": 400,
                "prompt_cache_miss_tokens": 600}),
            on("", &[]),
            monday(4, 0),
            // 600 x 660,000 + 400 x 22,000 + 100 x 1,980,000 = 396,000,000 + 8,800,000 + 198,000,000
            Some(602_800_000),
        ),
        (
            "a cached token where the row has no price for one",
            "openai",
            "gpt-4-turbo",
            details(100, 50, 0, 10, 0),
            plain,
            monday(0, 0),
            None,
        ),
        (
            "searches of which only sources are told",
            "xai",
            "grok-4.5",
            json!({"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20, "num_sources_used": 4}),
            on("", &[]),
            monday(0, 0),
            None,
        ),
    ];
    for (what, vendor, model, usage, terms, at, expected) in cases {
        assert_eq!(cost(vendor, model, usage, terms, *at), *expected, "{what}");
    }
}

#[test]
fn a_write_of_every_lifetime_has_its_price() {
    let write = |ttl: Option<u64>| {
        let cache_ttl = ttl.map(Duration::from_secs);
        Usage::reported([UsageItem { cache_ttl, ..UsageItem::tokens(UsageKind::CacheWrite, Tokens::new(1000)) }])
    };
    let (minute, hour) = (60, 3600);
    for (vendor, model, ttl, expected) in [
        // 1,000 tokens at 2.5, 4 and 2.5 USD per million
        ("anthropic", "claude-sonnet-5-5", Some(5 * minute), Some(2_500_000_000)),
        ("anthropic", "claude-sonnet-5-5", Some(hour), Some(4_000_000_000)),
        ("anthropic", "claude-sonnet-5-5", None, Some(2_500_000_000)),
        ("anthropic", "claude-sonnet-5-5", Some(12 * hour), None),
        // 1,000 tokens at 2.5 and 5 USD per million
        ("openai", "gpt-6.2-sol", Some(30 * minute), Some(2_500_000_000)),
        ("openai", "gpt-6.2-sol", Some(12 * hour), Some(5_000_000_000)),
        ("openai", "gpt-6.2-sol", None, Some(2_500_000_000)),
        ("openai", "gpt-6.2-sol", Some(5 * minute), None),
        // One price for all writes: 3.125 USD per million
        ("dashscope", "qwen3.7-max", Some(5 * minute), Some(3_125_000_000)),
        ("dashscope", "qwen3.7-max", None, Some(3_125_000_000)),
        // 0 is a price, null is none.
        ("deepseek", "deepseek-v4-pro", None, Some(0)),
        ("groq", "openai/gpt-oss-120b", None, None),
    ] {
        let cost = tariff(vendor, model).unwrap().cost(&write(ttl), &Terms::default(), monday(3, 0));
        assert_eq!(cost.map(|cost| cost.amount.get()), expected, "{vendor}/{model} {ttl:?}");
    }
}

#[test]
fn nothing_has_a_price_that_is_not_its_own() {
    for (vendor, model) in [
        ("azure", "gpt-4o"),
        ("openrouter", "anthropic/claude-opus-5.5"),
        ("openai", "claude-opus-5-5"),
        ("openai", "gpt-4o-1999-01-01"),
        ("", ""),
    ] {
        assert!(tariff(vendor, model).is_none(), "{vendor}/{model}");
    }
    // What was used is not known, so what it cost is not either; what was nothing cost nothing.
    let tariff = tariff("openai", "gpt-4o").unwrap();
    assert_eq!(tariff.cost(&Usage::default(), &Terms::default(), monday(0, 0)), None);
    let nothing = tariff.cost(&Usage::reported([]), &Terms::default(), monday(0, 0));
    assert_eq!(nothing.unwrap().amount, PicoUsd::new(0));
}

#[test]
fn an_estimate_is_told_as_one() {
    let mut item = UsageItem::tokens(UsageKind::Output, Tokens::new(2));
    item.estimated = true;
    let cost = tariff("openai", "gpt-4o").unwrap().cost(&Usage::reported([item]), &Terms::default(), monday(0, 0));
    assert!(cost.unwrap().estimated);
}

fn configured(standard: Rates) -> Tariff {
    Tariff::set(Price { standard, ..Price::default() }, Vendor::new("anthropic"), Prices::built_in())
}

#[test]
fn a_configured_price_holds_on_all_terms() {
    let pico = |rate| Some(PicoUsd::new(rate));
    let tariff = configured(Rates { input: pico(100), output: pico(1000), ..Rates::default() });
    let tokens = |kind, count| UsageItem::tokens(kind, Tokens::new(count));
    let mut other = tokens(UsageKind::Output, 1);
    other.model = Some(ModelId::new("claude-sonnet-5-5"));
    let usage = Usage::reported([
        tokens(UsageKind::Input, 300_000),
        // A cache price that is left out is that of input.
        tokens(UsageKind::CacheRead, 10),
        UsageItem { cache_ttl: Some(Duration::from_secs(3600)), ..tokens(UsageKind::CacheWrite, 5) },
        tokens(UsageKind::Reasoning, 7),
        UsageItem::calls("web_search", 1),
        other,
    ]);
    let cost = tariff.cost(&usage, &on("standard", &[]), monday(0, 0)).unwrap();
    // 300,000 x 100 + 10 x 100 + 5 x 100 + 7 x 1,000 + 10,000,000,000 + 10,000,000
    assert_eq!((cost.amount.get(), cost.source), (10_040_008_500, CostSource::Config));
    assert_eq!(tariff.at_most(Tokens::new(10), Tokens::new(10)), pico(11_000));
    assert_eq!(tariff.listed().cache_read, pico(100));
    assert_eq!(tariff.listed().version, None);
    let sound = UsageItem { modality: Modality::Audio, ..tokens(UsageKind::Input, 1) };
    assert_eq!(tariff.cost(&Usage::reported([sound]), &Terms::default(), monday(0, 0)), None);
}

#[test]
fn the_most_takes_the_dearest_that_may_apply() {
    let most = |vendor, model, input, output, terms: &Terms, sound| {
        let sound = if sound { Modality::Audio } else { Modality::Unspecified };
        let most = tariff(vendor, model).unwrap().at_most_on(Tokens::new(input), Tokens::new(output), terms, sound);
        most.map(PicoUsd::get)
    };
    let plain = Terms::default();
    // All written for an hour, in the dearest region: 1,000 x 4,000,000 x 1.1 + 100 x 10,000,000 x 1.1
    assert_eq!(most("anthropic", "claude-sonnet-5-5", 1000, 100, &plain, false), Some(5_500_000_000));
    // Twice the price for the speed that was asked for, on top: 1,000 x 10,000,000 x 2.2 + 100 x 25,000,000 x 2.2
    assert_eq!(most("anthropic", "claude-opus-4-8", 1000, 100, &on("", &["fast"]), false), Some(27_500_000_000));
    // Above the bound: 100,001 x 1,000,000 x 1.1 + 1 x 2,500,000 x 1.1
    assert_eq!(most("anthropic", "claude-haiku-5-5", 100_001, 1, &plain, false), Some(110_003_850_000));
    // Asked for as `fast`: 1,000 x 10,000,000 + 100 x 20,000,000
    assert_eq!(most("openai", "gpt-6.2-sol", 1000, 100, &on("fast", &[]), false), Some(12_000_000_000));
    // Sound where there may be some: 10 x 32,000,000 + 10 x 64,000,000, else 10 x 2,500,000 + 10 x 10,000,000
    assert_eq!(most("openai", "gpt-audio-1.5", 10, 10, &plain, true), Some(960_000_000));
    assert_eq!(most("openai", "gpt-audio-1.5", 10, 10, &plain, false), Some(125_000_000));
    // No hour is quiet: 10 x 1,320,000 + 10 x 3,960,000
    assert_eq!(most("deepseek", "deepseek-v4-pro", 10, 10, &plain, false), Some(52_800_000));
    assert_eq!(most("openai", "gpt-6.2-sol", 10, 10, &on("scale", &[]), false), None);
    assert!(most("openai", "gpt-6.2-sol", u32::MAX, u32::MAX, &on("ultrafast", &[]), false).is_some());
}

fn file(text: &str) -> File {
    File::read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn newer() -> File {
    file(&std::fs::read_to_string("tests/prices/newer.json").unwrap())
}

#[test]
fn the_built_in_table_is_whole_and_writes_as_it_reads() {
    let table = file(TABLE);
    assert!(table.models.len() > 150);
    assert_eq!(file(&table.text().unwrap()), table);
    for row in &table.models {
        let name = format!("{}/{}", row.vendor, row.id);
        assert!(!row.source.is_empty() && row.date.len() == "2026-11-23".len(), "{name}: where from, and when");
        assert!(row.price.standard.input.is_some(), "{name}");
        for alias in row.names() {
            let found = Prices::built_in().entry(&Vendor::new(row.vendor.as_str()), &ModelId::new(alias)).cloned();
            assert_eq!(found.map(|entry| entry.row.id.clone()), Some(row.id.clone()), "{name} by {alias}");
        }
    }
}

#[test]
fn a_file_over_the_table_has_its_own_version_and_its_whole_price() {
    let prices = Arc::new(Prices::built_in().with(&newer()));
    let tariff = |vendor: &str, model: &str| prices.tariff(&Vendor::new(vendor), &ModelId::new(model)).unwrap();
    let version = |tariff: &Tariff| tariff.listed().version.unwrap().as_str().to_owned();
    let usage =
        Usage::reported([UsageItem::tokens(UsageKind::Input, Tokens::new(2)), UsageItem::calls("web_search", 1)]);
    let cost = |tariff: &Tariff, terms: &Terms| tariff.cost(&usage, terms, monday(0, 0)).map(|cost| cost.amount.get());
    let changed = tariff("anthropic", "claude-sonnet-5-5");
    assert_eq!(version(&changed), "2027-01-05");
    // 2 x 1,500,000 + 12,000,000,000
    assert_eq!(cost(&changed, &Terms::default()), Some(12_003_000_000));
    // The file's row says nothing about batches, and the built-in one is not asked.
    assert_eq!(cost(&changed, &on("batch", &[])), None);
    let kept = tariff("anthropic", "claude-opus-5-5");
    assert_eq!(version(&kept), "2026-11-23");
    // 2 x 4,000,000 + 12,000,000,000: what holds for the vendor holds for all of its models.
    assert_eq!(cost(&kept, &Terms::default()), Some(12_008_000_000));
    assert_eq!(tariff("ollama", "llama").listed().input, Some(PicoUsd::new(0)), "0 is a price");
    // An alias goes with its model.
    let row = r#"{"version": "x", "models": [{"vendor": "anthropic", "id": "claude-haiku-4-5-20251001", "price": {"input": 1}}]}"#;
    let prices = Arc::new(Prices::built_in().with(&file(row)));
    let listed = prices.tariff(&Vendor::new("anthropic"), &ModelId::new("claude-haiku-4-5")).unwrap().listed();
    assert_eq!((listed.input, listed.output), (Some(PicoUsd::new(1)), None));
}

#[test]
fn what_is_no_table_says_why() {
    for (text, rule) in [
        ("", "EOF while parsing a value"),
        ("{\"version\": \"\"}", "`version` is empty"),
        ("{\"models\": []}", "missing field `version`"),
        ("{\"version\": \"x\", \"currency\": \"EUR\"}", "`currency` is not USD"),
        ("{\"version\": \"x\", \"modles\": []}", "unknown field `modles`"),
        (r#"{"version": "x", "models": [{"vendor": "a", "id": "m", "price": {"input": -1}}]}"#, "not below 0"),
        (
            r#"{"version": "x", "models": [{"vendor": "a", "id": "m", "price": {"input": 1.5}}]}"#,
            "a whole number of pico-dollars",
        ),
        (r#"{"version": "x", "models": [{"vendor": "a", "id": "m", "price": {"inptu": 1}}]}"#, "unknown field `inptu`"),
        (
            r#"{"version": "x", "models": [{"vendor": "a", "id": "m", "price": {}, "teirs": {}}]}"#,
            "unknown field `teirs`",
        ),
        (
            r#"{"version": "x", "models": [{"vendor": "a", "id": "m", "price": {}}, {"vendor": "a", "id": "n", "aliases": ["m"], "price": {}}]}"#,
            "a/n: `m` stands for two models of this vendor",
        ),
        (
            r#"{"version": "x", "models": [{"vendor": "a", "id": "m", "price": {}, "multipliers": {"us": "0"}}]}"#,
            "a factor is a decimal number above 0",
        ),
    ] {
        let error = File::read(text).unwrap_err();
        assert!(error.to_string().contains(rule), "{text}: {error}");
    }
    // null is as good as left out, and never 0.
    let row = file(r#"{"version": "x", "models": [{"vendor": "a", "id": "m", "price": {"input": null}}]}"#);
    assert_eq!(row.models[0].price.standard.input, None);
}

#[test]
fn a_newer_table_says_what_it_changes() {
    let (old, newer) = (file(TABLE), newer());
    let changes = old.changes(&newer);
    let of = |model: &str| changes.iter().find(|change| change.model == model).map(|change| &change.difference);
    let Some(Difference::Changed(fields)) = of("claude-sonnet-5-5") else { panic!("{changes:?}") };
    let input = fields.iter().find(|field| field.name == "input").unwrap();
    assert_eq!((input.before.as_deref(), input.after.as_deref()), (Some("2"), Some("1.5")));
    assert!(fields.iter().all(|field| field.name != "output"), "what stays is not told");
    assert!(matches!(of("llama"), Some(Difference::Added(_))));
    assert_eq!(of("claude-opus-5-5"), Some(&Difference::Gone));
    assert_eq!(of("gpt-4o"), None, "of this vendor the newer table says nothing");
    let merged = old.merged(&newer);
    assert_eq!(merged.version, "2027-01-05");
    assert_eq!(merged.models.len(), old.models.len() + 1, "what is gone stays");
    let nothing: Vec<Change> = merged.changes(&merged);
    assert_eq!(nothing, []);
}

#[test]
fn a_list_in_dollars_per_million_is_read_exactly() {
    let list = file(&std::fs::read_to_string("tests/prices/foreign.json").unwrap());
    assert_eq!(list.version, "2027-02-01");
    let price = |model: &str| &list.models.iter().find(|row| row.id == model).unwrap().price;
    let pico = |rate| Some(PicoUsd::new(rate));
    let (sonnet, tiny, night) = (price("claude-sonnet-5-5"), price("tiny"), price("night"));
    assert_eq!((sonnet.standard.input, sonnet.standard.cache_read), (pico(1_750_000), None), "null is not 0");
    assert_eq!(sonnet.standard.cache_write_5m, pico(2_187_500));
    assert_eq!(sonnet.tiers["batch"].input, pico(875_000));
    // 1.25 and 2 times the input of the tier, as of the standard one.
    assert_eq!(sonnet.tiers["batch"].cache_write_5m, pico(1_093_750));
    assert_eq!(sonnet.tiers["batch"].cache_write_1h, pico(1_750_000));
    assert_eq!(sonnet.multipliers["us"].to_string(), "1.1");
    assert_eq!((tiny.standard.input, tiny.standard.reasoning), (pico(37_500), pico(200_000)));
    assert_eq!((tiny.long_context[0].above, tiny.long_context[0].price.output), (200_000, pico(300_000)));
    assert_eq!(tiny.tiers["flex"].input, pico(18_750));
    assert_eq!(night.off_peak.as_ref().unwrap().price.output, pico(1_000_000));
    for (figure, rule) in
        [("0.00000001", "no whole number of pico-dollars"), ("-1", "is no price"), ("\"1\"", "is no price")]
    {
        let text = format!(
            r#"{{"generated": "x", "models": [{{"id": "m", "provider": "a", "usd_per_mtok": {{"input": {figure}}}}}]}}"#
        );
        let error = File::read(&text).unwrap_err().to_string();
        assert!(error.starts_with("a/m: ") && error.contains(rule), "{error}");
    }
}

fn some_item() -> impl Strategy<Value = UsageItem> {
    let kinds = prop_oneof![
        Just(UsageKind::Input),
        Just(UsageKind::CacheRead),
        Just(UsageKind::CacheWrite),
        Just(UsageKind::Output),
        Just(UsageKind::Reasoning),
        Just(UsageKind::RejectedPrediction),
    ];
    (kinds, 0..200_000_u32).prop_map(|(kind, tokens)| UsageItem::tokens(kind, Tokens::new(tokens)))
}

proptest! {
    #[test]
    fn the_parts_add_up_to_the_whole(items in prop::collection::vec(some_item(), 1..8), cut in 0..200_000_u32) {
        // No bound on the prompt here: it makes a whole dearer than its parts, which is its purpose.
        let tariff = tariff("anthropic", "claude-opus-4-8").unwrap();
        let terms = on("standard", &["us", "fast"]);
        let price = |items: Vec<UsageItem>| tariff.cost(&Usage::reported(items), &terms, monday(0, 0)).unwrap().amount.get();
        let whole = price(items.clone());
        prop_assert_eq!(items.iter().map(|item| price(vec![item.clone()])).sum::<i64>(), whole);
        let pieces = items.iter().flat_map(|item| {
            let first = item.quantity.min(cut);
            [first, item.quantity - first].map(|quantity| UsageItem { quantity, ..item.clone() })
        });
        prop_assert_eq!(price(pieces.collect()), whole);
    }

    #[test]
    fn more_never_costs_less_and_never_more_than_the_most(
        row in 0..156_usize, input in 0..400_000_u32, output in 0..100_000_u32, more in 0..100_000_u32,
    ) {
        let table = File::read(TABLE).unwrap();
        let row = &table.models[row % table.models.len()];
        let tariff = tariff(&row.vendor, &row.id).unwrap();
        let price = |input: u32, output: u32| {
            let items = [(UsageKind::Input, input), (UsageKind::Output, output)];
            let usage = Usage::reported(items.map(|(kind, count)| UsageItem::tokens(kind, Tokens::new(count))));
            tariff.cost(&usage, &Terms::default(), monday(3, 0)).map(|cost| cost.amount)
        };
        let cost = price(input, output);
        if output > 0 && row.price.standard.output.is_some() {
            prop_assert!(cost.is_some());
        }
        prop_assert!(cost <= price(input + more, output + more));
        let most = tariff.at_most(Tokens::new(input), Tokens::new(output));
        if most.is_some() {
            prop_assert!(cost <= most);
        }
    }

    #[test]
    fn no_number_panics(rate in 0..=i64::MAX, quantity: u32, tokens: u32, long: u32) {
        let table = format!(
            r#"{{"version": "x", "models": [{{"vendor": "a", "id": "m", "price": {{"input": {rate}, "output": {rate}}},
            "long_context": [{{"above": {long}, "price": {{"input": {rate}, "output": 0}}}}],
            "tiers": {{"flex": {{"input": {rate}, "output": 0}}}}, "multipliers": {{"us": "1.1"}}}}]}}"#
        );
        let prices = Arc::new(Prices::default().with(&File::read(&table).unwrap()));
        let tariff = prices.tariff(&Vendor::new("a"), &ModelId::new("m")).unwrap();
        let items = [(UsageKind::Input, quantity), (UsageKind::Output, tokens)];
        let usage = Usage::reported(items.map(|(kind, count)| UsageItem::tokens(kind, Tokens::new(count))));
        for terms in [on("", &[]), on("flex", &["us"]), on("", &["us", "us", "us"])] {
            let cost = tariff.cost(&usage, &terms, monday(0, 0));
            prop_assert!(cost.is_none_or(|cost| cost.amount.get() >= 0));
            let most = tariff.at_most_on(Tokens::new(quantity), Tokens::new(tokens), &terms, Modality::Audio);
            prop_assert!(most.is_none_or(|most| most.get() >= 0));
        }
    }
}
