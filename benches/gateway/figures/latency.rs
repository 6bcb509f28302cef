//! Delays at half of what the slower of both can do, beside those of the upstream alone.

use super::{CALLERS, GATEWAY, pair, servers, turns};
use crate::Failure;
use crate::load::{Amount, Caller, Delays, alone, closed, open};
use crate::measuring::{Plan, Stage};
use crate::process::Process;
use crate::report::{REFERENCE, Report, Unit};
use crate::samples::Samples;
use crate::shapes::{CALL, Delivery, SHORT, Shape, Wire};

/// The upstream itself.
pub(super) const DIRECT: &str = "no proxy";
/// Where a number is the same for all.
pub(super) const EVERYONE: &str = "all";
/// Below which share of the calls the figures lie, and what they are called.
const SHARES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];

/// What is called, and which of its delays counts.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) figure: &'static str,
    pub(super) shape: Shape,
    pub(super) delivery: Delivery,
    pub(super) delay: fn(&Delays) -> &Samples,
}

/// Until the answer is there.
pub(super) const WHOLE: Question =
    Question { figure: "latency of a call", shape: CALL, delivery: Delivery::Whole, delay: |delays| &delays.whole };
/// Until it begins.
pub(super) const FIRST: Question =
    Question { figure: "time to first event", shape: SHORT, delivery: Delivery::Stream, delay: |delays| &delays.first };

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let servers = servers(stage)?;
    for question in [WHOLE, FIRST] {
        delays(stage, plan, report, (&servers, question)).await?;
    }
    Ok(())
}

async fn delays(
    stage: &Stage,
    plan: &Plan,
    report: &mut Report,
    ([reference, gateway], question): (&[Process; 2], Question),
) -> Result<(), Failure> {
    let (shape, delivery) = (question.shape, question.delivery);
    let [reference, gateway] = pair([reference, gateway], (Wire::Chat, shape, delivery))?;
    let rate = half_load([&reference.caller, &gateway.caller], plan).await?;
    let upstream = Caller::of_upstream(stage.upstream().address, Wire::Chat, shape, delivery)?;
    let subjects = [(DIRECT, upstream), (REFERENCE, reference.caller), (GATEWAY, gateway.caller)];
    let figure = question.figure;
    report.push(&format!("{figure}: half load"), Unit::PerSecond, EVERYONE, rate);
    for (_, caller) in &subjects {
        open(caller, rate, plan.delays / 2).await?;
    }
    for round in 0..plan.rounds {
        let mut medians = Vec::new();
        for (who, caller) in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
            let delays = open(caller, rate, plan.delays).await?;
            let delay = |share| (question.delay)(&delays).quantile(share).unwrap_or(f64::NAN);
            for (share, name) in SHARES {
                report.push(&format!("{figure}, {name}"), Unit::Micros, who, delay(share));
            }
            medians.push((*who, delay(0.5)));
            let alone = alone(caller, plan.delays / 2).await?;
            let delay = (question.delay)(&alone).quantile(0.5).unwrap_or(f64::NAN);
            report.push(&format!("{figure}, one at a time, p50"), Unit::Micros, who, delay);
        }
        added(report, figure, &medians);
    }
    Ok(())
}

/// What a round says was added to the upstream's own delay, and how much more than by the reference.
fn added(report: &mut Report, figure: &str, medians: &[(&str, f64)]) {
    let figure = format!("added to the {figure}, p50");
    let of = |who| medians.iter().find(|(known, _)| *known == who).map(|(_, delay)| *delay);
    let (Some(direct), Some(reference), Some(gateway)) = (of(DIRECT), of(REFERENCE), of(GATEWAY)) else { return };
    report.push(&figure, Unit::Micros, REFERENCE, reference - direct);
    report.push(&figure, Unit::Micros, GATEWAY, gateway - direct);
    report.push(&format!("{figure}, over the reference's"), Unit::Micros, GATEWAY, gateway - reference);
}

/// Half of the calls in a second that the slower of them can answer.
pub(super) async fn half_load(callers: [&Caller; 2], plan: &Plan) -> Result<f64, Failure> {
    let mut least = f64::INFINITY;
    for caller in callers {
        closed(caller, CALLERS, Amount::Time(plan.time / 2)).await?;
        least = least.min(closed(caller, CALLERS, Amount::Time(plan.time)).await?.rate());
    }
    Ok(least / 2.0)
}
