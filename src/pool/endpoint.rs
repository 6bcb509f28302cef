//! Whom an attempt is made at: a provider, which is one account at one address, and a model there.

use std::sync::Arc;

use http::{HeaderMap, Uri, Version};

use super::account::Known;
use super::{Account, Destinations, Health, Timeouts};
use crate::catalog;
use crate::credentials::Credentials;
use crate::domain::{Identity, ModelFacts, ModelId, PromptCache, ProviderId, Vendor};
use crate::price::{Prices, Tariff};
use crate::protocol::Protocol;
use crate::tokens::Learned;

/// One account at one address.
#[derive(Debug)]
pub struct Provider {
    /// What the configuration calls it.
    pub id: ProviderId,
    /// Who is behind it.
    pub vendor: Vendor,
    /// Its name in OpenTelemetry's conventions.
    pub telemetry_name: &'static str,
    /// What it speaks.
    pub protocol: Arc<dyn Protocol>,
    /// Where it is, without a slash at the end.
    pub base_url: Uri,
    /// What signs requests to it.
    pub credentials: Credentials,
    /// Headers that every request to it carries.
    pub headers: HeaderMap,
    /// How long a request to it may take.
    pub timeouts: Timeouts,
    /// The proxy on the way to it.
    pub proxy: Option<Uri>,
    /// The HTTP that it is spoken to in: 1.1, or 2 on connections that calls share.
    pub version: Version,
    /// Whether it is the built-in simulator.
    pub simulated: bool,
    /// What was learned about it.
    pub account: Arc<Account>,
    /// What the work of its models costs.
    pub prices: Arc<Prices>,
}

/// A provider with a model.
#[derive(Debug)]
pub struct Endpoint {
    /// Where the model is.
    pub provider: Arc<Provider>,
    /// Provider and model, as a protocol may know them.
    pub identity: Identity,
    /// How long a request to it may take.
    pub timeouts: Timeouts,
    /// What is wanted of the provider's cache of prompts, by the name that leads here.
    pub prompt_cache: PromptCache,
    /// What is known about the model.
    pub facts: Option<&'static ModelFacts>,
    /// What its work is charged by; none: its price is not known.
    pub tariff: Option<Arc<Tariff>>,
    /// How well it is.
    pub health: Arc<Health>,
    /// What its answers have taught about tokens.
    pub learned: Arc<Learned>,
    /// Where it is asked.
    pub destinations: Destinations,
}

impl Endpoint {
    /// `model` at `provider`, with what the catalog knows about it.
    pub fn known(provider: &Arc<Provider>, model: ModelId) -> Self {
        let Known { health, learned, .. } = provider.account.known(&model);
        Self {
            facts: catalog::facts(provider.vendor.as_str(), model.as_str()),
            tariff: provider.prices.tariff(&provider.vendor, &model).map(Arc::new),
            health,
            learned,
            identity: Identity::new(provider.id.clone(), provider.vendor.clone(), model),
            timeouts: provider.timeouts,
            prompt_cache: PromptCache::default(),
            destinations: Destinations::default(),
            provider: Arc::clone(provider),
        }
    }

    /// The same endpoint charged by another tariff.
    #[must_use]
    pub fn charged_by(mut self, tariff: Tariff) -> Self {
        self.tariff = Some(Arc::new(tariff));
        self
    }

    /// The same endpoint with timeouts of its own.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }
}
