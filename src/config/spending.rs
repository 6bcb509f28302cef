//! Whether what callers may spend can be counted.

use super::{Config, Model, Target};

/// Callers whose spending is bounded, though nobody knows what some of their models cost.
pub(super) fn doubts(config: &Config) -> Vec<(String, &'static str)> {
    let has_no_price =
        |model: &&Model| model.price.is_none() && model.targets.iter().any(|target| !is_priced(config, target));
    let unpriced: Vec<_> = config.models.iter().filter(has_no_price).map(|model| &model.id).collect();
    let callers = config.admitted.entries().map(|entry| &entry.caller);
    let doubts = callers.filter(|caller| caller.allowance.spend_per_day.is_some()).filter_map(|caller| {
        let models: Vec<_> =
            unpriced.iter().filter(|model| caller.models.allow(model)).map(|model| model.as_str()).collect();
        let rule = format!(
            "`{}` has a `spend_per_day`, to which calls of `{}` add nothing, for their price is not known",
            caller.name.as_str(),
            models.join("`, `")
        );
        (!models.is_empty()).then_some((rule, "write a `price` at the model, or a `price_table`"))
    });
    doubts.collect()
}

fn is_priced(config: &Config, target: &Target) -> bool {
    let provider = config.providers.iter().find(|provider| provider.id == target.provider);
    provider.is_some_and(|provider| config.pricing.prices.tariff(&provider.vendor, &target.model).is_some())
}
