//! The cache of answers: what a hit costs and how long it takes, beside a miss, and beside a call to the reference.

use completiond::proto::CacheStatus;

use super::latency::{EVERYONE, half_load};
use super::{CALLERS, Subject, checked, turns};
use crate::Failure;
use crate::load::{Amount, Caller, alone, open};
use crate::measuring::{Plan, Stage};
use crate::production::{Cache, Setting};
use crate::report::{REFERENCE, Report, Unit};
use crate::shapes::{CALL, Delivery, SHORT, Shape, Wire};

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    whole_or_streamed(stage, plan, report, (CALL, Delivery::Whole)).await?;
    whole_or_streamed(stage, plan, report, (SHORT, Delivery::Stream)).await
}

async fn whole_or_streamed(
    stage: &Stage,
    plan: &Plan,
    report: &mut Report,
    (shape, delivery): (Shape, Delivery),
) -> Result<(), Failure> {
    let reference = stage.reference()?.listening()?;
    let own = stage.gateway(Setting::with(Cache::Memory))?.listening()?;
    let shared = stage.shared().map(|cache| stage.gateway(Setting::with(cache))?.listening()).transpose()?;
    let caller = Caller::of_reference(reference.address, Wire::Chat, shape, delivery)?;
    let mut subjects = vec![Subject { who: REFERENCE, process: &reference, caller }];
    let gateways =
        [Some((&own, ["miss, memory", "hit, memory"])), shared.as_ref().map(|it| (it, ["miss, Redis", "hit, Redis"]))];
    for (process, [miss, hit]) in gateways.into_iter().flatten() {
        let asked = (Wire::Chat, shape, delivery);
        checked(process.address, asked, CacheStatus::Miss).await?;
        checked(process.address, asked, CacheStatus::Hit).await?;
        let caller = || Caller::of_gateway(process.address, Wire::Chat, shape, delivery);
        subjects.push(Subject { who: miss, process, caller: caller()?.never_the_same()? });
        subjects.push(Subject { who: hit, process, caller: caller()? });
    }
    costs(stage, plan, report, (&subjects, delivery)).await?;
    delays(plan, report, (&subjects, delivery)).await
}

fn named(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Whole => "whole",
        Delivery::Stream => "streamed",
    }
}

async fn costs(
    stage: &Stage,
    plan: &Plan,
    report: &mut Report,
    (subjects, delivery): (&[Subject<'_>], Delivery),
) -> Result<(), Failure> {
    let name = named(delivery);
    for subject in subjects {
        subject.warm(plan).await?;
    }
    for round in 0..plan.rounds {
        for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
            let cost = subject.cost(stage, CALLERS, Amount::Time(plan.time)).await?;
            report.push(&format!("cache, {name}: CPU per call"), Unit::Micros, subject.who, cost.micros);
            report.push(&format!("cache, {name}: calls"), Unit::PerSecond, subject.who, cost.rate);
        }
    }
    Ok(())
}

async fn delays(
    plan: &Plan,
    report: &mut Report,
    (subjects, delivery): (&[Subject<'_>], Delivery),
) -> Result<(), Failure> {
    let misses: Vec<&Caller> =
        subjects.iter().filter(|subject| subject.who.starts_with("miss")).map(|subject| &subject.caller).collect();
    let (Some(first), Some(last)) = (misses.first(), misses.last()) else { return Ok(()) };
    // What the slowest of them can bear.
    let rate = half_load([first, last], plan).await?;
    let name = named(delivery);
    report.push(&format!("cache, {name}: half load"), Unit::PerSecond, EVERYONE, rate);
    for round in 0..plan.rounds {
        for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
            let delays = open(&subject.caller, rate, plan.delays).await?.whole;
            for (share, quantile) in [(0.5, "p50"), (0.99, "p99")] {
                let figure = format!("cache, {name}: latency at half load, {quantile}");
                report.push(&figure, Unit::Micros, subject.who, delays.quantile(share).unwrap_or(f64::NAN));
            }
            let alone = alone(&subject.caller, plan.delays / 2).await?.whole;
            let figure = format!("cache, {name}: latency one at a time, p50");
            report.push(&figure, Unit::Micros, subject.who, alone.quantile(0.5).unwrap_or(f64::NAN));
        }
    }
    Ok(())
}
