//! The items that were taken from the input and whose results are not in the journal yet: never more than run at a time.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::figures::Figures;
use super::lines::Line;

/// An item under way.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) line: Line,
    /// The user's name for it.
    pub(super) custom_id: String,
    /// How often it was asked again because it failed.
    pub(super) again: u32,
    /// What those times used.
    pub(super) spent: Figures,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// To be sent from then on.
    Due(Instant),
    /// The server has it.
    Sent,
    /// Its result is on its way into the journal.
    Answered,
}

/// The items under way, by the number of their line.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeMap<u64, Slot>);

impl Slots {
    /// Takes an item, to be sent at once.
    pub(super) fn take(&mut self, line: Line, custom_id: String, now: Instant) {
        let slot = Slot { line, custom_id, again: 0, spent: Figures::default(), place: Place::Due(now) };
        self.0.insert(line.number, slot);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many the server has.
    pub(super) fn sent(&self) -> usize {
        self.0.values().filter(|slot| slot.place == Place::Sent).count()
    }

    /// Whether each has a result.
    pub(super) fn all_answered(&self) -> bool {
        self.0.values().all(|slot| slot.place == Place::Answered)
    }

    /// An item that the server has.
    pub(super) fn of_sent(&mut self, number: u64) -> Option<&mut Slot> {
        self.0.get_mut(&number).filter(|slot| slot.place == Place::Sent)
    }

    /// The only item that the server has.
    pub(super) fn only_sent(&mut self) -> Option<&mut Slot> {
        let mut sent = self.0.values_mut().filter(|slot| slot.place == Place::Sent);
        let only = sent.next();
        if sent.next().is_some() { None } else { only }
    }

    /// The first item that is to be sent by now.
    pub(super) fn due(&self, now: Instant) -> Option<Line> {
        let due = |slot: &&Slot| matches!(slot.place, Place::Due(at) if at <= now);
        self.0.values().find(due).map(|slot| slot.line)
    }

    /// When the next one is to be sent.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = |slot: &Slot| if let Place::Due(at) = slot.place { Some(at) } else { None };
        self.0.values().filter_map(due).min()
    }

    /// The server has it.
    pub(super) fn send(&mut self, number: u64) {
        if let Some(slot) = self.0.get_mut(&number) {
            slot.place = Place::Sent;
        }
    }

    /// What the server had is to be sent again, from now on.
    pub(super) fn send_all_again(&mut self, now: Instant) {
        for slot in self.0.values_mut().filter(|slot| slot.place == Place::Sent) {
            slot.place = Place::Due(now);
        }
    }

    /// Its result is safe.
    pub(super) fn free(&mut self, number: u64) {
        self.0.remove(&number);
    }
}

impl Slot {
    /// It is to be sent again.
    pub(super) fn wait_until(&mut self, at: Instant) {
        self.place = Place::Due(at);
    }

    /// It has its result.
    pub(super) fn answer(&mut self) {
        self.place = Place::Answered;
    }
}
