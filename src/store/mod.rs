//! Where state lives that outlasts a call: what became of calls, what was used, and what providers have said of their limits.
//!
//! A call opens a [`Record`] when it was understood, and closes it when its fate is known. A record that is dropped was
//! left by its caller.

mod allowances;
mod answers;
mod completions;
mod finished;
mod packed;
mod quotas;
mod redis;
mod usage;

pub use allowances::{AccountNews, Allowances};
pub use answers::{Age, AnswerKey, AnswerSettings, AnswerStats, Answers, Owner, Scope, Whose};
pub use completions::{Completion, CompletionSettings, Completions, Standing};
pub use finished::{Claim, Finished, Found, Met, Named};
pub use quotas::{Limit, Quota, Quotas, Reached, Reserved, Use};
pub use redis::{Health, RedisError, RedisUrl};
pub use usage::{
    FileError, Group, Grouping, Keep, Keeping, Observer, OpenError, Page, Place, Query, StoreError, Subject, Sums,
    UsageBook, UsageSettings, hour_of,
};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::domain::{Attempt, CallId, CallerName, FinishReason, ModelId, ModelName, Reason, Request};
use crate::pool::Ledger;

/// What is kept about calls. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// What became of each, for a while.
    pub completions: Completions,
    /// What was used, summed up.
    pub usage: UsageBook,
}

/// What is known about a call from its beginning.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Our id of it.
    pub id: CallId,
    /// Whose it is.
    pub caller: CallerName,
    /// The name that was asked for; none: the default.
    pub model: Option<ModelName>,
    /// What the call is for.
    pub labels: Arc<BTreeMap<String, String>>,
    /// When it came.
    pub at: SystemTime,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Its answer is complete.
    Succeeded(FinishReason),
    /// It failed.
    Failed {
        /// The gRPC status code.
        code: i32,
        /// Why.
        reason: Reason,
        /// What a person reads.
        message: String,
    },
    /// Its caller went away.
    Cancelled,
}

impl Books {
    /// Books that keep calls as `completions` says, and the sums where `usage` says, until what is returned beside them
    /// ends. `observer` is told what is summed up.
    ///
    /// # Errors
    /// [`OpenError`]: they cannot be kept there.
    pub fn open_all(
        completions: &CompletionSettings,
        usage: &UsageSettings,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, Keeping), OpenError> {
        let (usage, keeping) = UsageBook::open(usage, Some(observer))?;
        Ok((Self { completions: Completions::new(completions), usage }, keeping))
    }

    /// A call of `caller` begins whose attempts will stand in `ledger`.
    pub fn open(&self, (id, caller): (CallId, &CallerName), request: &Request, ledger: &Ledger) -> Record {
        let labels = Arc::new(request.labels.clone());
        let (caller, model) = (caller.clone(), request.model.clone());
        let asked = Asked { id, caller, model, labels, at: SystemTime::now() };
        self.completions.begun(&asked, ledger);
        Record(Arc::new(Open { books: self.clone(), asked, ledger: ledger.clone(), end: Mutex::default() }))
    }
}

/// The record of a call that runs. What is made for a call may outlive its caller: it is entered when the last of the
/// clones is dropped.
#[derive(Clone, Debug)]
pub struct Record(Arc<Open>);

#[derive(Debug)]
struct Open {
    books: Books,
    asked: Asked,
    ledger: Ledger,
    end: Mutex<End>,
}

#[derive(Debug, Default)]
struct End {
    answered_by: Option<ModelId>,
    fate: Option<Fate>,
}

impl Record {
    /// The answer came from a model that its provider calls this.
    pub fn answered_by(&self, model: &ModelId) {
        self.0.end().answered_by = Some(model.clone());
    }

    /// The call has ended for its caller, who was told so.
    pub fn close(self, fate: Fate) {
        self.0.end().fate = Some(fate);
    }

    /// What was made for the call has ended so; it counts where its caller has gone.
    pub fn made(&self, fate: Fate) {
        self.0.end().fate.get_or_insert(fate);
    }
}

impl Open {
    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    /// A call of whose end nobody has heard was left by its caller.
    fn drop(&mut self) {
        let End { answered_by, fate } = std::mem::take(&mut *self.end());
        let fate = fate.unwrap_or(Fate::Cancelled);
        let attempts: Vec<Attempt> = self.ledger.lines();
        let now = SystemTime::now();
        self.books.usage.note(&self.asked, &fate, &attempts, now);
        self.books.completions.ended(&self.asked, fate, answered_by, attempts, now);
    }
}
