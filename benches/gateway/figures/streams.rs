//! Memory by streams that are open and say nothing.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{GATEWAY, pair, turns};
use crate::Failure;
use crate::load::{Amount, Caller, closed};
use crate::measuring::{Plan, Stage};
use crate::plot::{Line, Picture, Scale};
use crate::process::Process;
use crate::production::{Cache, Setting};
use crate::report::{REFERENCE, Report, Unit};
use crate::shapes::{Delivery, SHORT, SILENT, Wire};

/// How many are open.
const OPEN: [u32; 6] = [0, 250, 500, 1000, 2000, 5000];
/// How many are begun at a time.
const AT_ONCE: usize = 16;

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    for round in 0..plan.starts {
        for turn in turns(round, 2) {
            let process =
                if turn == 0 { stage.reference()? } else { stage.gateway(Setting::with(Cache::Off))? }.listening()?;
            // Only one of both is called. A connection takes a thousand streams, so that the connections of one would not do.
            let silent = || pair([&process, &process], (Wire::Chat, SILENT, Delivery::Stream));
            let short = pair([&process, &process], (Wire::Chat, SHORT, Delivery::Stream))?;
            let (silent, more) = (silent()?, silent()?);
            let (Some(silent), Some(more), Some(short)) = (silent.get(turn), more.get(turn), short.get(turn)) else {
                continue;
            };
            closed(&short.caller, 1, Amount::Calls(10)).await?;
            one(report, (short.who, &process), [&silent.caller, &more.caller]).await?;
        }
    }
    match stage.plots() {
        Some(folder) => picture(report).draw(&folder.join("memory-by-streams.svg")),
        None => Ok(()),
    }
}

async fn one(report: &mut Report, (who, process): (&str, &Process), callers: [&Caller; 2]) -> Result<(), Failure> {
    let (mut streams, mut open) = (Vec::new(), 0);
    for count in OPEN {
        let begun = (open..count).zip(callers.into_iter().cycle()).map(|(_, caller)| caller.begin());
        let more: Vec<_> = stream::iter(begun).buffer_unordered(AT_ONCE).try_collect().await?;
        streams.extend(more);
        open = count;
        tokio::time::sleep(Duration::from_secs(1)).await;
        report.push(&figure(count), Unit::Mebibytes, who, process.memory()? / (1024.0 * 1024.0));
    }
    Ok(())
}

fn figure(open: u32) -> String {
    format!("memory with {open} open streams")
}

fn picture(report: &Report) -> Picture<'static> {
    let line = |who| {
        let point = |open: u32| Some((f64::from(open), report.median(&figure(open), who)?));
        Line { who, what: "", is_dashed: false, points: OPEN.into_iter().filter_map(point).collect() }
    };
    Picture {
        title: "Memory by open streams that say nothing",
        axes: ["open streams", "resident memory, MiB"],
        scale: Scale::Linear,
        lines: vec![line(GATEWAY), line(REFERENCE)],
    }
}
