//! The order of a call's attempts: a pure state machine over what was tried and how the endpoints stand.
//!
//! Targets stand in groups, one for each priority of the model and of each model to fall back to. In a group every
//! target is asked once, at once; then one of them once more, after its pause, unless that attempt is needed for a group
//! behind it; then comes the next group. Only when no group has anybody left are the same endpoints tried until the
//! attempts are used up.

use std::time::Duration;

use tokio::time::Instant;

use super::choice::{Candidate, choose};
use super::{Retry, Target};
use crate::domain::{Error, Identity, Reason, Recovery, Tokens};
use crate::pool::{Access, Right, Standing};

/// The longest hint that is waited for while another target is left.
const SHORT_HINT: Duration = Duration::from_secs(5);
/// So many times in a row a target may turn out not to be asked after all; then the call is given up. Each is a race that
/// somebody else has won, so few ever lose more than one.
const MOST_MISSES: u32 = 8;

/// What was tried, and what is left.
#[derive(Debug)]
pub(super) struct Itinerary {
    stops: Vec<Stop>,
    retry: Retry,
    attempts: u32,
    /// Steps since the last attempt that led to none, since the endpoint was not to be asked after all.
    misses: u32,
    /// Groups of which one endpoint was asked a second time.
    repeated: Vec<usize>,
    /// Where an answer broke last of which a part had left: it is not begun anew there.
    broke_last: Option<Place>,
}

#[derive(Debug)]
struct Stop {
    target: Target,
    name: String,
    group: usize,
    progress: Progress,
    passed_over: bool,
    /// An answer of it broke of which a part had left.
    broke: bool,
}

/// How far it has come with one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Not asked.
    Fresh,
    /// It was asked, and has not failed since: the attempt is under way, or was dropped for another that began first.
    Asked { failures: u32 },
    /// It failed and may be asked again.
    Failed {
        failures: u32,
        /// Not before this.
        at: Instant,
        /// What the provider asked for.
        hint: Option<Duration>,
    },
    /// It is not asked any more.
    Out,
}

impl Progress {
    fn begun(self) -> Self {
        match self {
            Self::Fresh => Self::Asked { failures: 0 },
            Self::Asked { failures } | Self::Failed { failures, .. } => Self::Asked { failures },
            Self::Out => Self::Out,
        }
    }

    /// How far it has come after a failure that may pass; `hint` is what the provider asked for.
    fn after_failure(self, retry: &Retry, hint: Option<Duration>, (now, roll): (Instant, &dyn Fn(u64) -> u64)) -> Self {
        let failures = match self {
            Self::Fresh => 1,
            Self::Asked { failures } | Self::Failed { failures, .. } => failures.saturating_add(1),
            // What is out stays out, whatever an attempt says that was under way.
            Self::Out => return Self::Out,
        };
        // Longer than is ever waited for. The failure keeps the hint for the caller.
        if hint.is_some_and(|hint| hint > retry.max_delay) {
            return Self::Out;
        }
        let pause = backoff(retry, failures, roll).max(hint.unwrap_or_default());
        now.checked_add(pause).map_or(Self::Out, |at| Self::Failed { failures, at, hint })
    }
}

/// The place of a target in the itinerary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// Whom to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Whom.
    pub(super) place: Place,
    /// When; not in the future: at once.
    pub(super) at: Instant,
    /// By which right.
    pub(super) right: Right,
}

/// How the endpoints stand, the time, and dice: what changes from one question to the next.
pub(super) struct View<'a> {
    /// The time.
    pub(super) now: Instant,
    /// When the call must have ended.
    pub(super) deadline: Instant,
    /// The conversation that the call belongs to.
    pub(super) conversation: Option<&'a str>,
    /// How a target stands.
    pub(super) standing: &'a dyn Fn(&Target) -> Standing,
    /// A number below the one given.
    pub(super) roll: &'a dyn Fn(u64) -> u64,
}

