//! What a call may cost, beforehand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{Message, ModelId, Role, Vendor};
use crate::price::{Price, Prices, Rates, Tariff};
use crate::route::table::tests::provider;

/// An endpoint whose tokens cost this much, of the prompt and of the answer.
fn endpoint(input: i64, output: i64) -> Endpoint {
    let (input, output) = (Some(PicoUsd::new(input)), Some(PicoUsd::new(output)));
    let price = Price { standard: Rates { input, output, ..Rates::default() }, ..Price::default() };
    let tariff = Tariff::set(price, Vendor::new("v"), Prices::built_in());
    Endpoint::known(&provider("p"), ModelId::new("made-up")).charged_by(tariff)
}

fn request(content: Vec<Block>) -> Request {
    let message = Message { role: Role::User, content, state: None };
    Request { messages: vec![message], labels: BTreeMap::new(), ..Request::default() }
}

proptest! {
    #[test]
    fn what_is_allowed_fits_and_what_is_told_to_fit_does(
        rates in (1i64..1_000_000, 1i64..1_000_000),
        bytes in 0usize..10_000,
        max_tokens in 1u32..100_000,
        bound in 0i64..100_000_000_000,
        spent in 0i64..100_000_000_000,
    ) {
        let (endpoint, request) = (endpoint(rates.0, rates.1), request(vec![Block::text("x".repeat(bytes))]));
        let (bound, spent) = (PicoUsd::new(bound), PicoUsd::new(spent));
        match afford(&endpoint, &request, Tokens::new(max_tokens), bound, Some(spent)) {
            Ok(Allowed { at_most, left }) => {
                prop_assert!(at_most <= left && spent.get() + left.get() <= bound.get());
            }
            Err(why) => {
                prop_assert_eq!(why.reason(), Reason::CostLimitExceeded);
                let told = why.into_error().message.to_string();
                if let Some((_, rest)) = told.split_once("max_tokens of at most ") {
                    let fits: u32 = rest.split(' ').next().unwrap().parse().unwrap();
                    prop_assert!(fits < max_tokens);
                    prop_assert!(afford(&endpoint, &request, Tokens::new(fits), bound, Some(spent)).is_ok());
                    prop_assert!(afford(&endpoint, &request, Tokens::new(fits + 1), bound, Some(spent)).is_err());
                } else {
                    prop_assert!(afford(&endpoint, &request, Tokens::new(1), bound, Some(spent)).is_err());
                }
            }
        }
    }
}

#[test]
fn what_nobody_knows_is_not_affordable() {
    let asked = request(vec![Block::text("hello")]);
    let all = PicoUsd::new(i64::MAX);
    let free = afford(&endpoint(1, 1), &asked, Tokens::new(1), all, None);
    assert_eq!(free.unwrap_err().reason(), Reason::PriceUnknown, "an earlier attempt may have cost anything");
    let unpriced = Endpoint::known(&provider("p"), ModelId::new("made-up"));
    let unknown = afford(&unpriced, &asked, Tokens::new(1), all, Some(PicoUsd::default()));
    assert_eq!(unknown.unwrap_err().reason(), Reason::PriceUnknown);
}

#[test]
fn media_count_generously() {
    let image = |source| {
        let media = crate::domain::Media { source, mime_type: "image/png".into() };
        Block::from(BlockKind::Image(crate::domain::Image { media, detail: String::new() }))
    };
    let plain = prompt(&endpoint(1, 1), &request(vec![Block::text("hello")]));
    let with = request(vec![Block::text("hello"), image(MediaSource::Uri("https://example.com/a.png".into()))]);
    assert_eq!(prompt(&endpoint(1, 1), &with), plain + Tokens::new(5_000));
}

#[test]
fn what_is_merged_into_the_body_for_a_vendor_decides_on_which_terms_it_is_priced() {
    let input = Some(PicoUsd::new(1));
    let rates = |output| Rates { input, output: Some(PicoUsd::new(output)), ..Rates::default() };
    let row = crate::price::Row {
        vendor: "openai".into(),
        id: "m".into(),
        price: Price {
            standard: rates(10),
            tiers: [("priority".to_owned(), rates(20))].into(),
            multipliers: serde_json::from_str(r#"{"fast":"6"}"#).unwrap(),
            ..Price::default()
        }
        .into(),
        ..Default::default()
    };
    let file = crate::price::File { version: "v".into(), models: vec![row.into()], ..Default::default() };
    let (vendor, model) = (Vendor::new("openai"), ModelId::new("m"));
    let tariff = std::sync::Arc::new(Prices::default().with(&file)).tariff(&vendor, &model).unwrap();
    let endpoint = Endpoint::known(&provider("p"), model).charged_by(tariff);
    let most = |body: &str| {
        let body = serde_json::from_str(body).unwrap();
        let options = crate::domain::ProviderOptions { body, ..Default::default() };
        let vendor = endpoint.identity.vendor.clone();
        let asked = Request { provider_options: [(vendor, options)].into(), ..request(Vec::new()) };
        at_most(&endpoint, &asked, Tokens::ZERO, Tokens::new(1)).map(PicoUsd::get)
    };
    assert_eq!(most("{}"), Some(10));
    assert_eq!(most(r#"{"service_tier":"priority"}"#), Some(20));
    assert_eq!(most(r#"{"service_tier":null,"speed":"standard"}"#), Some(10));
    assert_eq!(most(r#"{"speed":"fast"}"#), Some(60));
    for unknown in [r#"{"service_tier":"made-up"}"#, r#"{"service_tier":7}"#, r#"{"speed":"warp"}"#, r#"{"speed":[]}"#]
    {
        assert_eq!(most(unknown), None, "{unknown}");
    }
}
