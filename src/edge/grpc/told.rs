//! What is told about a call at its end: to its caller a status with the ledger, to the operator a span and a log line.

use std::sync::Arc;

use tonic::{Request as Arriving, Status};
use uuid::Uuid;

use super::admission::{Charge, Entered};
use super::convert::LedgerView;
use super::status;
use crate::callers::Caller;
use crate::domain::{Answer, Attempt, CallId, Error, Event, Outcome, Reason, Request};
use crate::pipeline::Keep;
use crate::pool::Ledger;
use crate::store::{Books, Fate, Record};
use crate::telemetry::{CallEnd, CallSpan, CallTrace, Metrics, Rpc, Tracer, Waits, Work, WorkSpan};

/// What a caller and an operator are told about a call, however it ends. Dropped before its end was told, it says that
/// the caller went away.
#[derive(Debug)]
pub(super) struct Told {
    /// Our id of it.
    pub(super) id: CallId,
    /// Who calls.
    pub(super) caller: Arc<Caller>,
    /// How much of the ledger it sees.
    pub(super) view: LedgerView,
    /// What was tried for it.
    pub(super) ledger: Ledger,
    /// Its span and its log line; none once they were written.
    span: Option<Box<CallSpan>>,
    /// What the admission has taken for it.
    charge: Option<Arc<Charge>>,
    /// What is kept about it; none: it is no completion, or its end is on record.
    record: Option<Record>,
}

impl Told {
    /// What will be told about a call that begins; the admission has given it its id.
    pub(super) fn begin<M>(
        request: &Arriving<M>,
        rpc: Rpc,
        view: LedgerView,
        (tracer, metrics): (&Tracer, &Metrics),
    ) -> Self {
        let id = request.extensions().get().copied().unwrap_or_else(|| CallId::new(Uuid::now_v7()));
        let entered = request.extensions().get::<Entered>();
        let (caller, charge) =
            entered.map(|entered| (Arc::clone(&entered.caller), Arc::clone(&entered.charge))).unzip();
        let caller: Arc<Caller> = caller.unwrap_or_default();
        let span = CallSpan::start(tracer, request.metadata().as_ref(), rpc, id).counted_by(metrics);
        let span = Some(span.of_caller(&caller.name));
        let view = caller.view.unwrap_or(view);
        Self { id, caller, view, ledger: Ledger::default(), span, charge, record: None }
    }

    /// What will be told about one call of the batch that this describes.
    pub(super) fn item(&self, id: CallId) -> Self {
        let span = self.span.as_ref().map(|span| span.item(id));
        let caller = Arc::clone(&self.caller);
        Self { id, caller, view: self.view, ledger: Ledger::default(), span, charge: None, record: None }
    }

    /// Takes a place among the calls in flight for this call of the batch that `batch` describes.
    ///
    /// # Errors
    /// `OVERLOADED` when there is none.
    pub(super) fn take_place(&mut self, batch: &Self) -> Result<(), Error> {
        self.charge = batch.charge.as_ref().map(|charge| charge.beside()).transpose()?;
        Ok(())
    }

    /// What has arrived so far is charged to the calls of this batch, or is gone.
    pub(super) fn give_back_bytes(&self) {
        if let Some(charge) = &self.charge {
            charge.give_back_bytes();
        }
    }

    /// What was taken for the call, for whoever holds something of it that is not told yet.
    pub(super) fn place(&self) -> Option<Arc<Charge>> {
        self.charge.clone()
    }

    /// The message takes this many bytes; compressed it came as fewer.
    ///
    /// # Errors
    /// `OVERLOADED` when that is too many with all others.
    pub(super) fn charge_for(&self, bytes: usize) -> Result<(), Error> {
        self.charge.as_ref().map_or(Ok(()), |charge| charge.raise_to(bytes))
    }

    /// The call is over, though its client does not take the rest: what was taken for it is free for others.
    pub(super) fn give_back(&self) {
        if let Some(charge) = &self.charge {
            charge.leave();
        }
    }

    /// What the call waits for.
    pub(super) fn waits(&self) -> Waits {
        self.span.as_ref().map(|span| span.waits().clone()).unwrap_or_default()
    }

