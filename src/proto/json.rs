//! Messages of the contract as JSON, for programs that read a command's output, and for who calls by plain HTTP.
//!
//! The JSON mapping of protobuf, with the field names of the `.proto` files: 64-bit numbers are strings, bytes are
//! base64, durations are seconds (`"1.5s"`), what is not set is left out. Names in camel case are read as well.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use prost_types::FileDescriptorSet;
use serde_json::Value;
use tonic_types::pb;

/// The contract, as the build compiled it, with what statuses are explained by.
static CONTRACT: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| {
    let mut pool = DescriptorPool::decode(super::DESCRIPTORS).ok()?;
    let mut details = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).ok()?.file;
    // The contract has some of these itself, and its files are called otherwise.
    details.retain(|file| {
        let names = file.message_type.iter().map(|message| format!("{}.{}", file.package(), message.name()));
        names.into_iter().all(|name| pool.get_message_by_name(&name).is_none())
    });
    pool.add_file_descriptor_protos(details).ok()?;
    Some(pool)
});

/// What the contract says about its message `name`. None only for a name that is not there.
pub fn descriptor(name: &str) -> Option<MessageDescriptor> {
    CONTRACT.as_ref()?.get_message_by_name(&format!("completiond.v1.{name}"))
}

/// `message` as JSON; `name` is its name in the contract. None only for a name that is not there.
pub fn of(name: &str, message: &impl Message) -> Option<Value> {
    written(descriptor(name)?, message)
}

/// A status as JSON, each of its details with its type. None only for a detail of a type that is not known here.
pub fn of_status(status: &pb::Status) -> Option<Value> {
    written(CONTRACT.as_ref()?.get_message_by_name("google.rpc.Status")?, status)
}

fn written(descriptor: MessageDescriptor, message: &impl Message) -> Option<Value> {
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).ok()
}

/// The message `name` that `text` is the JSON of.
///
/// # Errors
/// What is wrong with the text, and where.
pub fn read<M: Message + Default>(name: &str, text: &str) -> Result<M, String> {
    let descriptor = descriptor(name).ok_or_else(|| format!("the contract has no {name}"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor, &mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    #[test]
    fn messages_become_json_with_the_contracts_own_names() {
        let message = proto::CompleteResponse {
            text: "Hello".to_owned(),
            outcome: Some(Box::new(proto::CompletionOutcome {
                finish_reason: proto::FinishReason::MaxTokens.into(),
                max_tokens: 8192,
                message_state: vec![1, 2],
                cost: Some(proto::Cost { pico_usd: 1 << 60, ..proto::Cost::default() }),
                ..proto::CompletionOutcome::default()
            })),
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
    fn a_status_becomes_json_with_each_of_its_details() {
        let info = pb::ErrorInfo { reason: "OVERLOADED".into(), domain: "completiond".into(), ..Default::default() };
        let failure = proto::FailureDetail { attempts_omitted: 3, ..Default::default() };
        let any =
            |name: &str, value: Vec<u8>| prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value };
        let details = vec![
            any("google.rpc.ErrorInfo", info.encode_to_vec()),
            any("completiond.v1.FailureDetail", failure.encode_to_vec()),
        ];
        let expected = serde_json::json!({
            "code": 14,
            "message": "full",
            "details": [
                { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "OVERLOADED", "domain": "completiond" },
                { "@type": "type.googleapis.com/completiond.v1.FailureDetail", "attempts_omitted": 3 },
            ],
        });
        assert_eq!(of_status(&pb::Status { code: 14, message: "full".into(), details }), Some(expected));
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
