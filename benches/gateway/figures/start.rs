//! From the start of the process to its first answer.

use super::{pair, turns};
use crate::Failure;
use crate::measuring::{Plan, Stage};
use crate::production::{Cache, Setting};
use crate::report::{Report, Unit};
use crate::samples::micros;
use crate::shapes::{CALL, Delivery, Wire};

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    // It is over soon, and one start is not like the other.
    for round in 0..plan.rounds * 2 {
        for turn in turns(round, 2) {
            let process =
                if turn == 0 { stage.reference()? } else { stage.gateway(Setting::with(Cache::Off))? }.listening()?;
            let subjects = pair([&process, &process], (Wire::Chat, CALL, Delivery::Whole))?;
            let Some(subject) = subjects.get(turn) else { continue };
            subject.caller.call().await?;
            report.push("start to first answer", Unit::Millis, subject.who, micros(process.started.elapsed()) / 1e3);
        }
    }
    Ok(())
}
