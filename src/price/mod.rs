//! What the work of providers costs: a table of prices, and the one function from what was used to what it cost.
//!
//! A price holds for one model of one vendor and nowhere else. What has no price here has no cost.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use crate::domain::{
    Cost, CostSource, ListedPrice, ModelId, PicoUsd, PriceVersion, Terms, Tokens, Usage, UsageKind, Vendor,
};

/// What one model costs at one vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// What its tokens cost where nothing else applies.
    pub standard: Rates,
}

/// What a token costs, by what it is. None: not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of the prompt.
    pub input: Option<PicoUsd>,
    /// Of the answer.
    pub output: Option<PicoUsd>,
    /// Of the prompt, read from the provider's cache.
    pub cache_read: Option<PicoUsd>,
}

/// All prices that are known: the built-in table, and what a file puts over it.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    version: PriceVersion,
    by_vendor: BTreeMap<String, BTreeMap<String, Arc<Price>>>,
}

impl Prices {
    /// The table that is part of the program.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Prices>> = LazyLock::new(Arc::default);
        Arc::clone(&BUILT_IN)
    }

    /// What the work of `model` at `vendor` is charged by; none: its price is not known.
    pub fn tariff(self: &Arc<Self>, vendor: &Vendor, model: &ModelId) -> Option<Tariff> {
        let price = self.by_vendor.get(vendor.as_str())?.get(model.as_str())?;
        let source = CostSource::Table(self.version.clone());
        Some(Tariff { price: Arc::clone(price), source, vendor: vendor.clone(), table: Arc::clone(self) })
    }
}

/// What the work of one endpoint is charged by.
#[derive(Clone, Debug)]
pub struct Tariff {
    price: Arc<Price>,
    source: CostSource,
    vendor: Vendor,
    /// Where work that is billed for another model of the vendor has its price.
    table: Arc<Prices>,
}

impl Tariff {
    /// The price that the configuration sets for a model, in place of the table's.
    pub fn set(price: Price, vendor: Vendor, table: Arc<Prices>) -> Self {
        Self { price: Arc::new(price), source: CostSource::Config, vendor, table }
    }

    /// What `usage` cost that was served on these terms at that time; none: something in it has no known price.
    pub fn cost(&self, usage: &Usage, _terms: &Terms, _at: SystemTime) -> Option<Cost> {
        let rates = &self.price.standard;
        let mut sum = 0_i64;
        for item in &usage.items {
            let rate = match item.kind {
                UsageKind::Input | UsageKind::CacheWrite => rates.input?,
                UsageKind::CacheRead => rates.cache_read.or(rates.input)?,
                UsageKind::Output | UsageKind::Reasoning | UsageKind::RejectedPrediction => rates.output?,
                UsageKind::ServerToolCall { .. } => return None,
            };
            sum = sum.checked_add(rate.get().checked_mul(item.quantity.into())?)?;
        }
        let estimated = usage.items.iter().any(|item| item.estimated);
        Some(Cost { amount: PicoUsd::new(sum), source: self.source.clone(), estimated })
    }

    /// The most that so long a prompt and so long an answer can cost, by the dearest prices that may apply; none: not
    /// known.
    pub fn at_most(&self, input: Tokens, output: Tokens) -> Option<PicoUsd> {
        let rates = &self.price.standard;
        let prompt = rates.input?.get().checked_mul(input.get().into())?;
        let answer = rates.output?.get().checked_mul(output.get().into())?;
        prompt.checked_add(answer).map(PicoUsd::new)
    }

    /// What callers are told of it.
    pub fn listed(&self) -> ListedPrice {
        let rates = &self.price.standard;
        let version = match &self.source {
            CostSource::Table(version) => Some(version.clone()),
            _ => None,
        };
        let Rates { input, output, cache_read, .. } = *rates;
        ListedPrice { input, output, cache_read, cache_write: None, version }
    }
}
