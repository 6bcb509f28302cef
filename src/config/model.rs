//! `models`: the names that callers use, and where they lead.

use super::attempts;
use super::cache;
use super::lead::Names;
use super::nearest::suggestion;
use super::price;
use super::problem::Wrong;
use super::provider::{Pool, unique_id};
use super::reader::{Value, count};
use super::settings::{Bounds, TimeoutsSection};
use crate::domain::{ModelId, ModelName, PromptCache, ProviderId};
use crate::pool::Timeouts;
use crate::price::Price;
use crate::route::Hedge;

/// A name that callers use. `provider/model` always works as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The name, unique among the models.
    pub id: ModelName,
    /// Where it leads, in the file's order; at least one.
    pub targets: Vec<Target>,
    /// The names that are tried when none of the targets can answer, at most 8; their own fallbacks are not followed.
    /// Default: none.
    pub fallback_models: Vec<ModelName>,
    /// When a second target is asked though the first has not failed. Default: never.
    pub hedge: Option<Hedge>,
    /// What its targets' work costs, in place of the tables. Default: what these say.
    pub price: Option<Price>,
    /// Whether its providers are asked to keep prompts, and how long, where a request does not say it. Default: what
    /// holds for all.
    pub prompt_cache: PromptCache,
}

/// Where a model leads.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// An entry of the pool.
    pub provider: ProviderId,
    /// The model there.
    pub model: ModelId,
    /// Lower is tried first. Default: 0.
    pub priority: u32,
    /// The share among targets of the same priority, at least 1. Default: 1.
    pub weight: u32,
    /// The bounds on one request: the model's own, else the provider's, else those of all.
    pub timeouts: Timeouts,
}

/// Reads the list. Gives the models in which nothing is missing, and all names that may lead somewhere.
pub(super) fn read(list: Option<&Value<'_>>, pool: &Pool, bounds: &Bounds) -> (Vec<Model>, Names) {
    let mut names = Names { providers: pool.ids.clone(), ..Names::default() };
    let entries = list.map(Value::items).unwrap_or_default();
    let entries: Vec<Entry<'_>> = entries.iter().map(|item| read_entry(item, &mut names, pool, bounds)).collect();
    // A fallback may stand further down, so that all names are known before the first is looked up.
    let models = entries.into_iter().filter_map(|entry| entry.finish(&names)).collect();
    (models, names)
}

/// A model whose fallbacks are not looked up yet.
struct Entry<'a> {
    id: Option<String>,
    targets: Option<Vec<Target>>,
    fallbacks: Option<Value<'a>>,
    hedge: Option<(Value<'a>, Hedge)>,
    price: Option<Price>,
    prompt_cache: PromptCache,
}

fn read_entry<'a>(item: &Value<'a>, names: &mut Names, pool: &Pool, bounds: &Bounds) -> Entry<'a> {
    let mut fields = item.fields();
    let id = fields.require("id").and_then(|id| unique_id(&id, &names.aliases));
    let timeouts = TimeoutsSection::read_own(&mut fields);
    // Checked once by itself, so that a slip is told once and not for each target.
    timeouts.over(bounds.timeouts, bounds);
    let targets = fields.require("targets").map(|targets| read_targets(&targets, pool, bounds, &timeouts));
    let fallbacks = fields.take("fallback_models");
    let hedge = fields.take("hedge").and_then(|value| attempts::hedge(&value).map(|hedge| (value, hedge)));
    let price = fields.take("price").and_then(|value| price::of_model(&value));
    let prompt_cache = cache::prompts(&mut fields);
    fields.finish(&[]);
    names.aliases.extend(id.clone());
    names.targets.extend(targets.iter().flatten().map(|target| target.model.to_string()));
    Entry { id, targets, fallbacks, hedge, price, prompt_cache }
}

impl Entry<'_> {
    fn finish(self, names: &Names) -> Option<Model> {
        let fallbacks = self.fallbacks.map(|list| names.fallbacks(&list, self.id.as_deref()));
        let (id, targets, fallback_models) = (self.id?, self.targets?, fallbacks.unwrap_or_default());
        if let (Some((value, _)), [_], []) = (&self.hedge, targets.as_slice(), fallback_models.as_slice()) {
            let rule = "there is nobody to ask: the model has one target and no fallbacks";
            value.doubtful(rule, "add a target or a fallback, or leave it out");
        }
        let hedge = self.hedge.map(|(_, hedge)| hedge);
        let (price, prompt_cache) = (self.price, self.prompt_cache);
        Some(Model { id: ModelName::new(id), targets, fallback_models, hedge, price, prompt_cache })
    }
}

fn read_targets(list: &Value<'_>, pool: &Pool, bounds: &Bounds, timeouts: &TimeoutsSection<'_>) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    let items = list.items();
    if items.is_empty() {
        list.wrong(Wrong::new("has no target", "write at least one `{ provider: ..., model: ... }`"));
    }
    for item in items {
        let mut fields = item.fields();
        let provider = fields.require("provider").and_then(|value| value.parse(|name| known_provider(name, pool)));
        let model = fields.require("model").and_then(|value| value.parse(|name| Ok(ModelId::new(name))));
        let priority = fields.read("priority", 0, priority);
        let weight = fields.read("weight", 1, count);
        fields.finish(&[]);
        let (Some(provider), Some(model)) = (provider, model) else { continue };
        if targets.iter().any(|target| (&target.provider, &target.model) == (&provider, &model)) {
            item.wrong(Wrong::new(format!("`{provider}/{model}` stands here a second time"), "leave it out"));
        }
        let known = pool.providers.iter().find(|known| known.id == provider);
        let timeouts = timeouts.resolve(known.map_or(bounds.timeouts, |known| known.timeouts));
        targets.push(Target { provider, model, priority, weight, timeouts });
    }
    targets
}

fn known_provider(name: &str, pool: &Pool) -> Result<ProviderId, Wrong> {
    if pool.ids.iter().any(|id| id == name) {
        return Ok(ProviderId::new(name));
    }
    let right = suggestion(name, pool.ids.iter().map(String::as_str));
    Err(Wrong::new(format!("`{name}` is not the id of a provider"), right))
}

fn priority(text: &str) -> Result<u32, Wrong> {
    text.parse().map_err(|_| Wrong::new("must be a whole number", format!("0 to {}, lower is tried first", u32::MAX)))
}
