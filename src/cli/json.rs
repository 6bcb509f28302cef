//! Messages of the contract as JSON, for programs that read a command's output.
//!
//! The JSON mapping of protobuf, with the field names of the `.proto` files: 64-bit numbers are strings, bytes are
//! base64, durations are seconds (`"1.5s"`), what is not set is left out.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::proto;

/// The contract, as the build compiled it.
static CONTRACT: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(proto::DESCRIPTORS).ok());

/// `message` as JSON; `name` is its name in the contract. None only for a name that is not there.
pub(super) fn of(name: &str, message: &impl Message) -> Option<Value> {
    let descriptor = CONTRACT.as_ref()?.get_message_by_name(&format!("completiond.v1.{name}"))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).ok()
}

/// The message `name` that `text` is the JSON of.
///
/// # Errors
/// What is wrong with the text, and where.
pub(super) fn read<M: Message + Default>(name: &str, text: &str) -> Result<M, String> {
    let contract = CONTRACT.as_ref().and_then(|pool| pool.get_message_by_name(&format!("completiond.v1.{name}")));
    let descriptor = contract.ok_or_else(|| format!("the contract has no {name}"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor, &mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_json_with_the_contracts_own_names() {
        let message = proto::CompleteResponse {
            text: "Hello".to_owned(),
            outcome: Some(proto::CompletionOutcome {
                finish_reason: proto::FinishReason::MaxTokens.into(),
                max_tokens: 8192,
                message_state: vec![1, 2],
                cost: Some(proto::Cost { pico_usd: 1 << 60, ..proto::Cost::default() }),
                ..proto::CompletionOutcome::default()
            }),
            message: None,
        };
        let expected = serde_json::json!({
            "outcome": {
                "finish_reason": "FINISH_REASON_MAX_TOKENS",
                "cost": { "pico_usd": "1152921504606846976" },
                "max_tokens": 8192,
                "message_state": "AQI=",
            },
            "text": "Hello",
        });
        assert_eq!(of("CompleteResponse", &message), Some(expected));
        assert_eq!(of("Nothing", &message), None);
    }

    #[test]
    fn json_becomes_a_message_or_says_where_it_is_wrong() {
        let read = |text: &str| read::<proto::CompleteRequest>("CompleteRequest", text);
        let expected =
            proto::CompleteRequest { prompt: "Hi".into(), max_cost_pico_usd: Some(1 << 60), ..Default::default() };
        assert_eq!(read(r#"{"prompt":"Hi","max_cost_pico_usd":"1152921504606846976"}"#), Ok(expected));
        for (wrong, about) in [("{", "line 1"), (r#"{"promt":"Hi"}"#, "promt"), ("{} {}", "trailing"), ("[]", "")] {
            assert!(read(wrong).unwrap_err().contains(about), "{wrong}");
        }
    }
}
