//! Delays by load: a tenth of what the slower of both can do, and more, until little is left.

use super::latency::EVERYONE;
use super::{CALLERS, GATEWAY, pair, servers, turns};
use crate::Failure;
use crate::load::{Amount, closed, open};
use crate::measuring::{Plan, Stage};
use crate::plot::{Line, Picture, Scale};
use crate::report::{REFERENCE, Report, Unit};
use crate::shapes::{CALL, Delivery, Wire};

/// Of what the slower can do, in percent.
const LOADS: [u32; 5] = [10, 25, 50, 70, 85];
const QUANTILES: [(f64, &str); 2] = [(0.5, "p50"), (0.99, "p99")];

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let [reference, gateway] = servers(stage)?;
    let subjects = pair([&reference, &gateway], (Wire::Chat, CALL, Delivery::Whole))?;
    for subject in &subjects {
        subject.warm(plan).await?;
    }
    for round in 0..plan.rounds {
        // Anew in each round: a machine that does other things does not stay as fast as it was.
        let mut least = f64::INFINITY;
        for subject in &subjects {
            least = least.min(closed(&subject.caller, CALLERS, Amount::Time(plan.time)).await?.rate());
        }
        report.push("what the slower can do", Unit::PerSecond, EVERYONE, least);
        for load in LOADS {
            for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
                let delays = open(&subject.caller, least * f64::from(load) / 100.0, plan.delays).await?.whole;
                for (share, quantile) in QUANTILES {
                    let delay = delays.quantile(share).unwrap_or(f64::NAN);
                    report.push(&figure(load, quantile), Unit::Micros, subject.who, delay);
                }
            }
        }
    }
    match stage.plots() {
        Some(folder) => picture(report).draw(&folder.join("latency-by-load.svg")),
        None => Ok(()),
    }
}

fn figure(load: u32, quantile: &str) -> String {
    format!("latency at {load} % load, {quantile}")
}

fn picture(report: &Report) -> Picture<'static> {
    let line = |who, quantile, is_dashed| {
        let point = |load: u32| Some((f64::from(load), report.median(&figure(load, quantile), who)? / 1000.0));
        Line { who, what: quantile, is_dashed, points: LOADS.into_iter().filter_map(point).collect() }
    };
    Picture {
        title: "Latency of a call by load",
        axes: ["calls per second, in % of what the slower of both can do", "ms"],
        scale: Scale::Logarithmic,
        lines: vec![
            line(GATEWAY, "p99", true),
            line(GATEWAY, "p50", false),
            line(REFERENCE, "p99", true),
            line(REFERENCE, "p50", false),
        ],
    }
}
