//! Any valid request survives the way from the domain to the wire and back, where the Messages protocol can carry it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

#[path = "anthropic_round_trip/any.rs"]
mod any;
#[path = "anthropic_round_trip/read.rs"]
mod read;

use completiond::domain::{Identity, ModelId, ProviderId, Tokens, Vendor};
use completiond::protocol::{Anthropic, Delivery, Order, Protocol};
use proptest::prelude::*;

fn identity() -> Identity {
    Identity::new(ProviderId::new("main"), Vendor::new("anthropic"), ModelId::new("some-model"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_survives_the_wire(request in any::request(), streams in any::<bool>()) {
        let delivery = if streams { Delivery::Stream } else { Delivery::Whole };
        let max_tokens = request.max_tokens.unwrap_or(Tokens::new(8192));
        let order = Order { request: &request, identity: &identity(), facts: None, delivery, max_tokens, prompt_cache: request.prompt_cache };
        let exchange = Anthropic::default().encode(&order).unwrap();
        prop_assert_eq!(&exchange.ignored, &Vec::<String>::new());
        let back = read::request(&exchange.body, &exchange.headers);
        prop_assert_eq!(back.delivery, delivery);
        prop_assert_eq!(back.model, "some-model");
        prop_assert_eq!(back.max_tokens, max_tokens);
        prop_assert_eq!(back.request, completiond::domain::Request { max_tokens: None, ..request });
    }
}
