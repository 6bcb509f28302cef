//! The upstream over HTTP/2: what calls, events and silent streams cost where they share connections, beside the same over
//! HTTP/1.1, where each call has one.

use completiond::proto::CacheStatus;

use super::events::{FAST, SLOW};
use super::{CALLERS, Subject, checked, memory, turns};
use crate::Failure;
use crate::load::{Amount, Caller};
use crate::measuring::{Plan, Stage};
use crate::process::Process;
use crate::production::{Cache, Setting};
use crate::report::{REFERENCE, Report, Unit};
use crate::samples::real;
use crate::shapes::{CALL, Delivery, LONG, PACED, SHORT, SILENT, Shape, Wire};

/// Which HTTP the upstream is asked in, and how that is called in figures.
const SPOKEN: [(&str, bool); 2] = [("over HTTP/1.1", false), ("over HTTP/2", true)];

/// What is asked, and how that is called in figures.
const ASKED: [(&str, Shape, Delivery, usize); 3] = [
    ("call", CALL, Delivery::Whole, CALLERS),
    ("event", LONG, Delivery::Stream, FAST),
    ("event that comes alone", PACED, Delivery::Stream, SLOW),
];

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let reference = stage.reference()?.listening()?;
    let gateways: Vec<Process> =
        SPOKEN.iter().map(|(_, http2)| gateway(stage, *http2)).collect::<Result<_, Failure>>()?;
    for (each, shape, delivery, callers) in ASKED {
        let caller = Caller::of_reference(reference.address, Wire::Chat, shape, delivery)?;
        let mut subjects = vec![Subject { who: REFERENCE, process: &reference, caller }];
        for ((who, _), process) in SPOKEN.iter().zip(&gateways) {
            checked(process.address, (Wire::Chat, shape, delivery), CacheStatus::Bypassed).await?;
            let caller = Caller::of_gateway(process.address, Wire::Chat, shape, delivery)?;
            subjects.push(Subject { who, process, caller });
        }
        let events = if delivery == Delivery::Whole { 1.0 } else { real(shape.events) };
        for subject in &subjects {
            subject.cost(stage, callers, Amount::Time(plan.time / 2)).await?;
        }
        for round in 0..plan.rounds {
            for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
                let cost = subject.cost(stage, callers, Amount::Time(plan.time)).await?;
                report.push(&format!("HTTP/2: CPU per {each}"), Unit::Micros, subject.who, cost.micros / events);
            }
        }
    }
    for round in 0..plan.starts {
        for (who, http2) in turns(round, SPOKEN.len()).into_iter().filter_map(|turn| SPOKEN.get(turn)) {
            let process = gateway(stage, *http2)?;
            let caller = |shape| Caller::of_gateway(process.address, Wire::Chat, shape, Delivery::Stream);
            memory::one(plan, report, ("HTTP/2: ", who, &process), [&caller(SHORT)?, &caller(SILENT)?]).await?;
        }
    }
    Ok(())
}

fn gateway(stage: &Stage, http2: bool) -> Result<Process, Failure> {
    stage.gateway(Setting { http2, ..Setting::with(Cache::Off) })?.listening()
}
