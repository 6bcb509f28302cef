//! The gateways that a user has instead, beside the reference and this one in the same rounds.
//!
//! They are slow, so that what takes a time makes fewer calls of theirs; all else is the same for everyone.

use completiond::proto::CacheStatus;

use super::events::{FAST, SLOW};
use super::latency::{DIRECT, FIRST, Question, WHOLE};
use super::{CALLERS, GATEWAY, Subject, checked, pair, servers, turns};
use crate::Failure;
use crate::alternatives::Alternative;
use crate::load::{Amount, Caller, alone};
use crate::measuring::{Plan, Stage};
use crate::process::Process;
use crate::production::{Cache, Setting};
use crate::report::{REFERENCE, Report, Unit};
use crate::samples::{micros, real};
use crate::shapes::{CALL, Delivery, LONG, PACED, Shape, Wire};
use crate::upstream::{PIECE, PIECES};

/// What is slow may do more than it counts before it is as fast as it gets.
const FIRST_CALLS: usize = 20;

/// All that take part.
struct Everyone<'a> {
    stage: &'a Stage,
    ours: [Process; 2],
    others: Vec<(&'a Alternative, Process)>,
}

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    starts(stage, plan, report).await?;
    let others = stage.alternatives().iter().map(|other| Ok((other, stage.alternative(other)?.listening()?)));
    let everyone = Everyone { stage, ours: servers(stage)?, others: others.collect::<Result<_, Failure>>()? };
    costs(plan, report, (&everyone, CALL, Delivery::Whole)).await?;
    costs(plan, report, (&everyone, LONG, Delivery::Stream)).await?;
    paced(plan, report, &everyone).await?;
    for question in [WHOLE, FIRST] {
        delays(plan, report, (&everyone, question)).await?;
    }
    Ok(())
}

impl Everyone<'_> {
    /// The same calls to everyone, each of whom has answered as it should.
    async fn subjects(&self, shape: Shape, delivery: Delivery) -> Result<Vec<Subject<'_>>, Failure> {
        let [reference, gateway] = &self.ours;
        checked(gateway.address, (Wire::Chat, shape, delivery), CacheStatus::Bypassed).await?;
        let mut subjects = Vec::from(pair([reference, gateway], (Wire::Chat, shape, delivery))?);
        for (other, process) in &self.others {
            let caller = calling(self.stage, other, process, (shape, delivery))?;
            answers(&caller, (shape, delivery)).await.map_err(|error| format!("{}: {error}", other.name))?;
            subjects.push(Subject { who: other.name, process, caller });
        }
        Ok(subjects)
    }
}

fn calling(stage: &Stage, other: &Alternative, process: &Process, asked: (Shape, Delivery)) -> Result<Caller, Failure> {
    Caller::over_http(process.address, other.headers(stage.upstream().address)?, Wire::Chat, asked)
}

/// Sees that the answer is the one that was asked for, and all of it.
async fn answers(caller: &Caller, (shape, delivery): (Shape, Delivery)) -> Result<(), Failure> {
    let body = caller.body().await?;
    let text = std::str::from_utf8(&body)?;
    let (pieces, end) = match delivery {
        Delivery::Whole => (PIECES, "\"completion_tokens\":192"),
        Delivery::Stream => (shape.events, "data: [DONE]"),
    };
    if text.matches(PIECE).count() != pieces || !text.contains(end) {
        return Err("an answer that is not the one that was asked for".into());
    }
    Ok(())
}

/// From the start to the first answer, and the memory a second after it.
async fn starts(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let asked = (CALL, Delivery::Whole);
    for round in 0..plan.starts {
        for turn in turns(round, 2 + stage.alternatives().len()) {
            let (who, process, caller) = match turn.checked_sub(2).and_then(|other| stage.alternatives().get(other)) {
                Some(other) => {
                    let process = stage.alternative(other)?.listening()?;
                    let caller = calling(stage, other, &process, asked)?;
                    (other.name, process, caller)
                }
                None if turn == 0 => {
                    let process = stage.reference()?.listening()?;
                    let caller = Caller::of_reference(process.address, Wire::Chat, CALL, Delivery::Whole)?;
                    (REFERENCE, process, caller)
                }
                None => {
                    let process = stage.gateway(Setting::with(Cache::Off))?.listening()?;
                    let caller = Caller::of_gateway(process.address, Wire::Chat, CALL, Delivery::Whole)?;
                    (GATEWAY, process, caller)
                }
            };
            caller.call().await.map_err(|error| format!("{who}: {error}"))?;
            let took = micros(process.started.elapsed()) / 1e3;
            report.push("alternatives: start to first answer", Unit::Millis, who, took);
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let memory = process.memory()? / (1024.0 * 1024.0);
            report.push("alternatives: memory after the first answer", Unit::Mebibytes, who, memory);
        }
    }
    Ok(())
}

