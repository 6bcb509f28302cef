//! What was scraped lately: the snapshots of the window, and a point for each scrape of the last minutes. Bounded, whatever
//! happens and however long it is watched.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::between::{self, Window};
use super::history::{History, Point};
use super::server::Scrape;
use super::snapshot::Snapshot;
use super::view::{Continuity, View};

/// Into how many steps a window is divided: of the scrapes of a step the last is kept, so that a long window with a short
/// interval holds no more than a short one.
const STEPS: u32 = 48;
/// How long the server may give out the text of before again, with a little more. One that is the same after that was
/// written anew, by a server at which nothing has happened.
const REPEATED: Duration = Duration::from_millis(1500);
/// How long it is said that a server was restarted.
const NEWS: Duration = Duration::from_secs(60);

/// Whether a scrape says something that was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    New,
    Known,
}

/// The scrapes of the last minutes.
#[derive(Debug)]
pub(super) struct Timeline {
    window: Duration,
    /// The snapshots of the window, and one that is older.
    snapshots: VecDeque<(Instant, Snapshot)>,
    fingerprint: Option<u64>,
    history: History,
    /// When it was seen that the server is not the one of before.
    broken: Option<(Instant, Continuity)>,
}

impl Timeline {
    /// Of windows of this length.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, snapshots: VecDeque::new(), fingerprint: None, history: History::default(), broken: None }
    }

    /// Takes in what was scraped at `at`, unless the server has only said again what it had said before.
    pub(super) fn told(&mut self, scrape: Scrape, at: Instant) -> News {
        let Scrape { snapshot, fingerprint } = scrape;
        let is_recent = self.latest().is_some_and(|latest| at.saturating_duration_since(latest) < REPEATED);
        if is_recent && self.fingerprint == Some(fingerprint) {
            return News::Known;
        }
        self.fingerprint = Some(fingerprint);
        if let Some((taken, latest)) = self.snapshots.back() {
            let (taken, continuity) = (*taken, continuity(latest, &snapshot));
            if continuity != Continuity::Same {
                // What is new has counted from nothing since, which is what Prometheus takes it for.
                self.broken = Some((at, continuity));
                self.snapshots.clear();
                self.snapshots.push_back((taken, Snapshot::default()));
            }
        }
        if let Some((taken, latest)) = self.snapshots.back() {
            let length = at.saturating_duration_since(*taken);
            let window = Window { before: latest, length, continuity: Continuity::Same };
            let point = Point::of(&between::view(&snapshot, Some(window)));
            self.history.push(at, point);
        }
        self.thin_out();
        self.snapshots.push_back((at, snapshot));
        self.forget(at);
        News::New
    }

    /// What is older than the window goes, but for the snapshot with which it begins.
    fn forget(&mut self, now: Instant) {
        // An interval is never kept to the millisecond: what is nearly as old as the window is a better beginning than what is
        // an interval older.
        let old = self.window - self.window / 20;
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= old;
        while self.snapshots.len() > 2 && self.snapshots.get(1).is_some_and(|(at, _)| is_old(at)) {
            self.snapshots.pop_front();
        }
    }

    /// The latest snapshot goes before the next one comes, where the one before it is of the same step.
    fn thin_out(&mut self) {
        let mut latest = self.snapshots.iter().rev().map(|(at, _)| *at);
        if let (Some(last), Some(before)) = (latest.next(), latest.next())
            && last.saturating_duration_since(before) < self.window / STEPS
        {
            self.snapshots.pop_back();
        }
    }

    /// What is to be shown; none before the first scrape.
    pub(super) fn view(&self) -> Option<View> {
        let (at, latest) = self.snapshots.back()?;
        let first = self.snapshots.front().filter(|_| self.snapshots.len() > 1);
        let window = first.map(|(taken, before)| Window {
            before,
            length: at.saturating_duration_since(*taken),
            continuity: self.news(*at),
        });
        Some(between::view(latest, window))
    }

    /// Whether it is still news that the server is another one.
    fn news(&self, now: Instant) -> Continuity {
        let fresh = self.broken.filter(|(at, _)| now.saturating_duration_since(*at) < NEWS.max(self.window));
        fresh.map_or(Continuity::Same, |(_, continuity)| continuity)
    }

    /// What happened before.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.snapshots.len()
    }

    /// When the server was scraped last.
    pub(super) fn latest(&self) -> Option<Instant> {
        self.snapshots.back().map(|(at, _)| *at)
    }
}

/// What `now` is to `before`.
fn continuity(before: &Snapshot, now: &Snapshot) -> Continuity {
    match before.process.started.zip(now.process.started) {
        // A clock is read once, at the start: any difference is another start.
        Some((before, now)) if now > before => Continuity::Restarted,
        Some((before, now)) if now < before => Continuity::AnotherServer,
        _ => Continuity::Same,
    }
}
