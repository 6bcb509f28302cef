//! A configuration without a file: what the environment holds keys for, else what runs on this machine, else the
//! simulator.

use http::Uri;

use super::address;
use super::nearest::either;
use super::problem::{Problem, Problems};
use super::provider::Provider;
use super::secrets::Secret;
use super::settings::Bounds;
use super::sources::Sources;
use super::{Config, Model, Overrides, Source, Target};
use crate::domain::{ModelId, ModelName, ProviderId};
use crate::protocol::vendor::Preset;

/// The preset of the simulator.
const SIMULATOR: &str = "simulator";

/// What the environment holds.
#[derive(Debug)]
pub enum Discovered {
    /// Keys, so here is a whole configuration.
    Providers(Config),
    /// No key.
    Nothing(Bare),
}

/// A configuration to which no provider has been found yet.
#[derive(Clone, Debug)]
pub struct Bare {
    config: Config,
    known: Vec<&'static str>,
    simulator: Option<&'static Preset>,
}

impl Config {
    /// The configuration of a server without a file: one provider for each vendor whose key the environment holds,
    /// each named as its preset.
    ///
    /// # Errors
    /// A key that no header can carry, or listeners that want the same address.
    pub fn discover(overrides: &Overrides, sources: &Sources<'_>) -> Result<Discovered, Problems> {
        let mut config = Self::bare(overrides)?;
        let mut variables: Vec<String> = Vec::new();
        for preset in sources.presets {
            let Some(variable) = preset.key_variable.filter(|name| !variables.iter().any(|found| found == name)) else {
                continue;
            };
            let Some(content) = sources.filled(variable) else { continue };
            let Some(url) = preset.base_url else {
                config.warnings.push(without_address(preset, variable));
                continue;
            };
            let outside = |wrong: super::problem::Wrong| Problems::outside(variable, wrong.rule, wrong.right);
            let key = Secret::from_variable(variable, &content).map_err(outside)?;
            let url = address::base_url(url).map_err(outside)?;
            config.providers.push(Provider::of(preset, url, Some(key), config.timeouts));
            variables.push(variable.to_owned());
        }
        if config.providers.is_empty() {
            let known = sources.presets.iter().filter(|preset| preset.base_url.is_some());
            let known = known.filter_map(|preset| preset.key_variable).collect();
            return Ok(Discovered::Nothing(Bare { config, known, simulator: sources.preset(SIMULATOR) }));
        }
        if let Some((rule, right)) = config.exposures().into_iter().next() {
            return Err(Problems::outside("", rule, right));
        }
        config.default_model = config.providers.iter().find_map(first_model);
        config.source = Source::Environment(variables);
        Ok(Discovered::Providers(config))
    }

    fn bare(overrides: &Overrides) -> Result<Self, Problems> {
        let bounds = Bounds::default();
        let mut config = Self::defaults(bounds);
        overrides.apply(&mut config);
        config.admitted.anonymous = overrides.allow_anonymous;
        match config.collision() {
            Some((rule, right)) => Err(Problems::outside("", rule, right)),
            None => Ok(config),
        }
    }
}

impl Bare {
    /// With a provider that runs on this machine and needs no key, and the models that it said it has.
    pub fn with_local(self, preset: &'static Preset, base_url: Uri, models: &[ModelId]) -> Config {
        let mut config = self.config;
        let provider = Provider::of(preset, base_url, None, config.timeouts);
        let id = provider.id.clone();
        config.models = models.iter().map(|model| alias(model, &id, &config)).collect();
        config.default_model = config.models.first().map(|model| model.id.clone());
        config.providers = vec![provider];
        config.source = Source::Local(id);
        config
    }

    /// With the simulator, which answers on this machine only.
    ///
    /// # Errors
    /// The public listener can be reached from elsewhere: made-up answers must not be taken for real ones.
    pub fn with_simulator(self) -> Result<Config, Problems> {
        let mut config = self.config;
        if !config.listen.is_loopback() {
            let rule = format!("there is no provider, and {} can be reached from other machines", config.listen);
            let right = format!(
                "set the key of a provider ({}), or write a file and name it with --config; the simulator answers on \
                 loopback addresses only",
                either(self.known)
            );
            return Err(Problems::outside("listen", rule, right));
        }
        let missing = || Problems::outside("", "there is no provider", "write a file and name it with --config");
        let preset = self.simulator.ok_or_else(missing)?;
        let url = preset.base_url.and_then(|url| address::base_url(url).ok()).ok_or_else(missing)?;
        let provider = Provider::of(preset, url, None, config.timeouts);
        let model = preset.first_model.map(|model| alias(&ModelId::new(model), &provider.id, &config));
        config.default_model = model.as_ref().map(|model| model.id.clone());
        config.models = model.into_iter().collect();
        config.providers = vec![provider];
        config.source = Source::Simulator;
        Ok(config)
    }
}

fn first_model(provider: &Provider) -> Option<ModelName> {
    provider.preset.first_model.map(|model| ModelName::new(format!("{}/{model}", provider.id)))
}

fn alias(model: &ModelId, provider: &ProviderId, config: &Config) -> Model {
    let (provider, timeouts) = (provider.clone(), config.timeouts);
    let target = Target { provider, model: model.clone(), priority: 0, weight: 1, timeouts };
    Model {
        prompt_cache: Default::default(),
        id: ModelName::new(model.as_str()),
        targets: vec![target],
        fallback_models: Vec::new(),
        hedge: None,
        price: None,
    }
}

fn without_address(preset: &Preset, variable: &str) -> Problem {
    Problem {
        mark: None,
        key: variable.to_owned(),
        rule: format!("is set, but each account of `{}` has its own address", preset.name),
        right: "write a file with its `base_url` and name it with --config".to_owned(),
    }
}
