//! The models that a caller may ask for, page by page.

use super::page;
use crate::domain::{Capabilities, Error, ListedModel, ListedPrice, ListedTarget, PicoUsd, Tokens};
use crate::proto;

/// The models of a page where the caller does not say.
const DEFAULT_PAGE: usize = 100;
/// The most models of a page.
const MAX_PAGE: usize = 1000;

/// The page of `listed` that is asked for.
///
/// # Errors
/// `INVALID_REQUEST` for a page size below 0, and for a page token that is not one of ours or of a list that has
/// changed.
pub(crate) fn models(
    listed: &[ListedModel],
    request: &proto::ListModelsRequest,
) -> Result<proto::ListModelsResponse, Error> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(MAX_PAGE),
        Err(_) => {
            return Err(Error::invalid("page_size", "must not be below 0; 0 is 100, and what is above 1000 is 1000"));
        }
    };
    let name = |index: usize| listed.get(index).map(|model| model.name.as_str());
    let start = match request.page_token.as_str() {
        "" => 0,
        token => page::position(token, name).ok_or_else(|| {
            Error::invalid("page_token", "must be the next_page_token of the page before; start over without one")
        })?,
    };
    let models: Vec<_> = listed.iter().skip(start).take(size).map(model).collect();
    let end = start + models.len();
    let next_page_token = match name(end.saturating_sub(1)) {
        Some(before) if end < listed.len() => page::token(end, before),
        _ => String::new(),
    };
    Ok(proto::ListModelsResponse { models, next_page_token })
}

fn model(listed: &ListedModel) -> proto::Model {
    proto::Model {
        id: listed.name.to_string(),
        targets: listed.targets.iter().map(target).collect(),
        is_default: listed.is_default,
        capabilities: capabilities(&listed.facts.capabilities),
        context_window: listed.facts.context_window.map(Tokens::as_i32),
        max_output_tokens: listed.facts.max_output.map(Tokens::as_i32),
        price: price(&listed.facts.price),
        unavailable_reason: listed.unavailable_reason.clone().unwrap_or_default(),
    }
}

fn target(target: &ListedTarget) -> proto::ModelTarget {
    proto::ModelTarget {
        provider: target.provider.to_string(),
        model: target.model.to_string(),
        priority: i32::try_from(target.priority).unwrap_or(i32::MAX),
        weight: i32::try_from(target.weight).unwrap_or(i32::MAX),
    }
}

fn capabilities(can: &Capabilities) -> Option<proto::ModelCapabilities> {
    (*can != Capabilities::default()).then_some(proto::ModelCapabilities {
        tools: can.tools,
        images: can.images,
        documents: can.documents,
        audio: can.audio,
        json_schema: can.json_schema,
        reasoning: can.reasoning,
        streaming: None,
    })
}

fn price(price: &ListedPrice) -> Option<proto::ModelPrice> {
    (*price != ListedPrice::default()).then_some(proto::ModelPrice {
        input_pico_usd: price.input.map(PicoUsd::get),
        output_pico_usd: price.output.map(PicoUsd::get),
        cache_read_pico_usd: price.cache_read.map(PicoUsd::get),
        cache_write_pico_usd: price.cache_write.map(PicoUsd::get),
        price_version: price.version.as_ref().map_or_else(String::new, |version| version.as_str().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ListedFacts, ModelId, ModelName, ProviderId};

    fn listed(count: usize) -> Vec<ListedModel> {
        let one = |index: usize| ListedModel {
            name: ModelName::new(format!("m-{index}")),
            targets: vec![ListedTarget {
                provider: ProviderId::new("p"),
                model: ModelId::new("big"),
                priority: 2,
                weight: 3,
            }],
            is_default: index == 0,
            facts: ListedFacts {
                capabilities: Capabilities { tools: Some(true), ..Capabilities::default() },
                context_window: Some(Tokens::new(200_000)),
                max_output: None,
                price: ListedPrice { input: Some(PicoUsd::new(3_000_000)), ..ListedPrice::default() },
            },
            unavailable_reason: (index == 1).then(|| "spoken by nobody".into()),
        };
        (0..count).map(one).collect()
    }

    fn ask(page_size: i32, page_token: &str) -> proto::ListModelsRequest {
        proto::ListModelsRequest { page_size, page_token: page_token.into() }
    }

    #[test]
    fn pages_show_every_model_once_and_in_order() {
        let all = listed(7);
        let (mut token, mut seen) = (String::new(), Vec::new());
        loop {
            let page = models(&all, &ask(3, &token)).unwrap();
            assert!(page.models.len() <= 3);
            seen.extend(page.models.into_iter().map(|model| model.id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ["m-0", "m-1", "m-2", "m-3", "m-4", "m-5", "m-6"]);
    }

    #[test]
    fn sizes_have_a_default_and_a_bound() {
        let all = listed(1200);
        for (asked, given) in [(0, 100), (1, 1), (1000, 1000), (i32::MAX, 1000)] {
            assert_eq!(models(&all, &ask(asked, "")).unwrap().models.len(), given);
        }
        assert_eq!(models(&[], &ask(0, "")).unwrap(), proto::ListModelsResponse::default());
        let error = models(&all, &ask(-1, "")).unwrap_err();
        assert_eq!(error.details.violations[0].field, "page_size");
    }

    #[test]
    fn tokens_that_are_not_of_this_list_are_refused() {
        let token = models(&listed(7), &ask(3, "")).unwrap().next_page_token;
        let mut renamed = listed(7);
        renamed[2].name = ModelName::new("other");
        let cut = &token[..token.len() - 1];
        let cases =
            [(listed(7), "AAAA"), (listed(7), "not a token"), (listed(7), cut), (listed(2), &token), (renamed, &token)];
        for (list, token) in cases {
            let error = models(&list, &ask(3, token)).unwrap_err();
            assert_eq!(error.details.violations[0].field, "page_token", "{token}");
        }
    }

    #[test]
    fn a_model_arrives_whole() {
        let page = models(&listed(2), &ask(0, "")).unwrap();
        let expected = proto::Model {
            id: "m-0".into(),
            targets: vec![proto::ModelTarget { provider: "p".into(), model: "big".into(), priority: 2, weight: 3 }],
            is_default: true,
            capabilities: Some(proto::ModelCapabilities { tools: Some(true), ..Default::default() }),
            context_window: Some(200_000),
            max_output_tokens: None,
            price: Some(proto::ModelPrice { input_pico_usd: Some(3_000_000), ..Default::default() }),
            unavailable_reason: String::new(),
        };
        assert_eq!(page.models[0], expected);
        assert_eq!(page.models[1].unavailable_reason, "spoken by nobody");
    }
}