async fn costs(
    plan: &Plan,
    report: &mut Report,
    (everyone, shape, delivery): (&Everyone<'_>, Shape, Delivery),
) -> Result<(), Failure> {
    let (each, callers, events) = match delivery {
        Delivery::Whole => ("call", CALLERS, 1.0),
        Delivery::Stream => ("event", FAST, real(shape.events)),
    };
    let subjects = everyone.subjects(shape, delivery).await?;
    for subject in &subjects {
        subject.cost(everyone.stage, callers, Amount::Time(plan.time / 2)).await?;
    }
    for round in 0..plan.rounds {
        for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
            let cost = subject.cost(everyone.stage, callers, Amount::Time(plan.time)).await?;
            report.push(&format!("alternatives: CPU per {each}"), Unit::Micros, subject.who, cost.micros / events);
            report.push(&format!("alternatives: {each}s"), Unit::PerSecond, subject.who, cost.rate * events);
            let figure = format!("alternatives: load's cores in use, {each}s");
            report.push(&figure, Unit::Percent, subject.who, cost.others);
            if delivery == Delivery::Stream {
                report.push("alternatives: pieces per event", Unit::Times, subject.who, cost.messages / events);
            }
        }
    }
    Ok(())
}

/// Events that come alone, as a model makes them, so that none shares a read or a write with another. What is slow gets fewer
/// streams, so that they still do.
async fn paced(plan: &Plan, report: &mut Report, everyone: &Everyone<'_>) -> Result<(), Failure> {
    let subjects = everyone.subjects(PACED, Delivery::Stream).await?;
    let streams =
        |who| everyone.others.iter().find(|(other, _)| other.name == who).map_or(SLOW, |(other, _)| other.paced);
    for round in 0..plan.rounds {
        for subject in turns(round, subjects.len()).into_iter().filter_map(|turn| subjects.get(turn)) {
            let cost = subject.cost(everyone.stage, streams(subject.who), Amount::Time(plan.time)).await?;
            let each = cost.micros / real(PACED.events);
            report.push("alternatives: CPU per event that comes alone", Unit::Micros, subject.who, each);
            let pieces = cost.messages / real(PACED.events);
            report.push("alternatives: pieces per event that comes alone", Unit::Times, subject.who, pieces);
        }
    }
    Ok(())
}

/// One at a time, so that nobody waits for anybody: what the way through takes.
async fn delays(
    plan: &Plan,
    report: &mut Report,
    (everyone, question): (&Everyone<'_>, Question),
) -> Result<(), Failure> {
    let (figure, shape, delivery) = (question.figure, question.shape, question.delivery);
    let subjects = everyone.subjects(shape, delivery).await?;
    let direct = Caller::of_upstream(everyone.stage.upstream().address, Wire::Chat, shape, delivery)?;
    let mut callers = vec![(DIRECT, &direct)];
    callers.extend(subjects.iter().map(|subject| (subject.who, &subject.caller)));
    for (_, caller) in &callers {
        for _ in 0..FIRST_CALLS {
            caller.call().await?;
        }
    }
    for round in 0..plan.rounds {
        let mut medians = Vec::new();
        for (who, caller) in turns(round, callers.len()).into_iter().filter_map(|turn| callers.get(turn)) {
            let median = (question.delay)(&alone(caller, plan.delays / 2).await?).median().unwrap_or(f64::NAN);
            report.push(&format!("alternatives: {figure}, one at a time, p50"), Unit::Micros, who, median);
            medians.push((*who, median));
        }
        let of = |who| medians.iter().find(|(known, _)| *known == who).map_or(f64::NAN, |(_, median)| *median);
        for subject in &subjects {
            let added = of(subject.who) - of(DIRECT);
            let figure = format!("alternatives: added to the {figure}, one at a time, p50");
            report.push(&figure, Unit::Micros, subject.who, added);
        }
    }
    Ok(())
}
