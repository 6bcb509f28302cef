//! The figures, in groups: each is a file that says what is called, and what is told of it.

mod alternatives;
mod cache;
mod calls;
mod events;
mod http2;
mod latency;
mod load;
mod memory;
mod start;
mod streams;
mod telemetry;
mod witness;

use std::net::SocketAddr;

use completiond::proto::stream_complete_response::Event;
use completiond::proto::{CacheStatus, CompleteResponse, CompletionOutcome, StreamCompleteResponse};
use prost::Message;

use crate::Failure;
use crate::load::{Amount, Caller, Told, closed};
use crate::measuring::{Plan, Stage};
use crate::process::{Process, Times};
use crate::report::{REFERENCE, Report};
use crate::samples::{micros, real};
use crate::shapes::{Delivery, Shape, Wire};

/// The groups, in the order in which they are measured.
pub(crate) const GROUPS: [&str; 12] = [
    "calls",
    "events",
    "latency",
    "load",
    "cache",
    "telemetry",
    "memory",
    "streams",
    "http2",
    "start",
    "alternatives",
    "witness",
];

/// Measures a group.
pub(crate) async fn measure(group: &str, stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    match group {
        "calls" => calls::measure(stage, plan, report).await,
        "events" => events::measure(stage, plan, report).await,
        "latency" => latency::measure(stage, plan, report).await,
        "load" => load::measure(stage, plan, report).await,
        "cache" => cache::measure(stage, plan, report).await,
        "telemetry" => telemetry::measure(stage, plan, report).await,
        "memory" => memory::measure(stage, plan, report).await,
        "streams" => streams::measure(stage, plan, report).await,
        "http2" => http2::measure(stage, plan, report).await,
        "start" => start::measure(stage, plan, report).await,
        "alternatives" => alternatives::measure(stage, plan, report).await,
        _ => witness::measure(stage, plan, report).await,
    }
}

/// The gateway, as it stands in figures.
const GATEWAY: &str = "completiond";
/// Calls that are made at a time where it goes as fast as it can.
const CALLERS: usize = 64;

/// One who is measured.
struct Subject<'a> {
    who: &'static str,
    process: &'a Process,
    caller: Caller,
}

/// The same calls to the reference and to the gateway.
fn pair<'a>(
    [reference, gateway]: [&'a Process; 2],
    (wire, shape, delivery): (Wire, Shape, Delivery),
) -> Result<[Subject<'a>; 2], Failure> {
    Ok([
        Subject {
            who: REFERENCE,
            process: reference,
            caller: Caller::of_reference(reference.address, wire, shape, delivery)?,
        },
        Subject { who: GATEWAY, process: gateway, caller: Caller::of_gateway(gateway.address, wire, shape, delivery)? },
    ])
}

/// Both servers, listening.
fn servers(stage: &Stage) -> Result<[Process; 2], Failure> {
    use crate::production::{Cache, Setting};
    Ok([stage.reference()?.listening()?, stage.gateway(Setting::with(Cache::Off))?.listening()?])
}

/// Everyone once in each round, in turns from either end, so that no one is always after the same other.
fn turns(round: usize, count: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}

/// What calls as fast as it goes cost.
struct Cost {
    /// Of the process that is measured, for each call, in microseconds.
    micros: f64,
    /// Calls in a second.
    rate: f64,
    /// Messages for each call.
    messages: f64,
    /// How much of their cores the load and the upstream used, in percent.
    others: f64,
}

impl Subject<'_> {
    async fn warm(&self, plan: &Plan) -> Result<(), Failure> {
        closed(&self.caller, CALLERS, Amount::Time(plan.time / 2)).await?;
        Ok(())
    }

    async fn cost(&self, stage: &Stage, callers: usize, amount: Amount) -> Result<Cost, Failure> {
        let others = || Ok::<_, Failure>(stage.upstream().used()? + Times::of(std::process::id())?.own);
        let (before, others_before) = (self.process.used()?, others()?);
        let done = closed(&self.caller, callers, amount).await?;
        let (used, others_used) = (self.process.used()? - before, others()? - others_before);
        let cores = real(stage.cores().load());
        Ok(Cost {
            micros: micros(used) / real(done.calls),
            rate: done.rate(),
            messages: real(done.messages) / real(done.calls),
            others: 100.0 * others_used.as_secs_f64() / done.took.as_secs_f64() / cores,
        })
    }
}

/// Calls the gateway once, and sees that the answer is the one that was asked for.
async fn checked(address: SocketAddr, asked: (Wire, Shape, Delivery), status: CacheStatus) -> Result<(), Failure> {
    let (wire, shape, delivery) = asked;
    let told = Caller::of_gateway(address, wire, shape, delivery)?.call().await?;
    let outcome = outcome(&told, delivery)?;
    if outcome.cache_status() != status {
        return Err(format!("an answer is {:?} in place of {status:?}", outcome.cache_status()).into());
    }
    if outcome.cost.is_none() || outcome.usage.is_none_or(|usage| usage.output_tokens != 192) {
        return Err("an answer without usage and cost".into());
    }
    Ok(())
}

fn outcome(told: &Told, delivery: Delivery) -> Result<CompletionOutcome, Failure> {
    let outcome = match delivery {
        Delivery::Whole => CompleteResponse::decode(told.last.clone())?.outcome.map(|outcome| *outcome),
        Delivery::Stream => match StreamCompleteResponse::decode(told.last.clone())?.event {
            Some(Event::Completed(outcome)) => Some(*outcome),
            _ => None,
        },
    };
    outcome.ok_or_else(|| "an answer without an outcome".into())
}
