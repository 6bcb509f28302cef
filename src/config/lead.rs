//! Names that must lead somewhere: the default model, and the models that are asked in place of another.

use super::nearest::suggestion;
use super::problem::Wrong;
use super::reader::Value;
use crate::domain::ModelName;

/// The most fallbacks of one model, and as many as a request may name.
const MAX_FALLBACKS: usize = 8;

/// What a name may lead to.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The ids of the pool.
    pub(super) providers: Vec<String>,
    /// The aliases of the file, those with a fault included: what leads to them is not wrong as well.
    pub(super) aliases: Vec<String>,
    /// The models that the aliases lead to.
    pub(super) targets: Vec<String>,
}

impl Names {
    /// Reads the name of a model: an alias, `provider/model`, or a model that an alias leads to.
    ///
    /// # Errors
    /// It is none of these.
    pub(super) fn find(&self, name: &str) -> Result<ModelName, Wrong> {
        let is_pair = name
            .split_once('/')
            .is_some_and(|(provider, model)| !model.is_empty() && self.providers.iter().any(|id| id == provider));
        if is_pair || self.aliases.iter().chain(&self.targets).any(|known| known == name) {
            return Ok(ModelName::new(name));
        }
        Err(Wrong::new(format!("`{name}` leads nowhere"), self.right(name)))
    }

    /// What to write in place of a name that leads nowhere.
    fn right(&self, name: &str) -> String {
        let pairs = self.providers.iter().map(|id| format!("{id}/MODEL")).collect::<Vec<_>>().join("`, `");
        let mut known: Vec<String> = self.aliases.iter().chain(&self.targets).cloned().collect();
        if let Some((_, model)) = name.split_once('/').filter(|(_, model)| !model.is_empty()) {
            // The slip may be in the provider's half.
            known.extend(self.providers.iter().map(|id| format!("{id}/{model}")));
        }
        let near = super::nearest(name, known.iter().map(String::as_str));
        match (near.is_empty(), self.aliases.is_empty()) {
            (true, true) if self.providers.is_empty() => "there is no provider; name one in `providers`".to_owned(),
            (true, true) => format!("write `{pairs}` with a model of that provider"),
            (true, false) => {
                format!("{}, or write `{pairs}`", suggestion(name, self.aliases.iter().map(String::as_str)))
            }
            (false, _) => format!("{}, or write `{pairs}`", suggestion(name, near)),
        }
    }

    /// Reads the `fallback_models` of the alias `own`.
    pub(super) fn fallbacks(&self, list: &Value<'_>, own: Option<&str>) -> Vec<ModelName> {
        let items = list.items();
        if items.len() > MAX_FALLBACKS {
            let rule = format!("has {} names, and may have at most {MAX_FALLBACKS}", items.len());
            list.wrong(Wrong::new(rule, "leave out those that are least likely to answer"));
        }
        let mut names: Vec<ModelName> = Vec::new();
        for item in &items {
            let read = |name: &str| match self.find(name)? {
                name if Some(name.as_str()) == own => {
                    Err(Wrong::new(format!("`{name}` is this model itself"), "leave it out"))
                }
                name if names.contains(&name) => {
                    Err(Wrong::new(format!("`{name}` stands here a second time"), "leave it out"))
                }
                name => Ok(name),
            };
            let name = item.parse(read);
            names.extend(name);
        }
        names
    }
}
