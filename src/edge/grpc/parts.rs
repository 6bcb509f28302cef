//! What a message will take once it is read, told from its bytes.
//!
//! An empty block is two bytes on the wire and a few hundred in memory: a request within the size limit could take
//! gigabytes. So the parts of a request are counted before it is decoded, and charged for while it is served.

use prost::Message;

use crate::proto;

/// The most that the parts of a request may weigh: a quarter of a million blocks, or four times as many log
/// probabilities.
const MOST_WEIGHT: usize = 1_000_000;
/// How deep messages may lie in each other; prost reads no deeper.
const MOST_DEPTH: usize = 100;
/// What a part of a conversation takes beside its bytes.
const PART_BYTES: usize = 256;

/// Whether `bytes`, a request for a completion, can be read into memory. Bytes that are no message can: they are
/// refused where they are decoded.
pub(super) fn is_bounded(bytes: &[u8]) -> bool {
    let mut left = MOST_WEIGHT;
    weigh(Kind::Request, bytes, MOST_DEPTH, &mut left);
    left > 0
}

/// The bytes that `request` takes in memory, roughly.
pub(super) fn footprint(request: &proto::CompleteRequest) -> usize {
    let blocks = request.messages.iter().map(|message| 1 + blocks(&message.content)).sum::<usize>();
    let parts = blocks + self::blocks(&request.system_blocks) + request.tools.len();
    request.encoded_len().saturating_add(parts.saturating_mul(PART_BYTES))
}

fn blocks(content: &[proto::ContentBlock]) -> usize {
    content
        .iter()
        .map(|block| match &block.block {
            Some(proto::content_block::Block::ToolResult(result)) => 1 + blocks(&result.content),
            _ => 1,
        })
        .sum()
}

/// The messages in which something can be repeated.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    Message,
    Block,
    Text,
    Logprob,
    ToolResult,
    Tool,
    /// Whose fields are counted, and nothing within them.
    Flat,
}

impl Kind {
    /// What the field number `field` of this holds, and what one of it weighs.
    fn field(self, field: u64) -> (usize, Option<Self>) {
        match (self, field) {
            (Self::Request, 5) | (Self::Message, 2) | (Self::ToolResult, 3) => (4, Some(Self::Block)),
            (Self::Request, 6) => (4, Some(Self::Message)),
            (Self::Request, 19) => (4, Some(Self::Tool)),
            (Self::Request, 20) | (Self::Tool, 1) => (1, Some(Self::Flat)),
            (Self::Request, 26) => (4, Some(Self::Flat)),
            (Self::Block, 1) => (0, Some(Self::Text)),
            (Self::Block, 5) => (0, Some(Self::ToolResult)),
            (Self::Text, 3) | (Self::Logprob, 4) => (1, Some(Self::Logprob)),
            (Self::Text, 2) | (Self::Block, 18) => (4, None),
            (Self::Request | Self::Flat, _) => (1, None),
            _ => (0, None),
        }
    }
}

/// Takes the weight of what `bytes` hold from `left`, as far as they are a message.
fn weigh(kind: Kind, mut bytes: &[u8], depth: usize, left: &mut usize) {
    while let Some(key) = varint(&mut bytes) {
        let (weight, within) = kind.field(key >> 3);
        *left = left.saturating_sub(weight);
        if *left == 0 {
            return;
        }
        let length = match key & 7 {
            0 => varint(&mut bytes).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut bytes),
            5 => Some(4),
            _ => None,
        };
        let split = length.and_then(|length| usize::try_from(length).ok()).and_then(|at| bytes.split_at_checked(at));
        let Some((value, rest)) = split else { return };
        if let (Some(within), 2, 1..) = (within, key & 7, depth) {
            weigh(within, value, depth - 1, left);
        }
        bytes = rest;
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that holds `value`.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(u64::from(number) << 3 | 2, &mut bytes);
        prost::encoding::encode_varint(value.len().try_into().unwrap(), &mut bytes);
        [bytes, value.to_vec()].concat()
    }

    #[test]
    fn a_million_tiny_parts_are_too_many_wherever_they_are() {
        let many = |number| field(number, b"").repeat(1_000_000);
        let text = |within: &[u8]| field(6, &field(2, &field(1, within)));
        let nested = field(6, &field(2, &field(5, &many(3))));
        for (of, bytes) in [
            ("messages", many(6)),
            ("blocks", field(6, &many(2))),
            ("blocks of a result", nested),
            ("system blocks", many(5)),
            ("tools", many(19)),
            ("stop sequences", many(16)),
            ("options", many(26)),
            ("citations", text(&many(2))),
            ("log probabilities", text(&many(3))),
            ("alternatives", text(&field(3, &many(4)))),
            ("chosen tools", field(20, &many(2))),
        ] {
            assert!(!is_bounded(&bytes), "{of}");
        }
    }

    #[test]
    fn a_large_conversation_is_read_and_so_are_bytes_that_are_none() {
        let text = proto::content_block::Block::Text(proto::Text { text: "x".repeat(200), ..Default::default() });
        let block = proto::ContentBlock { block: Some(text), ..Default::default() };
        let message = proto::Message { content: vec![block; 10], ..Default::default() };
        let request = proto::CompleteRequest { messages: vec![message; 10_000], ..Default::default() };
        assert!(is_bounded(&request.encode_to_vec()));
        assert!(footprint(&request) > request.encoded_len() + 110_000 * PART_BYTES - 1);
        for bytes in [&b""[..], b"\xff", &[0xff; 40], b"\x32\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x33\x00"] {
            assert!(is_bounded(bytes), "{bytes:?}");
        }
    }
}
