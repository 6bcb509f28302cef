//! How long an upstream may still be silent. Pure arithmetic on the time that was spent waiting for it: time in which
//! a slow client kept us does not count.

use std::time::Duration;

use super::Timeouts;
use crate::protocol::Delivery;

/// Keep-alives inside a block are believed for this long without anything else.
const KEPT_ALIVE: Duration = Duration::from_secs(5 * 60);

/// The patience with one upstream.
#[derive(Debug)]
pub(super) struct Patience {
    phase: Phase,
    left: Duration,
    idle: Duration,
}

#[derive(Debug)]
enum Phase {
    /// The whole answer comes at once: one bound, which nothing extends.
    Whole(Duration),
    /// No event yet: only an event ends this phase.
    First(Duration),
    /// Accepted, but no block has begun: keep-alives prove nothing.
    Accepted,
    /// Inside the answer: keep-alives count, up to a point.
    Answering { kept_alive: Duration },
}

impl Patience {
    pub(super) fn new(timeouts: &Timeouts, delivery: Delivery) -> Self {
        let (phase, left) = match delivery {
            Delivery::Whole => (Phase::Whole(timeouts.attempt), timeouts.attempt),
            Delivery::Stream => (Phase::First(timeouts.first_event), timeouts.first_event),
        };
        Self { phase, left, idle: timeouts.idle }
    }

    /// Another bound on silence between events: what was spent of the old one counts.
    pub(super) fn relax(&mut self, idle: Duration) {
        if matches!(self.phase, Phase::Accepted | Phase::Answering { .. }) {
            self.left = idle.saturating_sub(self.idle.saturating_sub(self.left));
        }
        self.idle = idle;
    }

    /// How long to wait now.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// Some of it was spent.
    pub(super) fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }

    /// An event came; `answering` once a block has begun.
    pub(super) fn progress(&mut self, answering: Answering) {
        if matches!(self.phase, Phase::Whole(_)) {
            return;
        }
        self.left = self.idle;
        self.phase = match answering {
            Answering::Yes => Phase::Answering { kept_alive: Duration::ZERO },
            Answering::NotYet => Phase::Accepted,
        };
    }

    /// A sign of life came, and nothing else.
    pub(super) fn keep_alive(&mut self) {
        if let Phase::Answering { kept_alive } = &mut self.phase {
            let waited = self.idle.saturating_sub(self.left);
            if *kept_alive + waited <= KEPT_ALIVE {
                *kept_alive += waited;
                self.left = self.idle;
            }
        }
    }

    /// What the upstream was too slow for, once nothing is left.
    pub(super) fn lost_with(&self) -> String {
        match self.phase {
            Phase::Whole(bound) => format!("the provider did not answer within the attempt timeout of {bound:?}"),
            Phase::First(bound) => format!("the provider sent no event within the first-event timeout of {bound:?}"),
            Phase::Accepted | Phase::Answering { .. } => {
                format!("the provider fell silent for longer than the idle timeout of {:?}", self.idle)
            }
        }
    }
}

/// Whether a block has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answering {
    NotYet,
    Yes,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn timeouts() -> Timeouts {
        Timeouts { first_event: 10 * SECOND, idle: 4 * SECOND, attempt: 20 * SECOND, ..Timeouts::default() }
    }

    #[test]
    fn keep_alives_do_not_stretch_the_wait_for_the_first_event() {
        let mut patience = Patience::new(&timeouts(), Delivery::Stream);
        patience.spend(9 * SECOND);
        patience.keep_alive();
        assert_eq!(patience.left(), SECOND);
        patience.progress(Answering::NotYet);
        assert_eq!(patience.left(), 4 * SECOND);
    }

    #[test]
    fn before_the_first_block_keep_alives_do_not_extend_idle() {
        let mut patience = Patience::new(&timeouts(), Delivery::Stream);
        patience.progress(Answering::NotYet);
        patience.spend(3 * SECOND);
        patience.keep_alive();
        assert_eq!(patience.left(), SECOND);
    }

    #[test]
    fn inside_a_block_keep_alives_count_for_five_minutes() {
        let mut patience = Patience::new(&timeouts(), Delivery::Stream);
        patience.progress(Answering::Yes);
        let mut lived = Duration::ZERO;
        while patience.left() > SECOND {
            patience.spend(3 * SECOND);
            lived += 3 * SECOND;
            patience.keep_alive();
        }
        assert_eq!(lived, KEPT_ALIVE + 3 * SECOND);
        patience.progress(Answering::Yes);
        assert_eq!(patience.left(), 4 * SECOND);
    }

    #[test]
    fn an_answer_that_comes_whole_has_one_bound() {
        let mut patience = Patience::new(&timeouts(), Delivery::Whole);
        patience.spend(15 * SECOND);
        patience.keep_alive();
        patience.progress(Answering::Yes);
        assert_eq!(patience.left(), 5 * SECOND);
    }
}