impl Itinerary {
    /// Nothing was tried yet. `leads` are the targets of the model and of those to fall back to, in order; a target that
    /// stands in several has its first place only.
    pub(super) fn new(leads: Vec<Vec<Target>>, retry: Retry) -> Self {
        let mut stops: Vec<Stop> = Vec::new();
        let mut group = 0;
        for mut targets in leads {
            targets.sort_by_key(|target| target.priority);
            let mut priority = None;
            for target in targets {
                let name = target.endpoint.identity.name();
                if stops.iter().any(|stop| stop.name == name) {
                    continue;
                }
                group += usize::from(priority.replace(target.priority) != Some(target.priority));
                stops.push(Stop { target, name, group, progress: Progress::Fresh, passed_over: false, broke: false });
            }
        }
        Self { stops, retry, attempts: 0, misses: 0, repeated: Vec::new(), broke_last: None }
    }

    /// The targets that may still be asked, in order of their groups.
    pub(super) fn targets(&self) -> impl Iterator<Item = (Place, &Target)> {
        let left = self.stops.iter().enumerate().filter(|(_, stop)| stop.progress != Progress::Out);
        left.map(|(place, stop)| (Place(place), &stop.target))
    }

    /// The target at `place`.
    pub(super) fn target(&self, place: Place) -> Option<&Target> {
        self.stops.get(place.0).map(|stop| &stop.target)
    }

    /// The attempts that were made.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How many targets could be asked at once, beside the one at `place`.
    pub(super) fn others(&self, place: Place, view: &View<'_>) -> u32 {
        let left = self.retry.max_attempts.get().saturating_sub(self.attempts.saturating_add(1));
        let others = self.usable(view, |_| true).into_iter().filter(|(other, _)| *other != place.0).count();
        u32::try_from(others).unwrap_or(u32::MAX).min(left)
    }

    /// Whom to ask next; none: nobody is left, or the attempts are used up.
    pub(super) fn next(&mut self, view: &View<'_>) -> Option<Step> {
        if self.attempts >= self.retry.max_attempts.get() || self.misses >= MOST_MISSES {
            return None;
        }
        for group in self.groups() {
            if let Some(step) = self.fresh(group, view).or_else(|| self.once_more(group, view)) {
                return Some(step);
            }
        }
        self.anyone_again(view).or_else(|| self.last_resort(view))
    }

    /// A target to be asked beside one that is slow; none when there is none.
    pub(super) fn beside(&self, view: &View<'_>) -> Option<Place> {
        if self.attempts >= self.retry.max_attempts.get() {
            return None;
        }
        self.groups().into_iter().find_map(|group| self.choose_in(group, view))
    }

    /// An attempt at the target begins.
    pub(super) fn begun(&mut self, place: Place) {
        self.attempts = self.attempts.saturating_add(1);
        self.misses = 0;
        if let Some(stop) = self.stops.get_mut(place.0) {
            stop.progress = stop.progress.begun();
        }
    }

    /// The target could not be asked after all: somebody else was faster, or it is still not to be asked.
    pub(super) fn missed(&mut self) {
        self.misses = self.misses.saturating_add(1);
    }

    /// The target is not asked any more.
    pub(super) fn strike(&mut self, place: Place) {
        if let Some(stop) = self.stops.get_mut(place.0) {
            stop.progress = Progress::Out;
        }
    }

    /// An answer of the target broke of which a part had left. It is begun anew on another one; the target itself has its
    /// turn again when nobody else is left, and that one's answer breaks too.
    pub(super) fn broke(&mut self, place: Place) {
        self.broke_last = Some(place);
        if let Some(stop) = self.stops.get_mut(place.0) {
            stop.broke = true;
        }
    }

    /// The attempt at the target failed. False when nobody else may be asked either.
    pub(super) fn failed(&mut self, place: Place, error: &Error, now: Instant, roll: &dyn Fn(u64) -> u64) -> bool {
        if error.reason == Reason::ContextLengthExceeded {
            self.strike(place);
            return self.only_longer_contexts(place);
        }
        let Some(stop) = self.stops.get_mut(place.0) else { return false };
        stop.progress = match error.recovery() {
            Recovery::Never => return false,
            Recovery::Elsewhere => Progress::Out,
            Recovery::Again => stop.progress.after_failure(&self.retry, error.details.retry_after, (now, roll)),
        };
        true
    }

