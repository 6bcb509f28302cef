//! Feeds bytes through a framer and a decoder, as a call does.

use completiond::domain::{Answer, Decoded, Error, Finish, Fold, SequenceError, Terms, Usage};
use completiond::protocol::{Delivery, Frame, Signal};
use completiond::transport::{Framed, Framer};

use super::case::Case;

/// What came of some bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Played {
    pub(crate) events: Vec<Decoded>,
    pub(crate) result: Result<(), Error>,
    /// The decoder's usage at the end.
    pub(crate) usage: Usage,
    /// The decoder's terms at the end.
    pub(crate) terms: Terms,
    /// Whether the protocol's own mark of a complete answer was in the bytes.
    pub(crate) end_mark: bool,
}

impl Played {
    /// The answer, if it is complete.
    pub(crate) fn answer(&self) -> Option<Answer<Finish>> {
        self.fold().unwrap()
    }

    /// The answer, if it is complete.
    pub(crate) fn fold(&self) -> Result<Option<Answer<Finish>>, SequenceError> {
        let mut fold = Fold::default();
        for event in &self.events {
            fold.push(event.clone())?;
        }
        Ok(fold.finish())
    }
}

/// Reads a stream in pieces of these sizes, over and over; none: in one piece.
pub(crate) fn play(case: &Case, stream: &[u8], sizes: &[usize]) -> Played {
    let mut decoder = case.decoder(Delivery::Stream);
    let mut framer = Framer::default();
    let (mut events, mut end_mark, mut over) = (Vec::new(), false, None);
    for piece in pieces(stream, sizes) {
        framer.push(piece);
        while over.is_none() {
            let Some(framed) = framer.next_frame().expect("a frame is too large") else { break };
            let Framed::Event { event, data } = framed else { continue };
            end_mark |= is_end_mark(&case.protocol, event, data);
            match decoder.frame(Frame { event, data }, &mut events) {
                Ok(Signal::End) => over = Some(Ok(())),
                Ok(Signal::Progress | Signal::Begun | Signal::KeepAlive) => {}
                Err(error) => over = Some(Err(error)),
            }
        }
    }
    let result = over.unwrap_or_else(|| decoder.end(&mut events));
    Played { events, result, usage: decoder.usage(), terms: decoder.terms(), end_mark }
}

/// Reads an answer that came whole.
pub(crate) fn play_whole(case: &Case, body: &[u8]) -> Played {
    let mut decoder = case.decoder(Delivery::Whole);
    let mut events = Vec::new();
    let result = decoder.whole(body, &mut events);
    Played { events, end_mark: result.is_ok(), result, usage: decoder.usage(), terms: decoder.terms() }
}

/// The places behind each frame of a stream.
pub(crate) fn boundaries(stream: &[u8]) -> Vec<usize> {
    let mut framer = Framer::default();
    let mut boundaries = Vec::new();
    for (place, byte) in stream.iter().enumerate() {
        framer.push(&[*byte]);
        while let Some(framed) = framer.next_frame().expect("a frame is too large") {
            if matches!(framed, Framed::Event { .. }) {
                boundaries.push(place + 1);
            }
        }
    }
    boundaries
}

fn pieces<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(sizes.next().map_or(rest.len(), |size| (*size).min(rest.len())));
        pieces.push(piece);
        rest = later;
    }
    pieces
}

/// What makes an answer complete, read from the bytes themselves: the judge of the decoders, and so none of their code.
fn is_end_mark(protocol: &str, event: &str, data: &[u8]) -> bool {
    let json: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
    match protocol {
        "anthropic" => {
            let says = json["error"]["message"].as_str().unwrap_or_default();
            event == "message_stop" || json["type"] == "message_stop" || says.contains("content filtering policy")
        }
        // A filter's verdict in the form of an error is the end of an answer, too.
        "openai" if json["error"]["code"] == "content_filter" => true,
        "openai" => json["choices"].as_array().is_some_and(|choices| {
            choices
                .iter()
                .any(|choice| choice["index"].as_u64().unwrap_or(0) == 0 && choice["finish_reason"].is_string())
        }),
        other => panic!("what is the end mark of {other}?"),
    }
}
