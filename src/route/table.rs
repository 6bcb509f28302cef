//! The names that callers may ask for, and where each leads.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Hedging, Rules};
use crate::catalog;
use crate::domain::{Error, Identity, ListedFacts, ListedModel, ListedTarget, ModelId, ModelName, ProviderId, Reason};
use crate::pool::{Endpoint, Provider};

/// How near a name must be to one that was not found to be suggested, from 0 to 1.
const NEAR: f64 = 0.7;
/// How many names are suggested.
const SUGGESTIONS: usize = 3;

/// Where a name leads to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who is asked.
    pub endpoint: Arc<Endpoint>,
    /// Lower is tried first.
    pub priority: u32,
    /// The share among targets of the same priority, at least 1.
    pub weight: u32,
}

impl Target {
    fn only(endpoint: Endpoint) -> Self {
        Self { endpoint: Arc::new(endpoint), priority: 0, weight: 1 }
    }
}

/// The table in force. Clones share it; it is replaced while calls read it, and each call keeps the one it began with.
#[derive(Clone, Debug)]
pub struct Tables(Arc<ArcSwap<Table>>);

impl Tables {
    /// Puts `table` in force.
    pub fn new(table: Table) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(table)))
    }

    /// Puts another table in force.
    pub fn replace(&self, table: Table) {
        self.0.store(Arc::new(table));
    }

    /// The table in force.
    pub fn current(&self) -> Arc<Table> {
        self.0.load_full()
    }
}

/// A name of the configuration.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The name.
    pub name: ModelName,
    /// Where it leads.
    pub lead: Lead,
}

/// Where a name leads.
#[derive(Clone, Debug, Default)]
pub struct Lead {
    /// Who may be asked, at least one.
    pub targets: Vec<Target>,
    /// The names that are tried when none of them can answer, in order.
    pub fallbacks: Vec<ModelName>,
    /// When a second target is asked though the first has not failed; none: never.
    pub hedge: Option<Arc<Hedging>>,
}

impl Lead {
    fn to(targets: Vec<Target>) -> Self {
        Self { targets, fallbacks: Vec::new(), hedge: None }
    }
}

/// All names, and the rules that came with them.
#[derive(Debug)]
pub struct Table {
    providers: Vec<Arc<Provider>>,
    aliases: Vec<Alias>,
    default_model: Option<ModelName>,
    listed: Vec<ListedModel>,
    /// All that the configuration leads to: targets, fallbacks and the default.
    named: Vec<Arc<Endpoint>>,
    rules: Rules,
}

impl Table {
    /// The names of a configuration whose targets were checked.
    pub fn new(
        providers: Vec<Arc<Provider>>,
        aliases: Vec<Alias>,
        default_model: Option<ModelName>,
        rules: Rules,
    ) -> Self {
        let known = providers.iter().flat_map(known_models);
        let listed = aliases.iter().map(|alias| (alias.name.clone(), alias.lead.targets.clone())).chain(known);
        let listed = listed.map(|(name, targets)| list(&name, &targets, default_model.as_ref())).collect();
        let mut table = Self { providers, aliases, default_model, listed, named: Vec::new(), rules };
        table.named = table.all_named();
        table
    }

    fn all_named(&self) -> Vec<Arc<Endpoint>> {
        let others = self.aliases.iter().flat_map(|alias| &alias.lead.fallbacks).chain(&self.default_model);
        let others = others.filter_map(|name| self.resolve(Some(name)).ok()).flat_map(|lead| lead.targets);
        self.targets().cloned().chain(others).map(|target| target.endpoint).collect()
    }

    /// The rules that came with the names.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The pool, in the order of the configuration.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The names that callers are told of.
    pub fn listed(&self) -> &[ListedModel] {
        &self.listed
    }

    /// The names of the configuration and where they lead, in its order.
    pub fn aliases(&self) -> &[Alias] {
        &self.aliases
    }

    /// Whether the configuration leads to `model` at `provider`: by a target, a fallback or the default.
    pub fn names(&self, provider: &ProviderId, model: &ModelId) -> bool {
        let mut named = self.named.iter().map(|endpoint| &endpoint.identity);
        named.any(|identity| identity.provider == *provider && identity.model == *model)
    }

