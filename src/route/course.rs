//! What a call has behind and before it: whom it asks next, what is sent there and in which time, and what has failed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::failures::{Failures, not_asked};
use super::guard::{Allowed, TooDear, afford, spent};
use super::itinerary::{Itinerary, Place, Step, View, window};
use super::plan::{Conclusion, Plan, likely_delivery, plan, reason};
use super::scene::Scene;
use super::{Retry, Target};
use crate::domain::{Error, Identity, PicoUsd, Reason, Tokens};
use crate::pool::{Access, Endpoint, Lease, Right, Timeouts};
use crate::protocol::{Delivery, Exchange};
use crate::telemetry::Turn;

/// No text has fewer tokens than one for this many bytes: what is longer than a context by this measure is too long for
/// it by any.
const MOST_BYTES_PER_TOKEN: usize = 8;
/// At most this many others are left time for: a chain of fallbacks does not shorten the first attempt for ever.
const OTHERS_WITH_TIME: u32 = 2;

/// The course of one call.
#[derive(Debug)]
pub(super) struct Course {
    itinerary: Itinerary,
    failures: Failures,
    /// What the attempt under way may cost, which is not in the ledger yet: one beside it must leave that to it.
    running: PicoUsd,
}

/// All that one attempt needs. It is handed on in a box: what waits for an attempt would have room for it at each step.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) place: Place,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) exchange: Exchange,
    pub(super) conclusion: Conclusion,
    pub(super) timeouts: Timeouts,
    pub(super) lease: Lease,
    /// What it may cost; none: as much as it takes.
    pub(super) spend: Option<PicoUsd>,
}

/// Why an attempt is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmade {
    /// The target cannot take the request, or its standing has changed: another one may do.
    Next,
    /// The retry budget allows no more.
    Spent,
}

impl Course {
    /// Nothing was tried yet. `leads` are the targets of the model and of those to fall back to.
    pub(super) fn new(leads: Vec<Vec<Target>>, retry: Retry) -> Self {
        Self { itinerary: Itinerary::new(leads, retry), failures: Failures::default(), running: PicoUsd::default() }
    }

    /// The attempts that were made.
    pub(super) fn attempts(&self) -> u32 {
        self.itinerary.attempts()
    }

    /// Whom to ask next; none: nobody. Those that are passed over are on record.
    pub(super) fn next(&mut self, scene: &Scene) -> Option<Step> {
        if self.attempts() == 0 {
            self.pass_over_short_contexts(scene);
        }
        // Between two steps no attempt is under way: what the last one cost is on record.
        self.running = PicoUsd::default();
        let now = Instant::now();
        let step = with_view(scene, now, |view| self.itinerary.next(view));
        for (identity, access) in with_view(scene, now, |view| self.itinerary.passed_over(step.as_ref(), view)) {
            let Some(error) = not_asked(access, now) else { continue };
            scene.asked.trace.turn(Turn::PassedOver { endpoint: &identity, standing: standing_word(access) });
            scene.asked.ledger.skip(identity, error.reason);
            self.failures.passed_over(error);
        }
        step
    }

    /// What is sent in the next attempt, and the place that it takes.
    pub(super) fn leg(&mut self, scene: &Scene, step: Step) -> Result<Box<Leg>, Unmade> {
        let Some(target) = self.itinerary.target(step.place) else { return Err(Unmade::Next) };
        let endpoint = Arc::clone(&target.endpoint);
        let now = Instant::now();
        let left = scene.asked.deadline.saturating_duration_since(now);
        let others = with_view(scene, now, |view| self.itinerary.others(step.place, view));
        let share = share(&endpoint, likely_delivery(&scene.asked), (left, now), others);
        let Plan { exchange, conclusion } = match plan(&endpoint, &scene.asked, &scene.rules, share) {
            Ok(plan) => plan,
            Err(unfit) => {
                skip(scene, endpoint.identity.clone(), reason(&unfit));
                self.failures.unfit(unfit);
                self.strike(step.place);
                return Err(Unmade::Next);
            }
        };
        let allowed = match self.afford(scene, &endpoint, conclusion.max_tokens()) {
            Ok(allowed) => allowed,
            Err(why) => {
                skip(scene, endpoint.identity.clone(), why.reason());
                self.failures.too_dear(why);
                self.strike(step.place);
                return Err(Unmade::Next);
            }
        };
        if endpoint.health.is_out_of_reach(exchange.delivery, left, now) {
            skip(scene, endpoint.identity.clone(), Reason::DeadlineExceeded);
            self.failures.passed_over(cannot_suffice());
            self.strike(step.place);
            return Err(Unmade::Next);
        }
        if self.attempts() > 0 && scene.budget.is_spent(now) {
            return Err(Unmade::Spent);
        }
        let Some(lease) = endpoint.health.lease(exchange.delivery, step.right, now) else {
            self.itinerary.missed();
            return Err(Unmade::Next);
        };
        // Between the two questions somebody else may have taken the last token.
        if self.attempts() > 0 && !scene.budget.take(now) {
            return Err(Unmade::Spent);
        }
        self.itinerary.begun(step.place);
        let timeouts = bounded(endpoint.timeouts, share);
        let lease = if timeouts == endpoint.timeouts { lease } else { lease.in_haste() };
        self.running = allowed.map_or_else(PicoUsd::default, |allowed| allowed.at_most);
        let spend = allowed.map(|allowed| allowed.left);
        Ok(Box::new(Leg { place: step.place, endpoint, exchange, conclusion, timeouts, lease, spend }))
    }

