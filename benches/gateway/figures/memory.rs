//! Memory: idle, for each stream that is open and silent, and after many streams.

use std::time::Duration;

use super::{CALLERS, pair, turns};
use crate::Failure;
use crate::load::{Amount, Caller, closed};
use crate::measuring::{Plan, Stage};
use crate::process::Process;
use crate::production::{Cache, Setting};
use crate::report::{Report, Unit};
use crate::samples::real;
use crate::shapes::{Delivery, SHORT, SILENT, Wire};

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    for round in 0..plan.starts {
        for turn in turns(round, 2) {
            let process =
                if turn == 0 { stage.reference()? } else { stage.gateway(Setting::with(Cache::Off))? }.listening()?;
            // Only one of both is called.
            let silent = pair([&process, &process], (Wire::Chat, SILENT, Delivery::Stream))?;
            let short = pair([&process, &process], (Wire::Chat, SHORT, Delivery::Stream))?;
            let (Some(silent), Some(short)) = (silent.get(turn), short.get(turn)) else { continue };
            one(plan, report, ("", short.who, &process), [&short.caller, &silent.caller]).await?;
        }
    }
    Ok(())
}

/// The memory of a process that has made nothing yet; `of` stands before the figures' names.
pub(super) async fn one(
    plan: &Plan,
    report: &mut Report,
    (of, who, process): (&str, &str, &Process),
    [short, silent]: [&Caller; 2],
) -> Result<(), Failure> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = process.memory()?;
    report.push(&format!("{of}memory, idle"), Unit::Mebibytes, who, idle / MIB);

    closed(short, 1, Amount::Calls(10)).await?;
    let before = process.memory()?;
    let mut streams = Vec::new();
    for _ in 0..plan.open {
        streams.push(silent.begin().await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = (process.memory()? - before) / real(plan.open);
    report.push(&format!("{of}memory per open silent stream"), Unit::Kibibytes, who, each / KIB);
    drop(streams);

    closed(short, CALLERS, Amount::Calls(plan.streams)).await?;
    tokio::time::sleep(plan.rest).await;
    let after = process.memory()?;
    let figure = format!("{of}memory after {} streams", plan.streams);
    report.push(&figure, Unit::Mebibytes, who, after / MIB);
    report.push(&format!("{figure}, against idle"), Unit::Times, who, after / idle);
    Ok(())
}
