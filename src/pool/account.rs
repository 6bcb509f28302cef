//! What is shared by all models of one account: its key, and the health of each of its endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::health::{Breaker, ConcurrencyRule, FleetLimits, Health, HealthReport, LimitNews};
use super::tags::ModelTag;
use crate::domain::ModelId;
use crate::tokens::Learned;

/// The most models whose health is kept. Callers may ask for any name at a provider.
const MAX_MODELS: usize = 1024;

/// The state of one account, kept when the configuration is loaded again and the account is the same.
#[derive(Debug)]
pub struct Account {
    key: Arc<Mutex<Breaker>>,
    rule: ConcurrencyRule,
    models: Mutex<HashMap<ModelId, Known>>,
}

/// What was learned about one model.
#[derive(Clone, Debug)]
pub(super) struct Known {
    tag: ModelTag,
    pub(super) health: Arc<Health>,
    pub(super) learned: Arc<Learned>,
}

impl Known {
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.health) > 1
    }
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

    /// The health of `model` here.
    pub fn health(&self, model: &ModelId) -> Arc<Health> {
        self.known(model).health
    }

    /// What was learned about `model` here. When there are too many those are forgotten that nobody holds: first the
    /// ones that have never answered, so that made-up names do not wipe out what was learned about real ones.
    pub(super) fn known(&self, model: &ModelId) -> Known {
        let mut models = self.models();
        if let Some(known) = models.get(model) {
            return known.clone();
        }
        if models.len() >= MAX_MODELS {
            models.retain(|_, known| known.is_held() || known.health.has_answered());
        }
        if models.len() >= MAX_MODELS {
            models.retain(|_, known| known.is_held());
        }
        let health = Arc::new(Health::new(Arc::clone(&self.key), self.rule));
        let known = Known { tag: ModelTag::of(model), health, learned: Arc::default() };
        if models.len() < MAX_MODELS {
            models.insert(model.clone(), known.clone());
        }
        known
    }

    /// What an operator sees of each endpoint, by model.
    pub fn report(&self, now: Instant) -> Vec<(ModelId, HealthReport)> {
        let mut report: Vec<_> =
            self.models().iter().map(|(model, known)| (model.clone(), known.health.report(now))).collect();
        report.sort_by(|(one, _), (other, _)| one.cmp(other));
        report
    }

    /// Attempts so far, and what other processes do not know yet of the limits of its endpoints.
    pub fn limit_news(&self, now: Instant) -> (u64, Vec<(ModelTag, LimitNews)>) {
        let mut sent = 0_u64;
        let mut all = Vec::new();
        for known in self.models().values() {
            let (attempts, news) = known.health.limit_news(now);
            sent = sent.saturating_add(attempts);
            all.extend(news.map(|news| (known.tag, news)));
        }
        (sent, all)
    }

    /// All processes together know this of the limits of its endpoints; they were asked at `asked`, with what
    /// [`Account::limit_news`] had said.
    pub fn agree(&self, fleet: &HashMap<ModelTag, FleetLimits>, asked: Instant) {
        for known in self.models().values() {
            match fleet.get(&known.tag) {
                Some(limits) => known.health.agree(limits, asked),
                None => known.health.is_unknown_elsewhere(),
            }
        }
    }

    fn models(&self) -> MutexGuard<'_, HashMap<ModelId, Known>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Error, Reason};
    use crate::pool::health::{Access, Lease, Right, Settled};
    use crate::protocol::Delivery;

    fn account() -> Account {
        Account::new(ConcurrencyRule::default())
    }

    fn model(name: impl std::fmt::Display) -> ModelId {
        ModelId::new(name.to_string())
    }

    fn kept(account: &Account) -> usize {
        account.models.lock().unwrap().len()
    }

    fn lease(health: &Arc<Health>, now: Instant) -> Lease {
        health.lease(Delivery::Stream, Right::Standing, now).unwrap()
    }

    fn access(health: &Health, now: Instant) -> Access {
        health.standing(Delivery::Stream, now).access
    }

    #[test]
    fn who_asks_for_ten_thousand_names_takes_little_memory_and_nobodys_health() {
        let (account, now) = (account(), Instant::now());
        let configured = account.health(&model("configured"));
        let unknown = Error::new(Reason::ProviderModelNotFound, "unknown");
        lease(&configured, now).settle(Settled::Failed(&unknown), now);
        for name in 0..10_000 {
            lease(&account.health(&model(name)), now).settle(Settled::Failed(&unknown), now);
            assert!(kept(&account) <= MAX_MODELS);
        }
        assert!(Arc::ptr_eq(&configured, &account.health(&model("configured"))));
        assert_eq!(account.report(now).len(), kept(&account));
        assert!(matches!(access(&account.health(&model("configured")), now), Access::Ejected { .. }));
    }

    #[test]
    fn made_up_names_do_not_wipe_out_what_is_known_about_a_model_that_answers() {
        let (account, now) = (account(), Instant::now());
        lease(&account.health(&model("real")), now).accepted(now);
        for _ in 0..5 {
            let down = Error::new(Reason::ProviderUnavailable, "down");
            lease(&account.health(&model("real")), now).settle(Settled::Failed(&down), now);
        }
        for name in 0..10_000 {
            drop(lease(&account.health(&model(name)), now));
        }
        assert!(matches!(access(&account.health(&model("real")), now), Access::Ejected { .. }));
    }

    #[test]
    fn what_an_attempt_runs_on_is_not_forgotten() {
        let (account, now) = (account(), Instant::now());
        let running: Vec<_> = (0..2 * MAX_MODELS).map(|name| lease(&account.health(&model(name)), now)).collect();
        assert_eq!(kept(&account), MAX_MODELS, "the others go without a memory");
        let in_flight = |name: usize| account.health(&model(name)).standing(Delivery::Stream, now).in_flight;
        assert!((0..MAX_MODELS).all(|name| in_flight(name) == 1));
        drop(running);
        account.health(&model("new"));
        assert_eq!(kept(&account), 1);
    }

    #[test]
    fn a_name_that_is_asked_for_again_is_remembered() {
        let (account, now) = (account(), Instant::now());
        let refused = Error::new(Reason::ProviderCredentialsRefused, "refused");
        lease(&account.health(&model("a")), now).settle(Settled::Failed(&refused), now);
        assert!(matches!(access(&account.health(&model("b")), now), Access::LockedOut { .. }), "they share the key");
        let models: Vec<_> = account.report(now + Duration::from_secs(1)).into_iter().map(|(model, _)| model).collect();
        assert_eq!(models, [model("a"), model("b")]);
    }
}
