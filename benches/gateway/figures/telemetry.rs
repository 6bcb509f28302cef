//! What it costs to be seen: calls and events with metrics, logs and traces, beside the same without any of them.

use super::{CALLERS, Subject, checked, turns};
use crate::Failure;
use crate::load::{Amount, Caller};
use crate::measuring::{Plan, Stage};
use crate::process::Process;
use crate::production::{Cache, Setting, Telemetry};
use crate::report::{REFERENCE, Report, Unit};
use crate::samples::real;
use crate::shapes::{CALL, Delivery, LONG, Shape, Wire};

/// Streams at a time.
const STREAMS: usize = 16;

/// How much is told, and how that is called in figures. The first is what the others are compared with.
const TOLD: [(&str, Telemetry); 3] =
    [("nothing", Telemetry::Off), ("as in production", Telemetry::Sampled), ("every trace", Telemetry::Whole)];

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let reference = stage.reference()?.listening()?;
    let gateways: Vec<Process> = TOLD
        .iter()
        .map(|(_, telemetry)| {
            stage.gateway(Setting { telemetry: *telemetry, ..Setting::with(Cache::Off) })?.listening()
        })
        .collect::<Result<_, Failure>>()?;
    let processes = (&reference, gateways.as_slice());
    one(stage, plan, report, (processes, CALL, Delivery::Whole)).await?;
    one(stage, plan, report, (processes, LONG, Delivery::Stream)).await
}

async fn one(
    stage: &Stage,
    plan: &Plan,
    report: &mut Report,
    ((reference, gateways), shape, delivery): ((&Process, &[Process]), Shape, Delivery),
) -> Result<(), Failure> {
    let caller = Caller::of_reference(reference.address, Wire::Chat, shape, delivery)?;
    let mut subjects = vec![Subject { who: REFERENCE, process: reference, caller }];
    for ((who, _), process) in TOLD.iter().zip(gateways) {
        checked(process.address, (Wire::Chat, shape, delivery), completiond::proto::CacheStatus::Bypassed).await?;
        let caller = Caller::of_gateway(process.address, Wire::Chat, shape, delivery)?;
        subjects.push(Subject { who, process, caller });
    }
    let (each, callers, events) = match delivery {
        Delivery::Whole => ("call", CALLERS, 1.0),
        Delivery::Stream => ("event", STREAMS, real(shape.events)),
    };
    for subject in &subjects {
        subject.cost(stage, callers, Amount::Time(plan.time / 2)).await?;
    }
    for round in 0..plan.rounds {
        let mut costs = vec![0.0; subjects.len()];
        for turn in turns(round, subjects.len()) {
            let (Some(subject), Some(place)) = (subjects.get(turn), costs.get_mut(turn)) else { continue };
            let cost = subject.cost(stage, callers, Amount::Time(plan.time)).await?;
            *place = cost.micros / events;
            report.push(&format!("telemetry: CPU per {each}"), Unit::Micros, subject.who, *place);
            report.push(&format!("telemetry: {each}s"), Unit::PerSecond, subject.who, cost.rate * events);
        }
        let Some(without) = costs.get(1).copied() else { continue };
        for (subject, cost) in subjects.iter().zip(&costs).skip(2) {
            let more = 100.0 * (cost - without) / without;
            report.push(&format!("telemetry: what it adds to the CPU per {each}"), Unit::Percent, subject.who, more);
        }
    }
    Ok(())
}
