//! Which models a caller may ask for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::ModelName;

/// What a caller may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Models {
    /// Whatever there is.
    #[default]
    All,
    /// Names that one of these fits.
    Only(Vec<ModelPattern>),
    /// Names that both allow.
    Both(Arc<(Models, Models)>),
}

impl Models {
    /// Whether `name` may be asked for.
    pub fn allow(&self, name: &ModelName) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.fits(name)),
            Self::Both(both) => both.0.allow(name) && both.1.allow(name),
        }
    }

    /// What both allow.
    #[must_use]
    pub fn within(&self, other: Self) -> Self {
        match (self, other) {
            (Self::All, other) => other,
            (one, Self::All) => one.clone(),
            (one, other) => Self::Both(Arc::new((one.clone(), other))),
        }
    }

    /// What stands behind it in memory, as far as it can be told.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Only(patterns) => patterns.iter().map(ModelPattern::bytes).sum(),
            Self::Both(both) => size_of::<(Self, Self)>() + both.0.bytes() + both.1.bytes(),
        }
    }

    /// Whether any name may be asked for.
    pub const fn are_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// A name, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelPattern {
    /// This name.
    Name(String),
    /// Names that begin so.
    Beginning(String),
}

/// A text is no pattern: only its last character may be a `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a name, or the beginning of names with a `*` at its end")]
pub struct NotAPattern;

impl ModelPattern {
    fn bytes(&self) -> usize {
        /// What an allocation takes beside what is in it.
        const ALLOCATION: usize = 16;
        let (Self::Name(text) | Self::Beginning(text)) = self;
        size_of::<Self>() + ALLOCATION + text.capacity()
    }

    fn fits(&self, name: &ModelName) -> bool {
        match self {
            Self::Name(only) => only == name.as_str(),
            Self::Beginning(beginning) => name.as_str().starts_with(beginning),
        }
    }
}

impl FromStr for ModelPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let (beginning, is_name) = text.strip_suffix('*').map_or((text, true), |beginning| (beginning, false));
        if beginning.contains('*') || text.is_empty() {
            return Err(NotAPattern);
        }
        let beginning = beginning.to_owned();
        Ok(if is_name { Self::Name(beginning) } else { Self::Beginning(beginning) })
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Beginning(beginning) => write!(f, "{beginning}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(patterns: &[&str]) -> Models {
        Models::Only(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect())
    }

    #[test]
    fn a_name_is_allowed_by_itself_or_by_its_beginning() {
        let models = only(&["smart", "claude/*"]);
        for (name, allowed) in
            [("smart", true), ("smarter", false), ("claude/x", true), ("claude", false), ("claude/", true), ("", false)]
        {
            assert_eq!(models.allow(&ModelName::new(name)), allowed, "{name}");
        }
        assert!(only(&["*"]).allow(&ModelName::new("anything")));
        assert!(!only(&[]).allow(&ModelName::new("anything")));
        assert!(Models::All.allow(&ModelName::new("anything")));
    }

    #[test]
    fn what_two_allow_is_what_each_of_them_does() {
        let both = only(&["smart", "claude/*"]).within(only(&["claude/x", "home/*"]));
        for (name, allowed) in [("claude/x", true), ("claude/y", false), ("smart", false), ("home/x", false)] {
            assert_eq!(both.allow(&ModelName::new(name)), allowed, "{name}");
        }
        assert_eq!(Models::All.within(only(&["smart"])), only(&["smart"]));
        assert_eq!(only(&["smart"]).within(Models::All), only(&["smart"]));
    }

    #[test]
    fn a_star_stands_at_the_end_or_nowhere() {
        for text in ["", "*smart", "a*b", "**", "a**"] {
            assert_eq!(text.parse::<ModelPattern>(), Err(NotAPattern), "{text}");
        }
        for text in ["*", "smart", "claude/*"] {
            assert_eq!(text.parse::<ModelPattern>().unwrap().to_string(), text);
        }
    }
}
