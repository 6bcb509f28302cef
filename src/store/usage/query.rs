//! What is asked of the sums, and how rows become an answer of a page's size.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::archive::Place;
use super::row::{Subject, Sums};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The first hour, counted from 1970.
    pub first: u32,
    /// The last one.
    pub last: u32,
    /// By what to sum up.
    pub by: Grouping,
    /// Where the page before ended.
    pub after: Option<Group>,
    /// The most sums of the page.
    pub size: usize,
}

/// By what sums are summed up. Nothing: one sum of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// By the hour.
    pub hour: bool,
    /// By the caller.
    pub caller: bool,
    /// By the name that was asked for.
    pub model: bool,
    /// By provider and model.
    pub endpoint: bool,
    /// By the values of these labels.
    pub labels: Vec<String>,
}

/// What a sum is about. Sums are listed in the order of this.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The hour; 0 where it was not asked for.
    pub hour: u32,
    /// The rest; empty where it was not asked for.
    pub subject: Subject,
}

/// A page of sums.
#[derive(Clone, Debug)]
pub struct Page {
    /// In their order.
    pub sums: Vec<(Group, Sums)>,
    /// Whether there are more.
    pub more: bool,
    /// Where they are kept.
    pub place: Place,
    /// Since when they have been kept.
    pub since: SystemTime,
}

impl Grouping {
    fn group(&self, hour: u32, subject: Subject) -> Group {
        let Subject { caller, model, endpoint, mut labels } = subject;
        labels.retain(|(key, _)| self.labels.contains(key));
        let of = |wanted: bool, text: String| if wanted { text } else { String::new() };
        Group {
            hour: if self.hour { hour } else { 0 },
            subject: Subject {
                caller: of(self.caller, caller),
                model: of(self.model, model),
                endpoint: of(self.endpoint, endpoint),
                labels,
            },
        }
    }
}

/// The sums of a page while rows are gone through: never more of them than the page has, and one.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    query: &'a Query,
    sums: BTreeMap<Group, Sums>,
    /// The least of those that had no room. The page only moves down from there, so that what was left out once is left
    /// out to the end and no part of a sum is taken for the whole.
    beyond: Option<Group>,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(query: &'a Query) -> Self {
        let mut sums = BTreeMap::new();
        if query.by == Grouping::default() && query.after.is_none() {
            // The one sum of all is there even where nothing was used.
            sums.insert(Group::default(), Sums::default());
        }
        Self { query, sums, beyond: None }
    }

    pub(super) fn add(&mut self, hour: u32, subject: Subject, row: &Sums) {
        let group = self.query.by.group(hour, subject);
        let is_before = self.query.after.as_ref().is_some_and(|after| group <= *after);
        if is_before || self.beyond.as_ref().is_some_and(|beyond| group >= *beyond) {
            return;
        }
        *self.sums.entry(group).or_default() += row;
        if self.sums.len() > self.query.size {
            self.beyond = self.sums.pop_last().map(|(group, _)| group);
        }
    }

    /// Whether rows of `hour` and later ones change nothing any more.
    pub(super) fn is_full_before(&self, hour: u32) -> bool {
        self.query.by.hour && self.beyond.as_ref().is_some_and(|beyond| beyond.hour < hour)
    }

    pub(super) fn finish(self) -> (Vec<(Group, Sums)>, bool) {
        (self.sums.into_iter().collect(), self.beyond.is_some())
    }
}
