//! Where a block stands in the request, in the words of the public contract.

use std::fmt;

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Among the tools.
    Tool { tool: usize },
    /// In the system prompt.
    System { block: usize },
    /// In a message.
    Message { message: usize, block: usize },
    /// In the result of a tool call.
    Result { message: usize, block: usize, inner: usize },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool { tool } => write!(f, "tools[{tool}]"),
            Self::System { block } => write!(f, "system_blocks[{block}]"),
            Self::Message { message, block } => write!(f, "messages[{message}].content[{block}]"),
            Self::Result { message, block, inner } => {
                write!(f, "messages[{message}].content[{block}].tool_result.content[{inner}]")
            }
        }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}
