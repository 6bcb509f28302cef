//! What callers may use: a call that would go beyond it is not made, and what one has used counts when it is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use tower::{Layer, Service};

use super::{Call, Keep, Reply};
use crate::callers::Caller;
use crate::domain::{Answer, Attempt, Error, Exhausted, Reason, Request};
use crate::pool::Ledger;
use crate::store::{Limit, Quota, Quotas, Reached, Reserved, Use};

/// The bytes of a token, as far as it is known before a tokenizer has looked: low, so that a prompt is not counted too small.
const BYTES_PER_TOKEN: usize = 3;
/// The tokens of an answer whose length nobody knows yet.
const ANSWER: u64 = 256;

/// Keeps callers within what they may use.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    quotas: Quotas,
}

impl Limits {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self { quotas }
    }
}

impl<S> Layer<S> for Limits {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, quotas: self.quotas.clone() }
    }
}

/// A service whose callers are kept within what they may use.
#[derive(Clone, Debug)]
pub(super) struct Limited<S> {
    inner: S,
    quotas: Quotas,
}

impl<S> Service<Call> for Limited<S>
where
    S: Service<Call, Response = Reply, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let quota = quota(&call.caller);
        if quota.is_open() {
            return Box::pin(self.inner.call(call));
        }
        let (quotas, mut inner) = (self.quotas.clone(), self.inner.clone());
        Box::pin(async move {
            let reserved = quotas.reserve(&call.caller.name, quota, expected(&call.request)).await;
            let reserved = reserved.map_err(|reached| refused(&call.caller, reached))?;
            let settling = Arc::new(Settling { reserved: Mutex::new(Some(reserved)), ledger: call.ledger.clone() });
            // Something may be made for it when its reply is gone, and its reply may go on when nothing is.
            call.keep = Arc::new(Held { inner: call.keep, _settling: Arc::clone(&settling) });
            let reply = inner.call(call).await?;
            Ok(Reply::new(reply.inspect(move |_| {
                let _ = &settling;
            })))
        })
    }
}

fn quota(caller: &Caller) -> Quota {
    let allowance = &caller.allowance;
    Quota {
        requests: allowance.requests_per_minute,
        tokens: allowance.tokens_per_minute,
        nano_usd: allowance.spend_per_day.map(|amount| nano(amount.get().into())),
    }
}

/// The tokens that a call will use, as far as its request tells.
fn expected(request: &Request) -> u64 {
    let prompt = request.prompt_bytes().div_ceil(BYTES_PER_TOKEN);
    let answer = request.max_tokens.map_or(ANSWER, |most| ANSWER.min(most.get().into()));
    u64::try_from(prompt).unwrap_or(u64::MAX).saturating_add(answer)
}

/// Settles what was reserved when the last who holds it is gone.
#[derive(Debug)]
struct Settling {
    reserved: Mutex<Option<Reserved>>,
    ledger: Ledger,
}

impl Drop for Settling {
    fn drop(&mut self) {
        let reserved = self.reserved.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reserved) = reserved {
            reserved.settle(self.ledger.look(used));
        }
    }
}

/// What all attempts have used.
fn used(attempts: &[Attempt]) -> Use {
    let tokens = attempts.iter().filter_map(|attempt| attempt.usage.as_ref());
    let tokens = tokens.map(|usage| u64::from(usage.input().get()) + u64::from(usage.output().get()));
    let cost = attempts.iter().filter_map(|attempt| attempt.cost.as_ref()).map(|cost| i128::from(cost.amount.get()));
    Use { tokens: tokens.fold(0, u64::saturating_add), nano_usd: nano(cost.fold(0, i128::saturating_add)) }
}

/// Pico-USD as nano-USD: a part of one is one.
fn nano(pico: i128) -> u64 {
    u64::try_from(pico.max(0).saturating_add(999) / 1000).unwrap_or(u64::MAX)
}

/// What is held for the call, and what was reserved for it.
#[derive(Debug)]
struct Held {
    inner: Arc<dyn Keep>,
    _settling: Arc<Settling>,
}

impl Keep for Held {
    fn ended(&self, how: Result<&Answer, &Error>) {
        self.inner.ended(how);
    }
}

fn refused(caller: &Caller, Reached { limit, again }: Reached) -> Error {
    let allowance = &caller.allowance;
    let (key, rule) = match limit {
        Limit::Requests => {
            ("requests_per_minute", allowance.requests_per_minute.map(|most| format!("{most} requests a minute")))
        }
        Limit::Tokens => {
            ("tokens_per_minute", allowance.tokens_per_minute.map(|most| format!("{most} tokens a minute")))
        }
        Limit::Money => ("spend_per_day", allowance.spend_per_day.map(|most| format!("{most} US dollars a day"))),
    };
    let rule = rule.unwrap_or_default();
    let message = match again {
        Some(again) => format!("this caller may use {rule}, and has; there is room again in {} s", again.as_secs()),
        None => format!("this caller may use {rule}, and the call alone is expected to use more"),
    };
    Error::new(Reason::CallerLimitExceeded, message).with(|details| {
        details.futile = again.is_none();
        details.retry_after = again.map(|again| again.max(Duration::from_secs(1)));
        details.exhausted = Some(Exhausted { subject: format!("caller:{} {key}", caller.name), rule: rule.into() });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Block, Message, Role, Tokens};

    #[test]
    fn what_a_call_will_use_follows_from_its_prompt_and_the_bound_on_its_answer() {
        let said = |text: &str, most: Option<u32>| Request {
            messages: vec![Message { role: Role::User, content: vec![Block::text(text)], state: None }],
            max_tokens: most.map(Tokens::new),
            ..Request::default()
        };
        assert_eq!(expected(&said("", None)), 256);
        assert_eq!(expected(&said("", Some(10))), 10);
        assert_eq!(expected(&said(&"a".repeat(300), Some(100_000))), 100 + 256);
    }

    #[test]
    fn a_part_of_a_billionth_of_a_dollar_is_one() {
        assert_eq!([0, 1, 999, 1000, 1001, -5].map(nano), [0, 1, 1, 1, 2, 0]);
    }
}
