//! The bytes of answers, made once.

use bytes::Bytes;
use prost::Message as _;

use super::{Form, HEAD_END, find};
use crate::shapes::Wire;

/// What is said, piece by piece.
pub(crate) const PIECE: &str = "light is scattered ";
/// How often an answer that comes whole says it.
pub(crate) const PIECES: usize = 64;

/// The answers in both protocols.
pub(super) struct Answers {
    chat: Vec<u8>,
    messages: Vec<u8>,
    message: Vec<u8>,
    chat_stream: Streamed,
    messages_stream: Streamed,
}

/// A stream in both forms.
struct Streamed {
    /// For HTTP/1.1: with its head, and each event a chunk of its own.
    chunked: Parts,
    /// The events themselves.
    plain: Parts,
}

/// A stream in parts.
#[derive(Clone)]
pub(super) struct Parts {
    beginning: Vec<u8>,
    piece: Vec<u8>,
    end: Vec<u8>,
}

impl Default for Answers {
    fn default() -> Self {
        let text = PIECE.repeat(PIECES);
        Self {
            chat: whole("application/json", chat(&text).as_bytes()),
            messages: whole("application/json", messages(&text).as_bytes()),
            message: whole("application/protobuf", &Bytes::from(chat(&text)).encode_to_vec()),
            chat_stream: chat_stream(),
            messages_stream: messages_stream(),
        }
    }
}

impl Answers {
    /// An answer that comes whole, head and all.
    pub(super) fn whole(&self, form: Form) -> &[u8] {
        match form {
            Form::Json(Wire::Chat) => &self.chat,
            Form::Json(Wire::Messages) => &self.messages,
            Form::Message => &self.message,
        }
    }

    /// Its body alone.
    pub(super) fn body(&self, form: Form) -> &[u8] {
        let whole = self.whole(form);
        find(whole, HEAD_END).and_then(|at| whole.get(at + HEAD_END.len()..)).unwrap_or_default()
    }

    /// One that comes in pieces, head and all.
    pub(super) fn stream(&self, wire: Wire) -> &Parts {
        &self.streamed(wire).chunked
    }

    /// Its events alone.
    pub(super) fn events(&self, wire: Wire) -> &Parts {
        &self.streamed(wire).plain
    }

    fn streamed(&self, wire: Wire) -> &Streamed {
        match wire {
            Wire::Chat => &self.chat_stream,
            Wire::Messages => &self.messages_stream,
        }
    }
}

impl Streamed {
    fn new(beginning: &[String], piece: &str, end: &[String]) -> Self {
        let mut head =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        head.extend(beginning.iter().flat_map(|event| chunk(event)));
        let mut last: Vec<u8> = end.iter().flat_map(|event| chunk(event)).collect();
        last.extend_from_slice(b"0\r\n\r\n");
        let plain =
            Parts { beginning: beginning.concat().into(), piece: piece.as_bytes().to_vec(), end: end.concat().into() };
        Self { chunked: Parts { beginning: head, piece: chunk(piece), end: last }, plain }
    }
}

impl Parts {
    /// All that stands before the first piece.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// One piece of text.
    pub(super) fn piece(&self) -> &[u8] {
        &self.piece
    }

    /// All that stands behind the last piece.
    pub(super) fn end(&self) -> &[u8] {
        &self.end
    }

    /// All of it, with so many pieces.
    pub(super) fn burst(&self, pieces: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.beginning.len() + self.piece.len() * pieces + self.end.len());
        all.extend_from_slice(&self.beginning);
        (0..pieces).for_each(|_| all.extend_from_slice(&self.piece));
        all.extend_from_slice(&self.end);
        all
    }
}

fn whole(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunk(event: &str) -> Vec<u8> {
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

fn chat(text: &str) -> String {
    let usage = chat_usage();
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{usage}}}"#
    )
}

fn chat_usage() -> &'static str {
    r#"{"prompt_tokens":250,"completion_tokens":192,"total_tokens":442,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#
}

fn chat_chunk(choices: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"bench\",\"system_fingerprint\":\"fp_1\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
    )
}

fn chat_stream() -> Streamed {
    let delta = |delta: &str, finish: &str| {
        let choice = format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#);
        chat_chunk(&choice, "null")
    };
    Streamed::new(
        &[delta(r#"{"role":"assistant","content":""}"#, "null")],
        &delta(&format!(r#"{{"content":"{PIECE}"}}"#), "null"),
        &[delta("{}", r#""stop""#), chat_chunk("", chat_usage()), "data: [DONE]\n\n".to_owned()],
    )
}

const MESSAGE: &str = r#""id":"msg_1","type":"message","role":"assistant","model":"bench""#;

fn messages(text: &str) -> String {
    format!(
        r#"{{{MESSAGE},"content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":250,"output_tokens":192}}}}"#
    )
}

fn messages_stream() -> Streamed {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let usage = r#"{"input_tokens":250,"output_tokens":1}"#;
    let start =
        format!(r#","message":{{{MESSAGE},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{usage}}}"#);
    let text = format!(r#","index":0,"delta":{{"type":"text_delta","text":"{PIECE}"}}"#);
    let last = r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":192}"#;
    Streamed::new(
        &[
            event("message_start", &start),
            event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
        ],
        &event("content_block_delta", &text),
        &[event("content_block_stop", r#","index":0"#), event("message_delta", last), event("message_stop", "")],
    )
}
