//! Walks the tree of a file: takes the keys that a section knows, and says what is wrong with all others.
//!
//! A section asks for its keys one by one; what nobody asked for is unknown. So there is no list of keys that could
//! differ from what is read. Nothing here knows a setting.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::expand::{self, Environment};
use super::nearest::suggestion;
use super::node::{Kind, Node};
use super::problem::{Findings, Mark, Problem, Wrong};
use super::sources::Sources;

/// What every section needs to be read.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) sources: &'a Sources<'a>,
    /// What `${NAME}` stands for.
    pub(super) environment: Environment<'a>,
    pub(super) findings: Findings,
}

/// A value of the file and its path.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    context: &'a Context<'a>,
    path: String,
    node: &'a Node,
}

impl<'a> Value<'a> {
    /// The whole file.
    pub(super) fn root(context: &'a Context<'a>, node: &'a Node) -> Self {
        Self { context, path: String::new(), node }
    }

    pub(super) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// Where it begins.
    pub(super) const fn mark(&self) -> Mark {
        self.node.mark
    }

    /// Notes what is wrong with it.
    pub(super) fn wrong(&self, wrong: Wrong) {
        self.context.findings.problem(self.problem(wrong));
    }

    /// Notes what is doubtful about it.
    pub(super) fn doubtful(&self, rule: impl Into<String>, right: impl Into<String>) {
        self.context.findings.warning(self.problem(Wrong::new(rule, right)));
    }

    fn problem(&self, Wrong { rule, right }: Wrong) -> Problem {
        Problem { mark: Some(self.node.mark), key: self.path.clone(), rule, right }
    }

    /// Its text as it stands in the file; otherwise notes that it is none.
    pub(super) fn written(&self) -> Option<&'a str> {
        let what = match &self.node.kind {
            Kind::Text(text) => return Some(text),
            Kind::Empty => "has no value",
            Kind::List(_) => "is a list, and must be one value",
            Kind::Map(_) => "is a map, and must be one value",
        };
        self.wrong(Wrong::new(what, ""));
        None
    }

    /// Whether it is exactly this text.
    pub(super) fn written_is(&self, text: &str) -> bool {
        matches!(&self.node.kind, Kind::Text(written) if written == text)
    }

    /// Its text with the environment put in; otherwise notes what is wrong.
    pub(super) fn text(&self) -> Option<String> {
        let written = self.written()?;
        self.keep(expand::expand(written, self.context.environment))
    }

    /// Its text, not empty, read by `read`; otherwise notes what is wrong.
    pub(super) fn parse<T>(&self, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.wrong(Wrong::new("is empty", ""));
            return None;
        }
        self.keep(read(text.trim()))
    }

    /// The value of a result; otherwise notes what is wrong.
    pub(super) fn keep<T>(&self, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.wrong(wrong)).ok()
    }

    /// The items of a list; nothing is an empty one.
    pub(super) fn items(&self) -> Vec<Self> {
        match &self.node.kind {
            Kind::Empty => Vec::new(),
            Kind::List(items) => {
                let item =
                    |(index, node)| Self { context: self.context, path: format!("{}[{index}]", self.path), node };
                items.iter().enumerate().map(item).collect()
            }
            Kind::Text(_) | Kind::Map(_) => {
                self.wrong(Wrong::new("must be a list", "begin each item with `- `"));
                Vec::new()
            }
        }
    }

    /// The entries of a map whose keys are not known beforehand; nothing is an empty one.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        self.map()
            .iter()
            .filter_map(|(key, node)| {
                let Kind::Text(key) = &key.kind else { return None };
                Some((key.as_str(), Self { context: self.context, path: self.path_of(key), node }))
            })
            .collect()
    }

    /// Whether it is a map.
    pub(super) const fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    /// The value of `key`, if it is a map that has one.
    pub(super) fn find(&self, key: &str) -> Option<Self> {
        let Kind::Map(entries) = &self.node.kind else { return None };
        let found = entries.iter().find(|(name, _)| matches!(&name.kind, Kind::Text(name) if name == key));
        found.map(|(_, node)| Self { context: self.context, path: self.path_of(key), node })
    }

    /// Whether nothing is written, not even `{}`.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.node.kind, Kind::Empty)
    }

    /// The keys of a map.
    pub(super) fn fields(&self) -> Fields<'a> {
        Fields { section: self.clone(), entries: self.map(), asked: Vec::new() }
    }

    fn map(&self) -> &'a [(Node, Node)] {
        match &self.node.kind {
            Kind::Empty => &[],
            Kind::Map(entries) => {
                self.note_repeated(entries);
                entries
            }
            Kind::Text(_) | Kind::List(_) => {
                self.wrong(Wrong::new("must be a map", "write `key: value` lines"));
                &[]
            }
        }
    }

    /// Notes every key that stands a second time.
    fn note_repeated(&self, entries: &[(Node, Node)]) {
        let mut seen = BTreeMap::new();
        for (key, _) in entries {
            let Kind::Text(name) = &key.kind else { continue };
            let Some(first) = seen.get(name) else {
                seen.insert(name, key.mark.line);
                continue;
            };
            let rule = format!("stands here a second time, first in line {first}");
            let right = "leave one of them out".to_owned();
            let problem = Problem { mark: Some(key.mark), key: self.path_of(name), rule, right };
            self.context.findings.problem(problem);
        }
    }

    fn path_of(&self, key: impl Display) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

