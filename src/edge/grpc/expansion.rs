//! How much memory a message will take once it is decoded, judged from its bytes before that.
//!
//! An empty block is two bytes on the wire and a hundred times that in memory, so a limit on bytes alone does not bound
//! what a peer can make this server hold. The walk follows the contract's own descriptors and skips texts unread.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::proto;

/// Smaller messages are not looked at: whatever they hold, it is little.
const HARMLESS_BYTES: usize = 64 * 1024;
/// The most that may be added to a message's own bytes: room for every token of a long answer with twenty alternatives
/// each.
const MAX_ADDED_BYTES: usize = 64 * 1024 * 1024;
/// What a message within a message takes, however empty: that of the largest type, with room for a list that grows.
const MESSAGE_BYTES: usize = 256;
/// What a text or a list's element takes, however empty.
const FIELD_BYTES: usize = 32;
/// How deep messages are nested at most; deeper ones are refused by the decoder.
const MAX_DEPTH: usize = 100;

/// Whether the encoded message `name` (`completiond.v1.CompleteRequest`) stays within bounds once it is decoded. Bytes
/// that are no such message count as far as they can be read, which is as far as the decoder comes.
pub(super) fn is_bounded(name: &str, encoded: &[u8]) -> bool {
    encoded.len() <= HARMLESS_BYTES || Walk { left: MAX_ADDED_BYTES }.message(SHAPES.get(name), encoded, 0).is_some()
}

/// The bytes that a decoded request takes, roughly: its own, and what each of its parts takes beside them.
pub(super) fn footprint(request: &proto::CompleteRequest) -> usize {
    let turns = request.messages.iter().map(|message| 1 + blocks(&message.content)).sum::<usize>();
    let parts = turns + blocks(&request.system_blocks) + request.tools.len();
    request.encoded_len().saturating_add(parts.saturating_mul(MESSAGE_BYTES))
}

fn blocks(content: &[proto::ContentBlock]) -> usize {
    let within = |block: &proto::ContentBlock| match &block.block {
        Some(proto::content_block::Block::ToolResult(result)) => blocks(&result.content),
        _ => 0,
    };
    content.iter().map(|block| 1 + within(block)).sum()
}

/// The messages within a message, by the number of their field: their names.
type Shape = HashMap<u32, String>;

static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    let mut shapes = HashMap::new();
    // The descriptors are part of the program; that they can be read is what the tests show.
    for file in FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap_or_default().file {
        for message in &file.message_type {
            add(message, file.package(), &mut shapes);
        }
    }
    shapes
});

