//! Which names may stand where something in JSON is wrong: those of the fields of a message, or of the values of an enum. They
//! are the contract's own; nothing of what stands there is told.

use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::proto::json;

/// Names, as the end of a rule; none: there are no names there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Of fields.
    Fields(Vec<String>),
    /// Of values.
    Values(Vec<String>),
    /// What stands there has no name.
    None,
}

/// The names that may stand at `path` of a `CompleteRequest`; empty: at its root.
pub(super) fn at(path: &str) -> Names {
    let Some(root) = json::descriptor("CompleteRequest") else { return Names::None };
    if path.is_empty() {
        return Names::of_message(&root);
    }
    let mut within = Some(root);
    let mut found = None;
    let mut steps = path.split('.');
    while let Some(step) = steps.next() {
        // A path that goes on where no message is leads nowhere.
        let Some(message) = within.take() else { return Names::None };
        let (step, _) = step.split_once('[').unwrap_or((step, ""));
        let field = message.get_field_by_name(step).or_else(|| message.get_field_by_json_name(step));
        within = field.as_ref().and_then(message_of);
        // The step behind it is a key of the map, which the caller chooses.
        if field.as_ref().is_some_and(FieldDescriptor::is_map) && steps.next().is_none() {
            return Names::None;
        }
        found = field;
    }
    found.map_or(Names::None, |field| Names::of_field(&field))
}

/// The message that a field holds; of a map the message in it.
fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let Kind::Message(message) = field.kind() else { return None };
    if !field.is_map() {
        return Some(message);
    }
    match message.map_entry_value_field().kind() {
        Kind::Message(value) => Some(value),
        _ => None,
    }
}

impl Names {
    fn of_message(message: &MessageDescriptor) -> Self {
        // What has a form of its own in JSON has no fields there.
        if message.full_name().starts_with("google.protobuf.") {
            return Self::None;
        }
        Self::Fields(message.fields().map(|field| field.name().to_owned()).collect())
    }

    fn of_field(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Enum(values) => {
                let names = values.values().map(|value| value.name().to_owned());
                Self::Values(names.filter(|name| !name.ends_with("_UNSPECIFIED")).collect())
            }
            Kind::Message(_) => message_of(field).map_or(Self::None, |message| Self::of_message(&message)),
            _ => Self::None,
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(names) => write!(f, "; fields that may stand there: {}", names.join(", ")),
            Self::Values(names) => write!(f, ": {}", names.join(", ")),
            Self::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_place() {
        assert_eq!(at("messages[0].role").to_string(), ": ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL");
        assert_eq!(at("messages[12]").to_string(), "; fields that may stand there: role, content, provider_state");
        assert_eq!(at("messages").to_string(), at("messages[0]").to_string());
        assert_eq!(at("toolChoice.mode").to_string(), at("tool_choice.mode").to_string());
        assert!(at("").to_string().contains("model, ") && at("").to_string().contains("prompt"));
        for nameless in ["prompt", "labels.team", "labels", "cache.ttl", "nothing", "prompt.more", "messages[0].role.x"]
        {
            assert_eq!(at(nameless), Names::None, "{nameless}");
        }
    }
}