    /// The request was understood; what is returned makes the spans of its attempts.
    pub(super) fn understood(&mut self, request: &Request, books: &Books) -> CallTrace {
        self.record = Some(books.open((self.id, &self.caller.name), request, &self.ledger));
        self.span.as_mut().map_or_else(CallTrace::off, |span| span.completion(request))
    }

    /// What is held for the call as long as anything is made for it.
    pub(super) fn keep(&self) -> Arc<dyn Keep> {
        Arc::new(Kept::new(self.record.clone(), self.charge.clone()))
    }

    /// The answer is complete.
    pub(super) fn completed(&mut self, outcome: &Outcome) {
        if let Some(record) = &self.record {
            record.answered_by(&outcome.model);
        }
        self.close(|| Fate::Succeeded(outcome.finish.reason));
        if let Some(span) = self.span.take() {
            span.finish(CallEnd::Completed(outcome));
        }
    }

    /// The whole answer is complete.
    pub(super) fn completed_whole(&mut self, answer: &Answer) {
        if let Some(span) = &mut self.span {
            span.told_whole(&answer.message.content);
        }
        self.completed(&answer.end);
    }

    /// A piece of the answer goes to the caller.
    pub(super) fn said(&mut self, event: &Event) {
        if let Some(span) = &mut self.span {
            span.told(event);
        }
    }

    /// Begins the span of some work for the call.
    pub(super) fn work(&self, work: Work) -> WorkSpan {
        self.span.as_ref().map_or_else(WorkSpan::off, |span| span.work(work))
    }

    /// The answer is no completion.
    pub(super) fn answered(&mut self) {
        if let Some(span) = self.span.take() {
            span.finish(CallEnd::Answered);
        }
    }

    /// The status of a failure, with all that was tried and used until it came.
    pub(super) fn status(&mut self, error: Error) -> Status {
        let error = error.with(|details| {
            details.attempts = self.ledger.lines();
            details.usage = Attempt::usage_of_all(&details.attempts);
            details.cost = Attempt::cost_of_all(&details.attempts);
        });
        let status = status::status(&error, Some(self.id), self.view);
        self.close(|| match error.reason {
            Reason::Cancelled => Fate::Cancelled,
            _ => failed(&error, status.message().to_owned()),
        });
        if let Some(span) = self.span.take() {
            span.finish(CallEnd::Failed { status: status::name(status.code()), error: &error });
        }
        status
    }

    fn close(&mut self, fate: impl FnOnce() -> Fate) {
        if let Some(record) = self.record.take() {
            record.close(fate());
        }
    }
}

/// A call of which something is made, though its caller may be gone.
#[derive(Debug)]
struct Kept {
    record: Option<Record>,
    /// Who goes away makes no room for another call while this one is made to its end.
    charge: Option<Arc<Charge>>,
}

impl Kept {
    fn new(record: Option<Record>, charge: Option<Arc<Charge>>) -> Self {
        if let Some(charge) = &charge {
            charge.making();
        }
        Self { record, charge }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(charge) = &self.charge {
            charge.made();
        }
    }
}

impl Keep for Kept {
    fn ended(&self, how: Result<&Answer, &Error>) {
        let Some(record) = &self.record else { return };
        match how {
            Ok(answer) => {
                record.answered_by(&answer.end.model);
                record.made(Fate::Succeeded(answer.end.finish.reason));
            }
            Err(error) => record.made(failed(error, error.message.to_string())),
        }
    }
}

fn failed(error: &Error, message: String) -> Fate {
    Fate::Failed { code: status::code(error.reason).into(), reason: error.reason, message }
}

impl Drop for Told {
    /// The caller went away. Whoever holds the reply beside this drops it first, so that all attempts are on record.
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            let attempts = self.ledger.lines();
            let (usage, cost) = (Attempt::usage_of_all(&attempts), Attempt::cost_of_all(&attempts));
            span.finish(CallEnd::Left { usage: usage.as_ref(), cost: cost.as_ref() });
        }
    }
}