fn add(message: &DescriptorProto, parent: &str, shapes: &mut HashMap<String, Shape>) {
    let name = format!("{parent}.{}", message.name());
    let fields = message.field.iter().filter(|field| field.r#type() == Type::Message);
    let shape = fields.filter_map(|field| {
        Some((u32::try_from(field.number()).ok()?, field.type_name().trim_start_matches('.').to_owned()))
    });
    shapes.insert(name.clone(), shape.collect());
    message.nested_type.iter().for_each(|nested| add(nested, &name, shapes));
}

/// A walk over a message, and what it may still add.
struct Walk {
    left: usize,
}

impl Walk {
    /// Walks a message to its end, or to where it cannot be read; none: it is too much.
    fn message(&mut self, shape: Option<&Shape>, mut bytes: &[u8], depth: usize) -> Option<()> {
        while !bytes.is_empty() {
            let Ok((number, kind)) = decode_key(&mut bytes) else { break };
            let skipped = match kind {
                WireType::Varint => decode_varint(&mut bytes).ok().map(|_| 0),
                WireType::SixtyFourBit => Some(8),
                WireType::ThirtyTwoBit => Some(4),
                // What a group holds is walked as if it stood here: that counts too much, never too little.
                WireType::StartGroup | WireType::EndGroup => Some(0),
                WireType::LengthDelimited => {
                    let length = decode_varint(&mut bytes).ok().and_then(|length| usize::try_from(length).ok());
                    if let Some(inner) = length.and_then(|length| bytes.get(..length)) {
                        self.field(shape.and_then(|shape| shape.get(&number)), inner, depth)?;
                    }
                    length
                }
            };
            let Some(rest) = skipped.and_then(|skipped| bytes.get(skipped..)) else { break };
            bytes = rest;
        }
        Some(())
    }

    /// Counts a field with a length; walks it where it is the message `name`.
    fn field(&mut self, name: Option<&String>, bytes: &[u8], depth: usize) -> Option<()> {
        let Some(name) = name else {
            self.left = self.left.checked_sub(FIELD_BYTES)?;
            return Some(());
        };
        self.left = self.left.checked_sub(MESSAGE_BYTES)?;
        if depth < MAX_DEPTH { self.message(SHAPES.get(name), bytes, depth + 1) } else { Some(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::content_block::Block;
    use crate::proto::{CompleteRequest, ContentBlock, Message as Turn, Text, TokenLogprob, ToolResult};

    const NAME: &str = "completiond.v1.CompleteRequest";

    fn block(block: Block) -> ContentBlock {
        ContentBlock { block: Some(block), ..ContentBlock::default() }
    }

    fn turn(content: Vec<ContentBlock>) -> CompleteRequest {
        CompleteRequest { messages: vec![Turn { content, ..Turn::default() }], ..CompleteRequest::default() }
    }

    #[test]
    fn many_tiny_pieces_are_too_much_wherever_they_stand() {
        let many = 300_000;
        let empty = vec![ContentBlock::default(); many];
        let nested = ToolResult { content: empty.clone(), ..ToolResult::default() };
        let cases = [
            ("system", CompleteRequest { system_blocks: empty.clone(), ..CompleteRequest::default() }),
            ("messages", CompleteRequest { messages: vec![Turn::default(); many], ..CompleteRequest::default() }),
            ("content", turn(empty)),
            ("results", turn(vec![block(Block::ToolResult(nested))])),
            (
                "logprobs",
                turn(vec![block(Block::Text(Text {
                    logprobs: vec![TokenLogprob::default(); many],
                    ..Text::default()
                }))]),
            ),
            ("stops", CompleteRequest { stop_sequences: vec![String::new(); 8 * many], ..CompleteRequest::default() }),
        ];
        for (place, request) in cases {
            let encoded = request.encode_to_vec();
            assert!(!is_bounded(NAME, &encoded), "{place}");
            // Neither a group ahead nor garbage behind hides them.
            assert!(!is_bounded(NAME, &[&[0x0b, 0x0c][..], &encoded, &[0xff; 20]].concat()), "{place}");
        }
    }

    #[test]
    fn what_a_conversation_needs_is_not_too_much() {
        let alternatives =
            vec![TokenLogprob { token: "token".into(), token_bytes: b"token".to_vec(), ..TokenLogprob::default() }; 20];
        let token = TokenLogprob { token: "token".into(), top: alternatives, ..TokenLogprob::default() };
        let answer = Text { logprobs: vec![token; 8192], ..Text::default() };
        assert!(is_bounded(NAME, &turn(vec![block(Block::Text(answer))]).encode_to_vec()));
        let said = block(Block::Text(Text { text: "a".repeat(30_000_000), ..Text::default() }));
        assert!(is_bounded(NAME, &turn(vec![said]).encode_to_vec()));
        let short = Turn {
            content: vec![block(Block::Text(Text { text: "hi".into(), ..Text::default() }))],
            ..Turn::default()
        };
        let long = CompleteRequest { messages: vec![short; 10_000], ..CompleteRequest::default() };
        assert!(is_bounded(NAME, &long.encode_to_vec()));
    }

    #[test]
    fn every_part_counts_beside_its_bytes() {
        let nested = ToolResult { content: vec![ContentBlock::default(); 3], ..ToolResult::default() };
        let request = turn(vec![block(Block::ToolResult(nested)), ContentBlock::default()]);
        assert_eq!(footprint(&request), request.encoded_len() + 6 * MESSAGE_BYTES);
    }

    #[test]
    fn every_message_of_the_contract_is_known() {
        for name in [NAME, "completiond.v1.ContentBlock", "completiond.v1.CompleteRequest.ProviderOptionsEntry"] {
            assert!(SHAPES.contains_key(name), "{name}");
        }
        assert_eq!(SHAPES[NAME][&6], "completiond.v1.Message");
    }

    #[test]
    fn the_largest_message_is_no_larger_than_is_counted() {
        let sizes = [
            size_of::<ContentBlock>(),
            size_of::<proto::Tool>(),
            size_of::<proto::Citation>(),
            size_of::<proto::Document>(),
        ];
        assert!(sizes.into_iter().all(|size| size <= MESSAGE_BYTES), "{sizes:?}");
    }
}
