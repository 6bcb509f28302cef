//! One call under way: asks one target after the other until an answer is committed.

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::Instant;

use super::course::{Course, Leg, Unmade};
use super::itinerary::Place;
use super::plan::Conclusion;
use super::scene::Scene;
use crate::domain::{Error, Reason, Recovery};
use crate::pool::{self, Accepted, Attempt, Commitment, Committed};
use crate::protocol::Delivery;
use crate::telemetry::{CallTrace, Turn};

/// A call under way.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) scene: Scene,
    pub(super) course: Course,
}

/// An answer that is committed.
pub(super) struct Reached {
    pub(super) events: Committed,
    pub(super) conclusion: Conclusion,
    pub(super) place: Place,
}

/// An answer that has begun, and where.
type Begun = (Place, Accepted, Conclusion);

/// A failure, and where.
type Failed = (Place, Error);

impl Journey {
    /// Asks until an answer is committed; `after` is what broke the one before it.
    ///
    /// # Errors
    /// The most useful of the failures.
    pub(super) async fn reach(&mut self, mut after: Option<Reason>) -> Result<Reached, Error> {
        let Self { scene, course } = self;
        while let Some(step) = course.next(scene) {
            // What is due already must not wait for the clock's next tick, which takes a millisecond.
            if step.at > Instant::now() {
                scene.asked.trace.waits().during(tokio::time::sleep_until(step.at)).await;
            }
            let leg = match course.leg(scene, step) {
                Ok(leg) => leg,
                Err(Unmade::Next) => continue,
                Err(Unmade::Spent) => break,
            };
            tell(scene, &leg, after);
            match run(scene, course, leg).await {
                Ok(reached) => return Ok(reached),
                Err((place, error)) => {
                    after = Some(error.reason);
                    if !course.note(place, error) {
                        break;
                    }
                }
            }
        }
        // A client must not try again by itself while the pool has no strength left for that.
        let spent = scene.budget.is_spent(Instant::now());
        Err(course.give_up().with(|details| details.budget_spent = spent))
    }
}

/// Notes that somebody is asked again, or somebody else.
fn tell(scene: &Scene, leg: &Leg, after: Option<Reason>) {
    let Some(last) = scene.asked.ledger.last_asked() else { return };
    let endpoint = &leg.endpoint.identity;
    scene.asked.trace.turn(match last == *endpoint {
        true => Turn::Retried { endpoint, after },
        false => Turn::FailedOver { endpoint, after },
    });
}

/// Makes an attempt, and a second one beside it where that is wanted and the first is late, until one is committed.
async fn run(scene: &Scene, course: &mut Course, leg: Box<Leg>) -> Result<Reached, Failed> {
    let hedging = scene.hedging.as_ref();
    let late = hedging.and_then(|hedging| hedging.delay(&leg.endpoint, leg.exchange.delivery, Instant::now()));
    let (place, accepted, conclusion) = match late {
        None => accept(scene, &scene.asked.trace, leg).await?,
        // In a box of its own: the room for two attempts is not taken where there is one.
        Some(late) => Box::pin(race(scene, course, leg, late)).await?,
    };
    let commitment = match scene.asked.delivery {
        Delivery::Stream => Commitment::FirstBlock { commit_after: scene.rules.commit_after },
        Delivery::Whole => Commitment::WholeAnswer,
    };
    match accepted.commit(commitment, &scene.asked.request).await {
        Ok(events) => Ok(Reached { events, conclusion, place }),
        Err(error) => Err((place, error)),
    }
}

/// Makes an attempt, up to its first event.
async fn accept(scene: &Scene, trace: &CallTrace, leg: Box<Leg>) -> Result<Begun, Failed> {
    let Leg { place, endpoint, exchange, conclusion, timeouts, lease, spend } = *leg;
    let attempt = Attempt {
        transport: scene.transport.as_ref(),
        timeouts,
        max_answer_bytes: scene.rules.max_answer_bytes,
        spend,
        lease,
        budget: &scene.budget,
        ledger: &scene.asked.ledger,
        trace,
    };
    match pool::attempt(&endpoint, exchange, &scene.asked.request, attempt).await {
        Ok(accepted) => Ok((place, accepted, conclusion)),
        Err(error) => Err((place, error)),
    }
}

/// Makes an attempt, and when its first event is late, another one elsewhere: the one that begins first goes on, the
/// other is dropped at once.
async fn race(scene: &Scene, course: &mut Course, leg: Box<Leg>, late: Duration) -> Result<Begun, Failed> {
    let mut first = pin!(accept(scene, &scene.asked.trace, leg));
    if let Ok(accepted) = tokio::time::timeout(late, &mut first).await {
        return accepted;
    }
    let Some(leg) = course.beside(scene) else { return first.await };
    scene.asked.trace.turn(Turn::Hedged { endpoint: &leg.endpoint.identity });
    let trace = scene.asked.trace.beside();
    let second = pin!(accept(scene, &trace, leg));
    first_begun(course, first, second).await
}

/// The first of two attempts that begins; one that fails leaves it to the other, unless it shows that the request itself
/// is at fault.
async fn first_begun<One, Other>(
    course: &mut Course,
    mut first: Pin<&mut One>,
    mut second: Pin<&mut Other>,
) -> Result<Begun, Failed>
where
    One: Future<Output = Result<Begun, Failed>>,
    Other: Future<Output = Result<Begun, Failed>>,
{
    tokio::select! {
        biased;
        begun = &mut first => match begun {
            Err((place, error)) if !is_final(&error) => {
                course.note(place, error);
                second.await
            }
            over => over,
        },
        begun = &mut second => match begun {
            Err((place, error)) if !is_final(&error) => {
                course.note(place, error);
                first.await
            }
            over => over,
        },
    }
}

/// Whether nobody else may be asked, whoever is left.
fn is_final(error: &Error) -> bool {
    error.recovery() == Recovery::Never && error.reason != Reason::ContextLengthExceeded
}