    /// What decides who answers `model` and how, as bytes: the configuration behind the names. None: nobody does.
    pub fn shape(&self, model: Option<&ModelName>, fallbacks: &[ModelName]) -> Option<Vec<String>> {
        let lead = self.resolve(model).ok()?;
        let fallbacks = if fallbacks.is_empty() { &lead.fallbacks } else { fallbacks };
        let mut shape = vec![format!("{:?}", self.rules.default_max_tokens)];
        let mut add = |targets: &[Target]| {
            for Target { endpoint, priority, weight } in targets {
                let Identity { provider, vendor, model, account: _ } = &endpoint.identity;
                let address = &endpoint.provider.base_url;
                shape.push(format!("{priority} {weight} {vendor} {address} {provider}/{model}"));
            }
            shape.push(String::new());
        };
        add(&lead.targets);
        for name in fallbacks {
            add(&self.resolve(Some(name)).ok()?.targets);
        }
        Some(shape)
    }

    /// What an empty name means.
    pub fn default_model(&self) -> Option<&ModelName> {
        self.default_model.as_ref()
    }

    /// Where `name` leads, at least one target: an alias, `provider/model`, or the id of a model that a target names or
    /// a provider is known to have.
    ///
    /// # Errors
    /// [`Reason::ModelNotFound`], with the nearest names; without a name and a default, [`Reason::InvalidRequest`].
    pub fn resolve(&self, name: Option<&ModelName>) -> Result<Lead, Error> {
        let Some(name) = name.or(self.default_model.as_ref()) else {
            return Err(Error::invalid("model", "must be set: the server has no default model"));
        };
        self.alias(name)
            .or_else(|| self.at_provider(name).map(Lead::to))
            .or_else(|| self.by_model_id(name).map(Lead::to))
            .ok_or_else(|| self.not_found(name, |_| true))
    }

    /// Whether `name` leads anywhere, for somebody who may ask for those names alone that are `allowed`.
    ///
    /// # Errors
    /// [`Reason::ModelNotFound`], with the nearest of the allowed names: nothing tells that there are others.
    pub fn among(&self, name: &ModelName, allowed: impl Fn(&ModelName) -> bool) -> Result<(), Error> {
        match allowed(name) && self.resolve(Some(name)).is_ok() {
            true => Ok(()),
            false => Err(self.not_found(name, allowed)),
        }
    }

    fn alias(&self, name: &ModelName) -> Option<Lead> {
        self.aliases.iter().find(|alias| alias.name == *name).map(|alias| alias.lead.clone())
    }

    /// The targets that the configuration names.
    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.aliases.iter().flat_map(|alias| &alias.lead.targets)
    }

    /// `provider/model`: the configured target where there is one, for its timeouts; else any model there.
    fn at_provider(&self, name: &ModelName) -> Option<Vec<Target>> {
        let (provider, model) = name.as_str().split_once('/').filter(|(_, model)| !model.is_empty())?;
        let provider = self.provider(&ProviderId::new(provider))?;
        let model = ModelId::new(model);
        let configured = self
            .targets()
            .find(|target| target.endpoint.identity.provider == provider.id && target.endpoint.identity.model == model);
        Some(vec![match configured {
            Some(target) => Target { endpoint: Arc::clone(&target.endpoint), priority: 0, weight: 1 },
            None => Target::only(Endpoint::known(provider, model)),
        }])
    }

    fn by_model_id(&self, name: &ModelName) -> Option<Vec<Target>> {
        let named = self.targets().filter(|target| target.endpoint.identity.model.as_str() == name.as_str());
        let mut seen = BTreeSet::new();
        let named: Vec<_> =
            named.filter(|target| seen.insert(target.endpoint.identity.provider.clone())).cloned().collect();
        if !named.is_empty() {
            return Some(named);
        }
        let known = self.providers.iter().filter_map(|provider| {
            catalog::facts(provider.vendor.as_str(), name.as_str())?;
            Some(Target::only(Endpoint::known(provider, ModelId::new(name.as_str()))))
        });
        Some(known.collect()).filter(|targets: &Vec<_>| !targets.is_empty())
    }

    fn provider(&self, id: &ProviderId) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.id == *id)
    }

    fn not_found(&self, name: &ModelName, allowed: impl Fn(&ModelName) -> bool) -> Error {
        let of_targets = self.targets().map(|target| target.endpoint.identity.model.as_str());
        let mut near: Vec<(f64, &str)> = self
            .listed
            .iter()
            .map(|listed| listed.name.as_str())
            .chain(of_targets)
            .filter(|known| allowed(&ModelName::new(known)))
            .map(|known| (strsim::jaro_winkler(known, name.as_str()), known))
            .filter(|(nearness, _)| *nearness >= NEAR)
            .collect();
        near.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        near.dedup_by_key(|(_, known)| *known);
        let nearest: Vec<String> = near.into_iter().take(SUGGESTIONS).map(|(_, known)| known.to_owned()).collect();
        let advice = match nearest.first() {
            Some(known) => format!("did you mean {known:?}?"),
            None => "ListModels tells which there are".to_owned(),
        };
        Error::new(Reason::ModelNotFound, format!("there is no model of this name; {advice}"))
            .with(|details| details.nearest = nearest)
    }
}