    /// What an attempt may cost; none: the call has no bound.
    fn afford(&self, scene: &Scene, endpoint: &Endpoint, max_tokens: Tokens) -> Result<Option<Allowed>, TooDear> {
        let bounds = [scene.asked.request.max_cost, scene.rules.max_call_cost];
        let Some(bound) = bounds.into_iter().flatten().min() else { return Ok(None) };
        let spent = spent(&scene.asked.ledger);
        let spent = spent.map(|spent| PicoUsd::new(spent.get().saturating_add(self.running.get())));
        afford(endpoint, &scene.asked.request, max_tokens, bound, spent).map(Some)
    }

    /// A second attempt beside one that is late; none where there is nobody to ask, or it may not be made.
    pub(super) fn beside(&mut self, scene: &Scene) -> Option<Box<Leg>> {
        let now = Instant::now();
        let place = with_view(scene, now, |view| self.itinerary.beside(view))?;
        let hedging = scene.hedging.as_ref().filter(|hedging| hedging.spend())?;
        let leg = self.leg(scene, Step { place, at: now, right: Right::Standing }).ok();
        if leg.is_none() {
            hedging.give_back();
        }
        leg
    }

    /// Takes note of a failure. False when nobody else may be asked.
    pub(super) fn note(&mut self, place: Place, error: Error) -> bool {
        let goes_on = self.itinerary.failed(place, &error, Instant::now(), &roll);
        self.failures.failed(error);
        goes_on
    }

    /// An answer of the target broke of which a part had left.
    pub(super) fn broke(&mut self, place: Place) {
        self.itinerary.broke(place);
    }

    /// The target is not asked any more.
    pub(super) fn strike(&mut self, place: Place) {
        self.itinerary.strike(place);
    }

    /// The most useful of the failures.
    pub(super) fn give_up(&mut self) -> Error {
        std::mem::take(&mut self.failures).most_useful()
    }

    /// Passes over the targets that the request is too long for by any measure, if there are others.
    fn pass_over_short_contexts(&mut self, scene: &Scene) {
        let least = scene.asked.request.text_bytes() / MOST_BYTES_PER_TOKEN;
        let least = Tokens::new(u32::try_from(least).unwrap_or(u32::MAX));
        let is_short = |target: &Target| window(target).is_some_and(|window| window < least);
        if self.itinerary.targets().all(|(_, target)| is_short(target)) {
            return;
        }
        let short = self.itinerary.targets().filter(|(_, target)| is_short(target));
        let short: Vec<_> = short.map(|(place, target)| (place, target.endpoint.identity.clone())).collect();
        for (place, identity) in short {
            skip(scene, identity, Reason::ContextLengthExceeded);
            self.strike(place);
        }
    }
}

/// Notes a target that the request does not fit.
fn skip(scene: &Scene, endpoint: Identity, reason: Reason) {
    scene.asked.trace.turn(Turn::Skipped { endpoint: &endpoint, reason });
    scene.asked.ledger.skip(endpoint, reason);
}

const fn standing_word(access: Access) -> &'static str {
    match access {
        Access::Free | Access::Probe => "free",
        Access::Held { .. } => "held",
        Access::Ejected { .. } => "ejected",
        Access::LockedOut { .. } => "locked_out",
        Access::Full => "full",
    }
}

fn with_view<T>(scene: &Scene, now: Instant, question: impl FnOnce(&View<'_>) -> T) -> T {
    let delivery = likely_delivery(&scene.asked);
    let standing = |target: &Target| target.endpoint.health.standing(delivery, now);
    question(&View {
        now,
        deadline: scene.asked.deadline,
        conversation: scene.asked.request.conversation_id.as_deref(),
        standing: &standing,
        roll: &roll,
    })
}

/// A number below `below`, which is above 0.
fn roll(below: u64) -> u64 {
    rand::random_range(0..below.max(1))
}

/// The time that an attempt may be silent when others shall have a chance too; none: nobody else is left, or there is
/// time enough. An endpoint gets what it usually needs, as long as a third is left for the others.
fn share(endpoint: &Endpoint, delivery: Delivery, (left, now): (Duration, Instant), others: u32) -> Option<Duration> {
    if others == 0 {
        return None;
    }
    let even = left / others.min(OTHERS_WITH_TIME).saturating_add(1);
    let usual = endpoint.health.quantile(delivery, 0.95, now).unwrap_or_default();
    Some(even.max((usual + usual / 2).min(left * 2 / 3)))
}

fn bounded(timeouts: Timeouts, share: Option<Duration>) -> Timeouts {
    let Some(share) = share else { return timeouts };
    Timeouts {
        connect: timeouts.connect,
        first_event: timeouts.first_event.min(share),
        idle: timeouts.idle.min(share),
        attempt: timeouts.attempt.min(share),
    }
}

fn cannot_suffice() -> Error {
    let message = "what is left of the deadline is less than half of what the endpoint needs at its best to begin";
    Error::new(Reason::DeadlineExceeded, message)
}