/// A map whose keys are known to the one who reads it.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    section: Value<'a>,
    entries: &'a [(Node, Node)],
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The section itself, for what is wrong with it as a whole.
    pub(super) fn section(&self) -> &Value<'a> {
        &self.section
    }

    /// The value of `key`; none: it was left out.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        self.find(key)
    }

    /// The value of `key`; otherwise notes that it is missing.
    pub(super) fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.section.wrong(Wrong::new(format!("lacks `{key}`"), ""));
        }
        value
    }

    /// The value of `key`, read by `read`, or `default` where it was left out or is wrong.
    pub(super) fn read<T>(&mut self, key: &'static str, default: T, read: fn(&str) -> Result<T, Wrong>) -> T {
        self.take(key).and_then(|value| value.parse(read)).unwrap_or(default)
    }

    /// Says why `key` does not stand here.
    pub(super) fn refuse(&self, key: &'static str, wrong: Wrong) -> bool {
        let found = self.find(key);
        if let Some(value) = &found {
            value.wrong(wrong);
        }
        found.is_some()
    }

    /// Notes every key that nobody asked for; those in `refused` were spoken of before.
    pub(super) fn finish(self, refused: &[&str]) {
        for (key, _) in self.entries {
            let Kind::Text(name) = &key.kind else { continue };
            if self.asked.contains(&name.as_str()) || refused.contains(&name.as_str()) {
                continue;
            }
            let right = suggestion(name, self.asked.iter().copied());
            let path = self.section.path_of(name);
            let rule = "is no key that is known here".to_owned();
            self.section.context.findings.problem(Problem { mark: Some(key.mark), key: path, rule, right });
        }
    }

    fn find(&self, key: &str) -> Option<Value<'a>> {
        let found = self.entries.iter().find(|(name, _)| matches!(&name.kind, Kind::Text(name) if name == key));
        found.map(|(_, node)| Value { context: self.section.context, path: self.section.path_of(key), node })
    }
}

/// Reads a whole number of at least 1.
///
/// # Errors
/// It is none.
pub(super) fn count(text: &str) -> Result<u32, Wrong> {
    match text.parse::<u32>() {
        Ok(0) => Err(Wrong::new("must be above 0", "")),
        Ok(number) => Ok(number),
        Err(_) => Err(Wrong::new("must be a whole number", format!("1 to {}", u32::MAX))),
    }
}
