//! Streams: what an event costs, where they come as fast as they are taken, and where each comes alone.

use completiond::proto::CacheStatus;

use super::{checked, pair, servers, turns};
use crate::Failure;
use crate::load::Amount;
use crate::measuring::{Plan, Stage};
use crate::process::Process;
use crate::report::{Report, Unit};
use crate::samples::real;
use crate::shapes::{Delivery, LONG, PACED, Shape, Wire};

/// Streams at a time that come as fast as they are taken.
pub(super) const FAST: usize = 16;
/// Streams at a time whose events come alone.
pub(super) const SLOW: usize = 100;

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let servers = servers(stage)?;
    for wire in Wire::ALL {
        streams(stage, plan, report, (&servers, wire, LONG)).await?;
    }
    streams(stage, plan, report, (&servers, Wire::Chat, PACED)).await
}

async fn streams(
    stage: &Stage,
    plan: &Plan,
    report: &mut Report,
    ([reference, gateway], wire, shape): (&[Process; 2], Wire, Shape),
) -> Result<(), Failure> {
    let (asked, name) = ((wire, shape, Delivery::Stream), wire.name());
    checked(gateway.address, asked, CacheStatus::Bypassed).await?;
    let (callers, figure) =
        if shape.pace.is_zero() { (FAST, format!("({name})")) } else { (SLOW, format!("that comes alone ({name})")) };
    let subjects = pair([reference, gateway], asked)?;
    let amount = Amount::Time(plan.time);
    for subject in &subjects {
        subject.cost(stage, callers, Amount::Time(plan.time / 2)).await?;
    }
    for round in 0..plan.rounds {
        for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
            let cost = subject.cost(stage, callers, amount).await?;
            let events = real(shape.events);
            report.push(&format!("CPU per event {figure}"), Unit::Micros, subject.who, cost.micros / events);
            if shape.pace.is_zero() {
                report.push(&format!("events {figure}"), Unit::PerSecond, subject.who, cost.rate * events);
                report.push("messages per event", Unit::Times, subject.who, cost.messages / events);
                report.push("load's cores in use, events", Unit::Percent, subject.who, cost.others);
            }
        }
    }
    Ok(())
}
