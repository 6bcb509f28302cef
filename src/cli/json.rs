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
}