/// The models that a provider is known to have, as `provider/model`.
fn known_models(provider: &Arc<Provider>) -> impl Iterator<Item = (ModelName, Vec<Target>)> {
    catalog::models(provider.vendor.as_str()).map(move |model| {
        let name = ModelName::new(format!("{}/{}", provider.id, model.id));
        (name, vec![Target::only(Endpoint::known(provider, ModelId::new(&model.id)))])
    })
}

/// What callers are told about a name.
fn list(name: &ModelName, targets: &[Target], default_model: Option<&ModelName>) -> ListedModel {
    let mut ordered: Vec<&Target> = targets.iter().collect();
    ordered.sort_by_key(|target| target.priority);
    let facts: Vec<_> = ordered.iter().map(|target| target.endpoint.facts).collect();
    let price = ordered.first().and_then(|target| target.endpoint.tariff.as_ref()).map(|tariff| tariff.listed());
    let served = facts.iter().any(|facts| facts.is_none_or(|facts| facts.other_protocol.is_none()));
    let other = facts.iter().find_map(|facts| facts.and_then(|facts| facts.other_protocol.as_deref()));
    ListedModel {
        name: name.clone(),
        targets: ordered.iter().map(|target| listed_target(target)).collect(),
        is_default: default_model == Some(name),
        facts: ListedFacts::of(facts.iter().copied(), price),
        unavailable_reason: other
            .filter(|_| !served)
            .map(|other| format!("the provider serves it by a protocol only that is not spoken here: {other}")),
    }
}

