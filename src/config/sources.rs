//! What a configuration is read from beside its file: the environment and the table of vendors.

use std::fmt;

use crate::protocol::vendor::{PRESETS, Preset};

/// What a configuration may read beside its file. Handed in, so that tests need neither the process's environment nor
/// real vendors.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The environment: the value of a variable; none: it is not set.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The known vendors.
    pub presets: &'static [Preset],
}

impl<'a> Sources<'a> {
    /// The known vendors with this environment.
    pub const fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, presets: PRESETS }
    }

    /// A variable that is set and not empty.
    pub(super) fn filled(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn preset(&self, name: &str) -> Option<&'static Preset> {
        self.presets.iter().find(|preset| preset.name == name)
    }

    /// The rows that stand for a protocol itself: those that bear its name.
    pub(super) fn protocols(&self) -> impl Iterator<Item = &'static Preset> + Clone + use<> {
        self.presets.iter().filter(|preset| (preset.protocol)().name() == preset.name)
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("presets", &self.presets.len()).finish_non_exhaustive()
    }
}

/// The process's environment; a value that is not UTF-8 counts as not set.
pub fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
