//! An issuer as it is configured: whose word counts, for whom, and what those may do whom it tells.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use crate::callers::{Allowance, LedgerView, Models};

/// Somebody whose word counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name here: what the names of its callers begin with.
    pub name: String,
    /// What its tokens call it, to the letter.
    pub issuer: String,
    /// For whom its tokens are; each is one of these.
    pub audiences: Vec<String>,
    /// Where its keys come from.
    pub keys: KeysFrom,
    /// What it may sign with.
    pub algorithms: Vec<TokenAlgorithm>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Which claim names a caller.
    pub caller_claim: ClaimName,
    /// Which claim says what a caller may ask for; none: only what is laid down here counts.
    pub models_claim: Option<ClaimName>,
    /// What callers may do who have no entry of their own: the first that fits.
    pub templates: Vec<Template>,
}

/// Where keys come from, and how long they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysFrom {
    /// Whose they are, by its name here.
    pub name: String,
    /// Where they are.
    pub at: KeysAt,
    /// How often they are read.
    pub refresh_interval: Duration,
    /// How long they count when they cannot be read any more.
    pub keep: Duration,
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// At an address.
    Url(String),
    /// In a file.
    File(PathBuf),
}

/// What a caller may do who has no entry of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// It fits tokens that have all of these; none: each token.
    pub claims: Vec<(ClaimName, String)>,
    /// What may be asked for.
    pub models: Models,
    /// What its calls are for.
    pub labels: BTreeMap<String, String>,
    /// Whether it may administer the server.
    pub is_admin: bool,
    /// How much it sees of what was tried.
    pub view: Option<LedgerView>,
    /// How much each of its callers may use.
    pub allowance: Allowance,
}

/// An algorithm that a token may be signed with. None by which who checks could sign is among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAlgorithm(pub(super) Algorithm);

impl TokenAlgorithm {
    /// All that there are, by their names.
    pub const NAMES: [&'static str; 9] =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    /// Those that are allowed where nothing else is said.
    pub const DEFAULT: [Self; 3] = [Self(Algorithm::RS256), Self(Algorithm::ES256), Self(Algorithm::EdDSA)];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok().filter(|_| Self::NAMES.contains(&name)).map(Self)
    }
}

/// The name of a claim, or the way to one that stands within others, its steps parted by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimName(String);

impl ClaimName {
    /// This name, which is not empty.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its value. A claim whose own name has dots is found first.
    pub(super) fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(value) = claims.get(&self.0) {
            return Some(value);
        }
        let mut steps = self.0.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }
}

impl Template {
    /// Whether it is for a token with these claims.
    pub(super) fn fits(&self, claims: &Map<String, Value>) -> bool {
        let holds = |value: &Value, wanted: &str| match value {
            Value::String(text) => text == wanted,
            Value::Bool(truth) => truth.to_string() == wanted,
            Value::Array(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
            _ => false,
        };
        self.claims.iter().all(|(claim, wanted)| claim.find(claims).is_some_and(|value| holds(value, wanted)))
    }
}