    /// The targets that were passed over since this was asked last, and why. The one that is asked next is none of them,
    /// nor are those of later groups, whose turn has not come.
    pub(super) fn passed_over(&mut self, next: Option<&Step>, view: &View<'_>) -> Vec<(Identity, Access)> {
        let next = next.and_then(|step| Some((step.place.0, self.stops.get(step.place.0)?.group)));
        let stops = self.stops.iter_mut().enumerate();
        let fresh = stops.filter(|(place, stop)| {
            let had_its_turn = next.is_none_or(|(next, group)| next != *place && stop.group <= group);
            stop.progress == Progress::Fresh && !stop.passed_over && had_its_turn
        });
        let passed = fresh.filter_map(|(_, stop)| {
            let Standing { access, limited_until, .. } = (view.standing)(&stop.target);
            let access = match (access, limited_until) {
                (Access::Free | Access::Probe, Some(until)) => Access::Held { until },
                (access, _) => access,
            };
            let unusable = !matches!(access, Access::Free | Access::Probe);
            stop.passed_over = unusable;
            unusable.then(|| (stop.target.endpoint.identity.clone(), access))
        });
        passed.collect()
    }

    fn groups(&self) -> Vec<usize> {
        let mut groups: Vec<usize> = self.stops.iter().map(|stop| stop.group).collect();
        groups.dedup();
        groups
    }

    /// Those that were not asked and may be asked at once.
    fn usable(&self, view: &View<'_>, which: impl Fn(&Stop) -> bool) -> Vec<(usize, Standing)> {
        let fresh = self.stops.iter().enumerate().filter(|(_, stop)| stop.progress == Progress::Fresh && which(stop));
        let standing = fresh.map(|(place, stop)| (place, (view.standing)(&stop.target)));
        let usable = |standing: &Standing| matches!(standing.access, Access::Free | Access::Probe);
        standing.filter(|(_, standing)| usable(standing) && standing.limited_until.is_none()).collect()
    }

    /// One of a group that was not asked and may be asked at once.
    fn choose_in(&self, group: usize, view: &View<'_>) -> Option<Place> {
        let usable = self.usable(view, |stop| stop.group == group);
        let candidates: Vec<Candidate<'_>> = usable
            .iter()
            .filter_map(|(place, standing)| {
                let stop = self.stops.get(*place)?;
                Some(Candidate { name: &stop.name, weight: stop.target.weight, standing: *standing })
            })
            .collect();
        let chosen = choose(&candidates, view.conversation, view.roll)?;
        usable.get(chosen).map(|(place, _)| Place(*place))
    }

    fn fresh(&self, group: usize, view: &View<'_>) -> Option<Step> {
        let place = self.choose_in(group, view)?;
        Some(Step { place, at: view.now, right: Right::Standing })
    }

    /// One of a group's endpoints a second time, or one that asked to wait for the first.
    fn once_more(&mut self, group: usize, view: &View<'_>) -> Option<Step> {
        if self.repeated.contains(&group) || self.is_spoken_for(group, view) {
            return None;
        }
        // A longer hint is waited for when no group has anybody left.
        let has_room = |stop: &Stop| (view.standing)(&stop.target).limited_until.is_none();
        let step = self.soonest(view, |stop| stop.group == group && !stop.broke && has_room(stop), SHORT_HINT)?;
        self.repeated.push(group);
        Some(step)
    }

