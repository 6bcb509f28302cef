//! The way of a call through its targets: the one retry loop, up to the commitment, and past it where the caller wants a
//! broken answer to begin anew.
//!
//! Whom to ask next is decided by the [`Itinerary`]; what may be tried after a failure by `domain::Reason::recovery`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::counting::{self, Counted};
use super::course::Course;
use super::journey::{Journey, Reached};
use super::scene::{Asked, Scene};
use super::{Lead, Table, Tables, Target};
use crate::domain::{Error, Event, ModelName, Reason, Recovery, Request, Restarted};
use crate::pool::RetryBudget;
use crate::protocol::Delivery;
use crate::telemetry::{Turn, WorkSpan};
use crate::transport::Transport;

/// Finds the endpoint that answers.
#[derive(Clone, Debug)]
pub struct Router {
    tables: Tables,
    transport: Arc<dyn Transport>,
    budget: RetryBudget,
}

/// The events of an answer.
pub type Answering = std::pin::Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>;

impl Router {
    /// Routes by the table in force, over one worker's `transport`. Attempts beyond a call's first are paid from
    /// `budget`, which is the whole pool's.
    pub fn new(tables: Tables, transport: Arc<dyn Transport>, budget: RetryBudget) -> Self {
        Self { tables, transport, budget }
    }

    /// Asks the targets of the model until one answers. The events that come back form a valid sequence.
    ///
    /// # Errors
    /// No such model, no target that can take the request, or the most useful of the failures.
    pub async fn route(&self, asked: Asked) -> Result<Answering, Error> {
        let table = self.tables.current();
        let rules = *table.rules();
        let lead = table.resolve(asked.request.model.as_ref())?;
        let leads = leads(&table, &lead, &asked.request.fallback_models)?;
        let hedging = lead.hedge;
        drop(table);
        if asked.previous_attempts > 0 && !self.budget.take(Instant::now()) {
            return Err(spent());
        }
        if let Some(hedging) = &hedging {
            hedging.save();
        }
        let restarts = asked.request.restart_on_interruption && asked.delivery == Delivery::Stream;
        let (transport, budget) = (Arc::clone(&self.transport), self.budget.clone());
        let course = Course::new(leads, rules.retry);
        let mut journey = Journey { scene: Scene { asked, rules, hedging, transport, budget }, course };
        let reached = journey.reach(None).await?;
        if restarts { Ok(Box::pin(restarting(journey, reached))) } else { Ok(Box::pin(straight(reached))) }
    }
}

impl Router {
    /// Counts the tokens of `request` at the first target that can take it, by priority and weight, and nothing is asked
    /// of a model. `deadline`: when the caller has lost interest; `span`: what a provider's own count is a part of.
    ///
    /// # Errors
    /// No such model, no target that can take the request, or the deadline has passed.
    pub async fn count(&self, request: Request, deadline: Option<Instant>, span: &WorkSpan) -> Result<Counted, Error> {
        let table = self.tables.current();
        let rules = *table.rules();
        let lead = table.resolve(request.model.as_ref())?;
        let leads = leads(&table, &lead, &request.fallback_models)?;
        drop(table);
        counting::count(leads, &rules, request, deadline, self.transport.as_ref(), span).await
    }
}

/// Where a request may go, model after model; `wanted` are the models that it names to fall back to.
fn leads(table: &Table, lead: &Lead, wanted: &[ModelName]) -> Result<Vec<Vec<Target>>, Error> {
    let fallbacks = if wanted.is_empty() { &lead.fallbacks } else { wanted };
    let mut leads = vec![lead.targets.clone()];
    for name in fallbacks {
        leads.push(table.resolve(Some(name))?.targets);
    }
    Ok(leads)
}

/// A client tries again while the pool has no strength left for that.
fn spent() -> Error {
    let message = "the retry budget of this server is spent: too many calls fail for one to be tried again";
    Error::new(Reason::ProviderUnavailable, message).with(|details| {
        details.budget_spent = true;
        details.retry_after = Some(Duration::from_secs(1));
    })
}

/// The events of an answer that is not begun anew: what it was asked with is gone.
fn straight(reached: Reached) -> impl Stream<Item = Result<Event, Error>> + Send {
    let Reached { events, conclusion, .. } = reached;
    events.map(move |event| match event {
        Ok(event) => Ok(event.map_end(|finish| conclusion.of(finish))),
        Err(error) => Err(error.after_commit()),
    })
}

/// The events of an answer that begins anew elsewhere when it breaks.
fn restarting(journey: Journey, reached: Reached) -> impl Stream<Item = Result<Event, Error>> + Send {
    stream::try_unfold((journey, reached), |(mut journey, mut reached)| async move {
        match reached.events.next().await {
            None => Ok(None),
            Some(Ok(event)) => {
                let event = event.map_end(|finish| reached.conclusion.of(finish));
                Ok(Some((event, (journey, reached))))
            }
            Some(Err(error)) => {
                let (event, next) = anew(&mut journey, reached, error).await?;
                Ok(Some((event, (journey, next))))
            }
        }
    })
}

/// Begins a broken answer anew.
///
/// # Errors
/// What broke it, when nobody else can answer.
async fn anew(journey: &mut Journey, broken: Reached, error: Error) -> Result<(Event, Reached), Error> {
    let told = error.clone().after_commit();
    let error = error.before_commit();
    let (place, after) = (broken.place, error.reason);
    // The broken answer's connection is closed before another one is asked for.
    drop(broken);
    if error.recovery() == Recovery::Never || !journey.course.note(place, error) {
        return Err(told);
    }
    // What is begun anew is begun on another target.
    journey.course.broke(place);
    let Ok(mut next) = journey.reach(Some(after)).await else { return Err(told) };
    match next.events.next().await {
        Some(Ok(Event::Started(by))) => {
            let attempt = journey.course.attempts();
            journey.scene.asked.trace.turn(Turn::Restarted { after });
            Ok((Event::Restarted(Restarted { by, attempt }), next))
        }
        // A committed answer begins with its start.
        _ => Err(told),
    }
}

#[cfg(test)]
mod tests;
