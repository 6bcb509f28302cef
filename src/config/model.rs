//! `models`: the names that callers use, and where they lead.

use super::nearest::suggestion;
use super::problem::Wrong;
use super::provider::{Pool, unique_id};
use super::reader::{Value, count};
use super::settings::{Bounds, TimeoutsSection};
use crate::domain::{ModelId, ModelName, ProviderId};
use crate::pool::Timeouts;
use crate::route::Hedge;

/// A name that callers use. `provider/model` always works as well.
#[derive(Clone, Debug)]
pub struct Model {
    /// The name, unique among the models.
    pub id: ModelName,
    /// Where it leads, in the file's order; at least one.
    pub targets: Vec<Target>,
    /// The names that are tried when none of the targets can answer. Default: none.
    pub fallback_models: Vec<ModelName>,
    /// When a second target is asked though the first has not failed. Default: never.
    pub hedge: Option<Hedge>,
}

/// Where a model leads.
#[derive(Clone, Debug)]
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

/// Reads the list.
pub(super) fn read(list: &Value<'_>, pool: &Pool, bounds: &Bounds) -> Vec<Model> {
    let mut ids = Vec::new();
    let mut models = Vec::new();
    for item in list.items() {
        let mut fields = item.fields();
        let id = fields.require("id").and_then(|id| unique_id(&id, &ids));
        let timeouts = TimeoutsSection::read_own(&mut fields);
        // Checked once by itself, so that a slip is told once and not for each target.
        timeouts.over(bounds.timeouts, bounds);
        let targets = fields.require("targets").map(|targets| read_targets(&targets, pool, bounds, &timeouts));
        fields.finish(&[]);
        if let (Some(id), Some(targets)) = (&id, targets) {
            models.push(Model { id: ModelName::new(id), targets, fallback_models: Vec::new(), hedge: None });
        }
        ids.extend(id);
    }
    models
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

/// Reads the name of the default model: an alias, `provider/model`, or a model that an alias leads to.
///
/// # Errors
/// It is none of these.
pub(super) fn default_model(name: &str, models: &[Model], pool: &Pool) -> Result<ModelName, Wrong> {
    let is_alias = models.iter().any(|model| model.id.as_str() == name);
    let is_target = models.iter().flat_map(|model| &model.targets).any(|target| target.model.as_str() == name);
    let is_pair = name
        .split_once('/')
        .is_some_and(|(provider, model)| !model.is_empty() && pool.ids.iter().any(|id| id == provider));
    if is_alias || is_target || is_pair {
        return Ok(ModelName::new(name));
    }
    let aliases: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    let pairs = pool.ids.iter().map(|id| format!("{id}/MODEL")).collect::<Vec<_>>().join("`, `");
    let right = match aliases.is_empty() {
        true => format!("write `{pairs}` with a model of that provider"),
        false => format!("{}, or write `{pairs}`", suggestion(name, aliases)),
    };
    Err(Wrong::new(format!("`{name}` leads nowhere"), right))
}
