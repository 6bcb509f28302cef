//! What is shared by all models of one account: its key, and the health of each of its endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::health::{Breaker, ConcurrencyRule, Health, HealthReport};
use crate::domain::ModelId;

/// The most models whose health is kept. Callers may ask for any name at a provider.
const MAX_MODELS: usize = 1024;

/// The state of one account, kept when the configuration is loaded again and the account is the same.
#[derive(Debug)]
pub struct Account {
    key: Arc<Mutex<Breaker>>,
    rule: ConcurrencyRule,
    models: Mutex<HashMap<ModelId, Arc<Health>>>,
}

impl Account {
    /// An account about which nothing is known.
    pub fn new(rule: ConcurrencyRule) -> Self {
        Self { key: Arc::new(Mutex::new(Breaker::new())), rule, models: Mutex::default() }
    }

    /// What the configuration says about attempts in flight.
    pub fn rule(&self) -> ConcurrencyRule {
        self.rule
    }

    /// The health of `model` here. It is forgotten when nobody holds it and there are too many.
    pub fn health(&self, model: &ModelId) -> Arc<Health> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = models.get(model) {
            return Arc::clone(known);
        }
        if models.len() >= MAX_MODELS {
            models.retain(|_, health| Arc::strong_count(health) > 1);
        }
        let health = Arc::new(Health::new(Arc::clone(&self.key), self.rule));
        if models.len() < MAX_MODELS {
            models.insert(model.clone(), Arc::clone(&health));
        }
        health
    }

    /// What an operator sees of each endpoint, by model.
    pub fn report(&self, now: Instant) -> Vec<(ModelId, HealthReport)> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report: Vec<_> = models.iter().map(|(model, health)| (model.clone(), health.report(now))).collect();
        report.sort_by(|(one, _), (other, _)| one.cmp(other));
        report
    }
}
