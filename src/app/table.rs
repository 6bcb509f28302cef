//! From a configuration to the names that callers may ask for, and the pool behind them.

use std::sync::Arc;

use http::{HeaderMap, Version};

use super::StartError;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::pool::{Account, Endpoint, Provider};
use crate::price::{Prices, Tariff};
use crate::route::{Alias, Hedging, Lead, Rules, Table, Target};

/// The names that a configuration gives to its targets. What was learned about an account of `previous` is kept where
/// the account is still the same, so that a reload makes no provider well; and forgotten where it is not, so that a
/// mended key is not blamed for the old one.
///
/// # Errors
/// [`StartError::Key`] when a key cannot be sent.
pub fn table(config: &Config, previous: Option<&Table>) -> Result<Table, StartError> {
    let before = previous.map(Table::providers).unwrap_or_default();
    let providers = config
        .providers
        .iter()
        .map(|entry| provider(entry, &config.pricing.prices, before))
        .collect::<Result<Vec<_>, _>>()?;
    let aliases = config.models.iter().map(|model| {
        let targets = model.targets.iter().filter_map(|target| {
            let provider = providers.iter().find(|provider| provider.id == target.provider)?;
            let mut endpoint = Endpoint::known(provider, target.model.clone()).with_timeouts(target.timeouts);
            endpoint.prompt_cache = model.prompt_cache;
            if let Some(price) = &model.price {
                let prices = Arc::clone(&config.pricing.prices);
                endpoint = endpoint.charged_by(Tariff::set(price.clone(), provider.vendor.clone(), prices));
            }
            Some(Target { endpoint: Arc::new(endpoint), priority: target.priority, weight: target.weight })
        });
        let lead = Lead {
            targets: targets.collect(),
            fallbacks: model.fallback_models.clone(),
            hedge: model.hedge.map(|hedge| Arc::new(Hedging::new(hedge))),
        };
        Alias { name: model.id.clone(), lead }
    });
    let aliases = aliases.collect();
    let rules = Rules {
        default_max_tokens: config.default_max_tokens,
        commit_after: config.stream.commit_after,
        max_answer_bytes: config.limits.max_answer_bytes,
        retry: config.retry,
        max_call_cost: config.limits.max_call_cost,
        prompt_cache: config.prompt_cache,
    };
    Ok(Table::new(providers, aliases, config.default_model.clone(), rules))
}

fn provider(
    config: &crate::config::Provider,
    prices: &Arc<Prices>,
    before: &[Arc<Provider>],
) -> Result<Arc<Provider>, StartError> {
    let preset = config.preset;
    let credentials = match &config.api_key {
        Some(key) => Credentials::new(preset.auth, key)
            .map_err(|source| StartError::Key { provider: config.id.to_string(), source })?,
        None => Credentials::default(),
    };
    let mut provider = Provider {
        id: config.id.clone(),
        vendor: config.vendor.clone(),
        telemetry_name: preset.telemetry_name,
        protocol: (preset.protocol)(),
        base_url: config.base_url.clone(),
        credentials,
        headers: HeaderMap::clone(&config.headers),
        timeouts: config.timeouts,
        proxy: config.proxy.clone(),
        version: if config.http2 { Version::HTTP_2 } else { Version::HTTP_11 },
        simulated: config.base_url.scheme_str() == Some("simulator"),
        account: Arc::new(Account::new(config.concurrency)),
        prices: Arc::clone(prices),
    };
    if let Some(same) = before.iter().find(|other| is_same_account(&provider, other)) {
        provider.account = Arc::clone(&same.account);
    }
    Ok(Arc::new(provider))
}

/// Whether what was learned about one holds for the other.
fn is_same_account(one: &Provider, other: &Provider) -> bool {
    // Taken apart without a rest, so that what is new does not compile before it is decided about.
    let Provider {
        id,
        vendor,
        telemetry_name: _,
        protocol,
        base_url,
        credentials,
        headers,
        timeouts: _,
        proxy,
        version,
        simulated: _,
        account,
        prices: _,
    } = one;
    (id, vendor, protocol.name(), base_url, credentials, headers, proxy, version, account.rule())
        == (
            &other.id,
            &other.vendor,
            other.protocol.name(),
            &other.base_url,
            &other.credentials,
            &other.headers,
            &other.proxy,
            &other.version,
            other.account.rule(),
        )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Overrides, Sources};
    use crate::pool::AccountTag;

    fn tag(provider: &str) -> AccountTag {
        let text = format!("allow_anonymous: true\nproviders: [{{ {provider} }}]");
        let sources = Sources::new(&|name| Some(format!("sk-{name}")));
        let config = Config::parse(&text, Path::new("test.yaml"), &Overrides::default(), &sources).unwrap();
        table(&config, None).unwrap().providers().first().unwrap().tag()
    }

    #[test]
    fn an_account_is_the_same_by_whatever_name_and_another_with_another_key_address_or_header() {
        let account = "protocol: openai, base_url: 'http://host/v1'";
        let one = tag(&format!("id: one, {account}, api_key: '${{ONE}}'"));
        assert_eq!(tag(&format!("id: other, {account}, api_key: '${{ONE}}', max_in_flight: 9")), one);
        for other in [
            format!("id: one, {account}, api_key: '${{OTHER}}'"),
            format!("id: one, {account}"),
            format!("id: one, {account}, api_key: '${{ONE}}', headers: {{ x-project: a }}"),
            "id: one, protocol: openai, base_url: 'http://host/v2', api_key: '${ONE}'".to_owned(),
            "id: one, protocol: anthropic, base_url: 'http://host/v1', api_key: '${ONE}'".to_owned(),
        ] {
            assert_ne!(tag(&other), one, "{other}");
        }
        assert!(!format!("{one} {one:?}").contains("sk-"));
    }
}