    /// Whether every attempt that is left is needed for the groups behind `group`: each shall be asked once before one is
    /// asked twice.
    fn is_spoken_for(&self, group: usize, view: &View<'_>) -> bool {
        let left = self.retry.max_attempts.get().saturating_sub(self.attempts);
        let mut behind: Vec<usize> = Vec::new();
        for (place, _) in self.usable(view, |stop| stop.group > group) {
            behind.extend(self.stops.get(place).map(|stop| stop.group));
        }
        behind.dedup();
        u32::try_from(behind.len()).is_ok_and(|behind| behind > 0 && left <= behind)
    }

    fn anyone_again(&self, view: &View<'_>) -> Option<Step> {
        self.soonest(view, |_| true, Duration::MAX)
    }

    /// The endpoint that may be asked again soonest, if its hint is no longer than `longest_hint`, and in time.
    fn soonest(&self, view: &View<'_>, which: impl Fn(&Stop) -> bool, longest_hint: Duration) -> Option<Step> {
        let longest = longest_hint.min(self.retry.max_delay);
        let stops = self.stops.iter().enumerate();
        let others = stops.filter(|(place, stop)| self.broke_last != Some(Place(*place)) && which(stop));
        let waits = others.filter_map(|(place, stop)| {
            let access = (view.standing)(&stop.target).access;
            let held = match access {
                Access::Held { until } => Some(until),
                Access::Free | Access::Probe => None,
                Access::Ejected { .. } | Access::LockedOut { .. } | Access::Full => return None,
            };
            let (at, hint) = match stop.progress {
                // One that refuses most calls has its first turn only here.
                Progress::Fresh => (held.unwrap_or(view.now), None),
                Progress::Failed { at, hint, .. } => (at.max(held.unwrap_or(at)), hint),
                Progress::Asked { .. } | Progress::Out => return None,
            };
            let asked_for = hint.max(held.map(|until| until.saturating_duration_since(view.now)));
            let in_time = asked_for.is_none_or(|hint| hint <= longest) && at < view.deadline;
            in_time.then_some((at, place))
        });
        let (at, place) = waits.min()?;
        Some(Step { place: Place(place), at, right: Right::Standing })
    }

    /// While nobody was asked the last endpoint is never ejected: better a slim chance than none. Nor is it when the only
    /// one that was asked broke off: the answer has begun, and can be begun anew nowhere else.
    fn last_resort(&self, view: &View<'_>) -> Option<Step> {
        if self.attempts > 0 && self.broke_last.is_none() {
            return None;
        }
        let fresh = self.stops.iter().enumerate().filter(|(_, stop)| stop.progress == Progress::Fresh);
        let ejected = fresh.filter_map(|(place, stop)| match (view.standing)(&stop.target).access {
            Access::Ejected { until } | Access::LockedOut { until } => Some((stop.group, until, place)),
            _ => None,
        });
        let (_, _, place) = ejected.min()?;
        Some(Step { place: Place(place), at: view.now, right: Right::LastResort })
    }

    /// A request that is too long for one context may fit another model's, if that is longer or not known.
    fn only_longer_contexts(&mut self, place: Place) -> bool {
        let Some(full) = self.stops.get(place.0) else { return false };
        let (model, window) = (full.target.endpoint.identity.model.clone(), window(&full.target));
        for stop in &mut self.stops {
            let fits = match (window, self::window(&stop.target)) {
                (_, None) => true,
                (Some(full), Some(other)) => other > full,
                (None, Some(_)) => false,
            };
            if !fits || stop.target.endpoint.identity.model == model {
                stop.progress = Progress::Out;
            }
        }
        self.stops.iter().any(|stop| stop.progress != Progress::Out)
    }
}

/// The context of a target's model, where it is known.
pub(super) fn window(target: &Target) -> Option<Tokens> {
    let facts = target.endpoint.facts?;
    facts.context_window.or(facts.max_input)
}

/// Full jitter: anything up to a bound that doubles with each failure.
fn backoff(retry: &Retry, failures: u32, roll: &dyn Fn(u64) -> u64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let bound = retry.base_delay.saturating_mul(doubled).min(retry.max_delay);
    let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(roll(nanos.saturating_add(1).max(1)))
}

#[cfg(test)]
mod tests;
