//! The choice of a target, and the attempt at it.
//!
//! One attempt is made. What may be tried again after a failure is decided in one place, `domain::Reason::recovery`;
//! a loop over the targets belongs here.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};

use super::choice::in_order;
use super::plan::{Plan, none_fits, plan, reason};
use super::{Rules, Tables, Target};
use crate::domain::{CallId, Error, Event, Request};
use crate::pool::{self, Attempt, Commitment, Endpoint, Ledger};
use crate::protocol::Delivery;
use crate::telemetry::CallTrace;
use crate::transport::Transport;

/// What is asked of the router.
#[derive(Debug)]
pub struct Asked {
    /// The call.
    pub id: CallId,
    /// What is asked.
    pub request: Request,
    /// Whether the caller wants the answer as it is made or whole.
    pub delivery: Delivery,
    /// How often the caller's own client has sent it before.
    pub previous_attempts: u32,
    /// Where attempts are recorded.
    pub ledger: Ledger,
    /// Makes the spans of attempts.
    pub trace: CallTrace,
}

/// Finds the endpoint that answers.
#[derive(Clone, Debug)]
pub struct Router {
    tables: Tables,
    transport: Arc<dyn Transport>,
}

impl Router {
    /// Routes by the table in force, over one worker's `transport`.
    pub fn new(tables: Tables, transport: Arc<dyn Transport>) -> Self {
        Self { tables, transport }
    }

    /// Asks the first target that can take the request. The events that come back form a valid sequence.
    ///
    /// # Errors
    /// No such model, no target that can take the request, or whatever the attempt failed with.
    pub async fn route(&self, asked: Asked) -> Result<impl Stream<Item = Result<Event, Error>> + Send + use<>, Error> {
        let table = self.tables.current();
        let rules = *table.rules();
        let targets = table.resolve(asked.request.model.as_ref())?.targets;
        let targets = in_order(targets, |below| rand::random_range(0..below));
        let (endpoint, Plan { exchange, conclusion }) = first_fit(&targets, &asked, &rules)?;
        let attempt = Attempt {
            transport: self.transport.as_ref(),
            commitment: match asked.delivery {
                Delivery::Stream => Commitment::FirstBlock { commit_after: rules.commit_after },
                Delivery::Whole => Commitment::WholeAnswer,
            },
            max_answer_bytes: rules.max_answer_bytes,
            ledger: &asked.ledger,
            trace: &asked.trace,
        };
        let events = pool::attempt(&endpoint, exchange, &asked.request, attempt).await?;
        Ok(events.map(move |event| Ok(event?.map_end(|finish| conclusion.of(finish)))))
    }
}

/// The first target that can take the request, and what to send there. Those before it are on record.
fn first_fit(targets: &[Target], asked: &Asked, rules: &Rules) -> Result<(Arc<Endpoint>, Plan), Error> {
    let mut misfits = Vec::new();
    for target in targets {
        match plan(&target.endpoint, asked, rules, None) {
            Ok(plan) => return Ok((Arc::clone(&target.endpoint), plan)),
            Err(unfit) => {
                asked.ledger.skip(target.endpoint.identity.clone(), reason(&unfit));
                misfits.push(unfit);
            }
        }
    }
    Err(none_fits(&misfits))
}
