//! What was tried for a call, told truly however the call ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use http::StatusCode;

use super::health::{Lease, Settled};
use super::{Meter, RetryBudget};
use crate::domain::{Allowance, Attempt, AttemptOutcome, Cost, Error, Finish, Identity, Reason, Terms, Usage};
use crate::telemetry::{AttemptSpan, Waits};

/// The attempts of one call, in the order in which they ended. Everything that may end the call shares it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    ended: Vec<Attempt>,
    last_asked: Option<Identity>,
}

impl Ledger {
    /// Notes a target that is passed over.
    pub fn skip(&self, endpoint: Identity, reason: Reason) {
        self.push(Attempt {
            endpoint,
            outcome: AttemptOutcome::Skipped(reason),
            duration: None,
            time_to_first_event: None,
            usage: None,
            cost: None,
        });
    }

    /// Opens the entry of an attempt that begins now, and that `meter` measures. It holds `lease`, and pays into `budget` when it succeeds.
    pub fn begin(&self, meter: Meter, span: AttemptSpan, lease: Lease, budget: RetryBudget) -> Entry {
        self.lock().last_asked = Some(meter.identity().clone());
        let (ledger, sent) = (self.clone(), Instant::now());
        Entry { ledger, meter, span, lease, budget, sent, first_event: None, settled: false }
    }

    /// What was tried so far.
    pub fn lines(&self) -> Vec<Attempt> {
        self.lock().ended.clone()
    }

    /// What `look` makes of what was tried so far.
    pub fn look<T>(&self, look: impl FnOnce(&[Attempt]) -> T) -> T {
        look(&self.lock().ended)
    }

    /// Who was asked last; none: nobody was asked yet.
    pub fn last_asked(&self) -> Option<Identity> {
        self.lock().last_asked.clone()
    }

