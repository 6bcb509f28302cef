//! Calls whose answers come whole, as fast as it goes: what one costs.

use completiond::proto::CacheStatus;

use super::{CALLERS, checked, pair, servers, turns};
use crate::Failure;
use crate::load::Amount;
use crate::measuring::{Plan, Stage};
use crate::report::{Report, Unit};
use crate::shapes::{CALL, Delivery, Wire};

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let [reference, gateway] = servers(stage)?;
    for wire in Wire::ALL {
        let asked = (wire, CALL, Delivery::Whole);
        checked(gateway.address, asked, CacheStatus::Bypassed).await?;
        let subjects = pair([&reference, &gateway], asked)?;
        for subject in &subjects {
            subject.warm(plan).await?;
        }
        for round in 0..plan.rounds {
            for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
                let cost = subject.cost(stage, CALLERS, Amount::Time(plan.time)).await?;
                let name = wire.name();
                report.push(&format!("CPU per call ({name})"), Unit::Micros, subject.who, cost.micros);
                report.push(&format!("calls ({name})"), Unit::PerSecond, subject.who, cost.rate);
                report.push("load's cores in use, calls", Unit::Percent, subject.who, cost.others);
            }
        }
    }
    Ok(())
}
