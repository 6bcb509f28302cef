//! Whether the patterns in `models`, of callers and of what issuers' tokens may do, fit a name that there is.

use std::collections::BTreeMap;

use super::Config;
use super::nearest::{some_of, suggestion};
use crate::callers::{ModelPattern, Models};

/// Patterns that fit no name. A slip there lets a caller ask for nothing, and it is told so in the words for a name that
/// nobody has.
pub(super) fn doubts(config: &Config) -> Vec<(String, String)> {
    let mut whose: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let callers =
        config.admitted.entries().map(|entry| (&entry.caller.models, format!("caller `{}`", entry.caller.name)));
    let issuers = config.admitted.issuers.iter().flat_map(|issuer| {
        issuer.templates.iter().map(|template| (&template.models, format!("issuer `{}`", issuer.name)))
    });
    for (models, who) in callers.chain(issuers) {
        let Models::Only(patterns) = models else { continue };
        for pattern in patterns.iter().filter(|pattern| !fits_some_name(config, pattern)) {
            let known = whose.entry(pattern.to_string()).or_default();
            if !known.contains(&who) {
                known.push(who.clone());
            }
        }
    }
    let right = |pattern: &str| suggestion(pattern, names(config).iter().map(String::as_str));
    let told = |(pattern, whose): (String, Vec<String>)| {
        let rule = format!("`{pattern}` in `models` of {} fits no name that may be asked for", some_of(&whose));
        (rule, right(&pattern))
    };
    whose.into_iter().map(told).collect()
}

fn fits_some_name(config: &Config, pattern: &ModelPattern) -> bool {
    let targets = || config.models.iter().flat_map(|model| &model.targets);
    let mut names =
        config.models.iter().map(|model| model.id.as_str()).chain(targets().map(|target| target.model.as_str()));
    let mut providers = config.providers.iter().map(|provider| format!("{}/", provider.id));
    match pattern {
        ModelPattern::Name(only) => {
            names.any(|name| name == only)
                || providers.any(|provider| only.len() > provider.len() && only.starts_with(&provider))
        }
        // Which models a provider has nobody knows here: whatever is said of one may be there.
        ModelPattern::Beginning(beginning) => {
            names.any(|name| name.starts_with(beginning))
                || providers.any(|provider| provider.starts_with(beginning) || beginning.starts_with(&provider))
        }
    }
}

/// What may stand in a pattern's place.
fn names(config: &Config) -> Vec<String> {
    let aliases = config.models.iter().map(|model| model.id.to_string());
    aliases.chain(config.providers.iter().map(|provider| format!("{}/*", provider.id))).collect()
}