    fn push(&self, attempt: Attempt) {
        self.lock().ended.push(attempt);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running attempt: where all who care about its end are told of it, once. Dropped without being settled, it was given
/// up.
#[derive(Debug)]
pub struct Entry {
    ledger: Ledger,
    meter: Meter,
    span: AttemptSpan,
    lease: Lease,
    budget: RetryBudget,
    sent: Instant,
    first_event: Option<Duration>,
    settled: bool,
}

impl Entry {
    /// The head of the answer came.
    pub fn head(&mut self, status: StatusCode) {
        self.meter.head(|| status.is_success());
        self.span.response(status);
    }

    /// The head of the answer told what is left of the account's limits.
    pub fn learn(&self, allowance: &Allowance) {
        if !allowance.is_silent() {
            self.lease.learn(allowance, Instant::now());
        }
    }

    /// An event came: the first one, or a later one.
    pub fn accepted(&mut self, now: Instant) {
        if self.first_event.is_none() {
            self.first_event = Some(now.saturating_duration_since(self.sent));
            self.meter.accepted();
            self.span.first_event(now);
            self.lease.accepted(now);
        }
    }

    /// Something came that makes an event of the answer.
    pub(super) fn chunk(&mut self, now: Instant) {
        self.span.chunk(now);
    }

    /// What the call waits for.
    pub(super) const fn waits(&self) -> &Waits {
        self.span.waits()
    }

    /// What measures it.
    pub(super) fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    /// It answered. What was not told of its usage is added to `finish`.
    pub fn finished(&mut self, finish: &mut Finish, terms: &Terms) {
        if self.settled {
            return;
        }
        self.meter.finish(finish);
        let cost = self.meter.cost(&finish.usage, terms, finish.cost);
        self.succeeded(finish.usage.clone(), cost);
    }

    /// The provider's filter stopped the prompt: that is an answer, and no work was done for it.
    pub fn filtered(&mut self) {
        self.accepted(Instant::now());
        self.succeeded(Usage::default(), None);
    }

    /// It failed, when the provider had told `told`. Returns what was used.
    pub fn failed(&mut self, error: &Error, told: Usage, terms: &Terms) -> Usage {
        let usage = self.meter.failed(error.reason, told);
        let error = error.clone().before_commit();
        let cost = self.meter.cost(&usage, terms, None);
        self.settle(AttemptOutcome::Failed(error.reason), Settled::Failed(&error), usage.clone(), cost);
        usage
    }

    /// It is given up, when the provider had told `told`.
    pub fn given_up(&mut self, told: Usage, terms: &Terms) {
        if self.settled {
            return;
        }
        let usage = self.meter.cut(told);
        let cost = self.meter.cost(&usage, terms, None);
        self.settle(AttemptOutcome::Dropped, Settled::Dropped, usage, cost);
    }

    fn succeeded(&mut self, usage: Usage, cost: Option<Cost>) {
        let now = Instant::now();
        if !self.settled {
            self.budget.succeeded(now);
        }
        self.settle_at(now, AttemptOutcome::Finished, Settled::Finished, usage, cost);
    }

    fn settle(&mut self, outcome: AttemptOutcome, health: Settled<'_>, usage: Usage, cost: Option<Cost>) {
        self.settle_at(Instant::now(), outcome, health, usage, cost);
    }

    /// Only the first word counts.
    fn settle_at(
        &mut self,
        now: Instant,
        outcome: AttemptOutcome,
        health: Settled<'_>,
        usage: Usage,
        cost: Option<Cost>,
    ) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.lease.settle(health, now);
        self.span.settle(outcome);
        self.ledger.push(Attempt {
            endpoint: self.meter.identity().clone(),
            outcome,
            duration: Some(now.saturating_duration_since(self.sent)),
            time_to_first_event: self.first_event,
            usage: Some(usage).filter(|usage| !usage.is_unknown()),
            cost,
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.given_up(Usage::default(), &Terms::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Uri;

    use crate::domain::{FinishReason, ModelId, ProviderId, Request, Vendor};
    use crate::pool::meter::tests::endpoint;
    use crate::pool::{Account, ConcurrencyRule, Right};
    use crate::protocol::Delivery;
    use crate::telemetry::{CallTrace, Target};
    use crate::transport::Departure;

    fn identity() -> Identity {
        Identity::new(ProviderId::new("p"), Vendor::new("v"), ModelId::new("m"))
    }

    fn span() -> AttemptSpan {
        let address = Uri::from_static("http://localhost/");
        CallTrace::off().attempt(Target { identity: &identity(), telemetry_name: "v", address: &address })
    }

    fn begun(ledger: &Ledger) -> Entry {
        let health = Account::new(ConcurrencyRule::default()).health(&ModelId::new("m"));
        let now = Instant::now();
        let lease = health.lease(Delivery::Stream, Right::Standing, now).unwrap();
        let meter = Meter::new(&endpoint(None), &Request::default(), Departure::default(), None);
        ledger.begin(meter, span(), lease, RetryBudget::full(now))
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_settled_once_and_with_its_times() {
        let ledger = Ledger::default();
        let mut entry = begun(&ledger);
        tokio::time::advance(Duration::from_secs(2)).await;
        entry.accepted(Instant::now());
        tokio::time::advance(Duration::from_secs(3)).await;
        entry.finished(&mut Finish::new(FinishReason::Stop, ""), &Terms::default());
        drop(entry);
        let lines = ledger.lines();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].outcome, AttemptOutcome::Finished);
        assert_eq!(lines[0].duration, Some(Duration::from_secs(5)));
        assert_eq!(lines[0].time_to_first_event, Some(Duration::from_secs(2)));
    }

    #[tokio::test]
    async fn an_attempt_that_is_given_up_is_on_record() {
        let ledger = Ledger::default();
        drop(begun(&ledger));
        assert_eq!(ledger.lines()[0].outcome, AttemptOutcome::Dropped);
    }
}