fn listed_target(target: &Target) -> ListedTarget {
    ListedTarget {
        provider: target.endpoint.identity.provider.clone(),
        model: target.endpoint.identity.model.clone(),
        priority: target.priority,
        weight: target.weight,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use http::HeaderMap;

    use super::*;
    use crate::credentials::Credentials;
    use crate::domain::Vendor;
    use crate::pool::{Account, ConcurrencyRule, Timeouts};
    use crate::protocol::vendor::preset;

    /// A provider of the vendor that has models in the catalog for every test here.
    pub(in crate::route) fn provider(id: &str) -> Arc<Provider> {
        let preset = preset("openai").unwrap();
        Arc::new(Provider {
            id: ProviderId::new(id),
            vendor: Vendor::new(preset.name),
            telemetry_name: preset.telemetry_name,
            protocol: (preset.protocol)(),
            base_url: "http://localhost/v1".parse().unwrap(),
            credentials: Credentials::default(),
            headers: HeaderMap::new(),
            timeouts: Timeouts::default(),
            proxy: None,
            version: http::Version::HTTP_11,
            simulated: false,
            account: Arc::new(Account::new(ConcurrencyRule::default())),
            prices: crate::price::Prices::built_in(),
        })
    }

    fn alias(name: &str, targets: &[(&Arc<Provider>, &str)]) -> Alias {
        let targets = targets.iter().map(|(at, model)| Target::only(Endpoint::known(at, ModelId::new(model))));
        Alias { name: ModelName::new(name), lead: Lead::to(targets.collect()) }
    }

    pub(in crate::route) fn rules() -> Rules {
        Rules {
            prompt_cache: Default::default(),
            default_max_tokens: crate::domain::Tokens::new(8192),
            commit_after: std::time::Duration::from_secs(10),
            max_answer_bytes: 1 << 20,
            retry: crate::route::Retry::default(),
            max_call_cost: None,
        }
    }

    fn table() -> Table {
        let (one, two) = (provider("one"), provider("two"));
        let aliases = vec![alias("smart", &[(&one, "own-1"), (&two, "own-1")]), alias("fast", &[(&two, "own-2")])];
        Table::new(vec![one, two], aliases, Some(ModelName::new("smart")), rules())
    }

    fn leads_to(name: Option<&str>) -> Result<Vec<String>, Error> {
        let targets = table().resolve(name.map(ModelName::new).as_ref())?.targets;
        Ok(targets.iter().map(|target| target.endpoint.identity.to_string()).collect())
    }

    #[test]
    fn a_name_leads_where_the_configuration_or_the_catalog_says() {
        let cases: [(Option<&str>, &[&str]); 6] = [
            (None, &["one/own-1", "two/own-1"]),
            (Some("fast"), &["two/own-2"]),
            // The id of a model that a target names.
            (Some("own-1"), &["one/own-1", "two/own-1"]),
            // Any model at a provider.
            (Some("two/whatever"), &["two/whatever"]),
            (Some("two/org/model"), &["two/org/model"]),
            // A model that the vendor of both is known to have.
            (Some("gpt-4o"), &["one/gpt-4o", "two/gpt-4o"]),
        ];
        for (name, expected) in cases {
            assert_eq!(leads_to(name).unwrap(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_name_that_is_not_found_is_answered_with_the_nearest() {
        let error = leads_to(Some("smrat")).unwrap_err();
        assert_eq!(error.reason, Reason::ModelNotFound);
        assert_eq!(error.details.nearest.first().map(String::as_str), Some("smart"));
        for name in ["nobody/model", "one/", "/", ""] {
            assert_eq!(leads_to(Some(name)).unwrap_err().reason, Reason::ModelNotFound, "{name:?}");
        }
    }

    #[test]
    fn the_timeouts_of_a_configured_target_hold_by_every_name() {
        let one = provider("one");
        let own = Timeouts { idle: std::time::Duration::from_secs(1), ..Timeouts::default() };
        let endpoint = Endpoint::known(&one, ModelId::new("own-1")).with_timeouts(own);
        let table = Table::new(
            vec![one],
            vec![Alias { name: ModelName::new("smart"), lead: Lead::to(vec![Target::only(endpoint)]) }],
            None,
            rules(),
        );
        for (name, timeouts) in [("smart", own), ("one/own-1", own), ("own-1", own), ("one/other", Timeouts::default())]
        {
            let targets = table.resolve(Some(&ModelName::new(name))).unwrap().targets;
            assert_eq!(targets.first().map(|target| target.endpoint.timeouts), Some(timeouts), "{name}");
        }
    }

    #[test]
    fn without_a_default_a_name_is_needed() {
        let error = Table::new(Vec::new(), Vec::new(), None, rules()).resolve(None).unwrap_err();
        assert_eq!(error.details.violations.first().map(|violation| violation.field.as_str()), Some("model"));
    }

    #[test]
    fn a_model_that_only_another_protocol_serves_is_listed_with_the_reason() {
        let table = table();
        let unavailable: Vec<_> = table.listed().iter().filter(|listed| listed.unavailable_reason.is_some()).collect();
        assert!(unavailable.iter().any(|listed| listed.name.as_str() == "one/gpt-5.5-pro"), "{unavailable:?}");
        assert!(unavailable.iter().all(|listed| !listed.is_default));
    }
}
