//! Who is let in: decided on the headers by the calls that are in flight, and while a body arrives by the bytes.
//!
//! What is taken for a call is given back when its response has ended or was dropped.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::kind::Kind;
use super::rest::Unread;
use crate::callers::Caller;
use crate::count::Held;
use crate::domain::{Error, Exhausted, Reason};
use crate::edge::streams::Beside;

/// The calls for which no key is needed that a connection may have at a time, and what each may send, in bytes.
const HEALTH_CALLS: usize = 8;
const HEALTH_BYTES: u64 = 4 * 1024;

/// The bounds on what callers may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One request, in bytes.
    pub max_request_bytes: usize,
    /// All requests that are being served, in bytes.
    pub max_bytes_in_flight: u64,
    /// All calls that are being served, each until its response has ended.
    pub max_in_flight: u64,
    /// How long a request may take to arrive, where its caller's deadline is not earlier.
    pub arrival: Duration,
}

/// The calls that are being served, and the bytes of their requests. Clones share them.
#[derive(Clone, Debug)]
pub struct Admission {
    calls: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    limits: Limits,
    /// Requests that were answered before they were read.
    unread: Unread,
}

/// What whoever serves a call is told of it.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    /// Who calls.
    pub(super) caller: Arc<Caller>,
    /// When its headers came.
    pub(super) arrived: Instant,
    /// What was taken for it.
    pub(super) charge: Arc<Charge>,
}

impl Admission {
    /// Nothing is in flight.
    pub fn new(limits: Limits) -> Self {
        Self { calls: Arc::default(), bytes: Arc::default(), limits, unread: Unread::default() }
    }

    /// The calls that are in flight. Health checks, reflection and administration are none of them.
    pub fn calls_in_flight(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How long a request may take to arrive.
    pub(super) const fn arrival(&self) -> Duration {
        self.limits.arrival
    }

    /// Requests that were answered before they were read. Clones share it.
    pub(super) fn unread(&self) -> Unread {
        self.unread.clone()
    }

    /// The bytes that are in flight.
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lets a call of this kind of `caller` in; `beside` is what its connection says of calls that have no work.
    pub(super) fn open(&self, kind: Kind, caller: &Arc<Caller>, beside: Option<&Beside>) -> Result<Arc<Charge>, Error> {
        let mut charge = Charge::nothing(self, caller);
        if kind.is_counted() {
            // The calls of a batch take places of their caller, not the batch itself: with room for one, one runs.
            charge.take_place((!kind.is_batch()).then_some(caller))?;
        }
        if kind.is_health() {
            if beside.is_some_and(|beside| beside.number > HEALTH_CALLS) {
                return Err(overloaded("too many health checks are under way on this connection"));
            }
            charge.purse = Purse::Own;
        }
        charge.take(0)?;
        Ok(Arc::new(charge))
    }
}

/// Where the bytes of a call are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purse {
    /// With those of all calls.
    Shared,
    /// By itself: who needs no key takes nothing from those who have one.
    Own,
}

/// What one call has in flight, given back at its end.
#[derive(Debug)]
pub(super) struct Charge {
    admission: Admission,
    caller: Arc<Caller>,
    /// Among the calls of its caller.
    of_caller: Mutex<Option<Held>>,
    /// Who makes something for the call, though its caller may take no more of it.
    makers: AtomicUsize,
    /// Nobody takes the rest of it: what was taken is given back when nothing is made any more.
    is_left: AtomicBool,
    /// One, or none.
    calls: AtomicU64,
    bytes: AtomicU64,
    purse: Purse,
}

impl Charge {
    fn nothing(admission: &Admission, caller: &Arc<Caller>) -> Self {
        Self {
            admission: admission.clone(),
            caller: Arc::clone(caller),
            of_caller: Mutex::default(),
            makers: AtomicUsize::new(0),
            is_left: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            purse: Purse::Shared,
        }
    }

    /// Takes a place among the calls in flight, if there is one: first of its caller's, where that is counted, then of all.
    fn take_place(&self, of_caller: Option<&Caller>) -> Result<(), Error> {
        let of_caller = match of_caller {
            Some(caller) => Some(caller.begin().ok_or_else(|| too_many_of(caller))?),
            None => None,
        };
        let most = self.admission.limits.max_in_flight;
        let one_more = |calls: u64| (calls < most).then_some(calls + 1);
        match self.admission.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => {
                self.calls.store(1, Ordering::Relaxed);
                *self.of_caller() = of_caller;
                Ok(())
            }
            Err(_) => Err(overloaded("too many calls are in flight on this server")),
        }
    }

    /// Takes `bytes` more, unless there would be too many.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Error> {
        if self.purse == Purse::Own {
            let taken = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
            return if taken > HEALTH_BYTES { Err(too_large()) } else { Ok(()) };
        }
        let before = self.admission.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.admission.limits.max_bytes_in_flight {
            Err(overloaded("too many bytes of requests are in flight on this server"))
        } else {
            Ok(())
        }
    }

    /// Takes what is missing to `bytes`: a compressed request is larger than what came.
    pub(super) fn raise_to(&self, bytes: usize) -> Result<(), Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.take(bytes.saturating_sub(self.bytes.load(Ordering::Relaxed)))
    }

    /// One more call of the same caller, with a place of its own.
    ///
    /// # Errors
    /// `OVERLOADED` when there is none.
    pub(super) fn beside(&self) -> Result<Arc<Self>, Error> {
        let charge = Self::nothing(&self.admission, &self.caller);
        charge.take_place(Some(&self.caller))?;
        Ok(Arc::new(charge))
    }

    fn of_caller(&self) -> MutexGuard<'_, Option<Held>> {
        self.of_caller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything has arrived that is not charged elsewhere.
    pub(super) fn has_bytes(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > 0
    }

    /// What has arrived so far is charged elsewhere from now on.
    pub(super) fn give_back_bytes(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        if self.purse == Purse::Shared {
            self.admission.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Something is made for the call from now on.
    pub(super) fn making(&self) {
        self.makers.fetch_add(1, Ordering::SeqCst);
    }

    /// It is not any more.
    pub(super) fn made(&self) {
        if self.makers.fetch_sub(1, Ordering::SeqCst) == 1 && self.is_left.load(Ordering::SeqCst) {
            self.give_back();
        }
    }

    /// The client takes no more of the response, which may not be gone for long: gives everything back as soon as nothing is
    /// made for it any more.
    pub(super) fn leave(&self) {
        self.is_left.store(true, Ordering::SeqCst);
        if self.makers.load(Ordering::SeqCst) == 0 {
            self.give_back();
        }
    }

    /// Gives everything back. Only the first time counts.
    fn give_back(&self) {
        self.admission.calls.fetch_sub(self.calls.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        *self.of_caller() = None;
        self.give_back_bytes();
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn overloaded(why: &'static str) -> Error {
    Error::new(Reason::Overloaded, why).with(|details| details.retry_after = Some(Duration::from_secs(1)))
}

fn too_large() -> Error {
    Error::new(Reason::RequestTooLarge, format!("a health check has at most {HEALTH_BYTES} bytes"))
}

fn too_many_of(caller: &Caller) -> Error {
    let most = caller.allowance.in_flight.unwrap_or_default();
    let message = format!("this caller may have {most} calls served at a time, and has");
    Error::new(Reason::CallerLimitExceeded, message).with(|details| {
        details.retry_after = Some(Duration::from_secs(1));
        let rule = format!("at most {most} at a time; one that ends makes room");
        details.exhausted = Some(Exhausted { subject: format!("caller:{} in_flight", caller.name), rule: rule.into() });
    })
}
