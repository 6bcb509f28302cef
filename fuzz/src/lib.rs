//! What must hold for any bytes from a peer: pure functions, so that the server's tests replay the kept inputs with them.

use completiond::domain::{
    Block, Decoded, Error, Finish, Fold, Identity, Message, ModelId, ProviderId, Request, Role, Tokens, Vendor,
};
use completiond::protocol::{Decoder, Delivery, Frame, Order, Signal, vendor};
use completiond::transport::{Framed, Framer};

/// How many bytes at the beginning of an input say how the rest is cut.
const CUTS: usize = 8;

/// The framer gives the same frames however the bytes are cut.
pub fn sse(input: &[u8]) {
    let (sizes, bytes) = input.split_at(input.len().min(CUTS));
    assert_eq!(frames(bytes, sizes), frames(bytes, &[]));
}

/// The decoder of this vendor gives the same events however the bytes are cut; they are a valid sequence; and what ends
/// well, and only that, is an answer.
pub fn decode(vendor: &str, input: &[u8]) {
    let (sizes, bytes) = input.split_at(input.len().min(CUTS));
    let whole = streamed(vendor, bytes, &[]);
    assert_eq!(streamed(vendor, bytes, sizes), whole);
    check(&whole, bytes.len());

    let mut events = Vec::new();
    let result = decoder(vendor, Delivery::Whole).whole(bytes, &mut events);
    check(&(events, result), bytes.len());
}

type Played = (Vec<Decoded>, Result<(), Error>);

fn check((events, result): &Played, bytes: usize) {
    assert!(events.len() <= bytes + 8, "more events than bytes");
    let mut fold: Fold<Finish> = Fold::default();
    for event in events {
        if let Err(error) = fold.push(event.clone()) {
            panic!("{error}: {events:?}");
        }
    }
    assert_eq!(fold.finish().is_some(), result.is_ok(), "an answer that failed, or none that ended");
}

fn frames(bytes: &[u8], sizes: &[u8]) -> Vec<Option<(String, Vec<u8>)>> {
    let mut framer = Framer::default();
    let mut frames = Vec::new();
    for piece in pieces(bytes, sizes) {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(Framed::Event { event, data })) => frames.push(Some((event.to_owned(), data.to_vec()))),
                Ok(Some(Framed::KeepAlive)) => frames.push(None),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

fn streamed(vendor: &str, bytes: &[u8], sizes: &[u8]) -> Played {
    let mut decoder = decoder(vendor, Delivery::Stream);
    let mut events = Vec::new();
    for (event, data) in frames(bytes, sizes).into_iter().flatten() {
        match decoder.frame(Frame { event: &event, data: &data }, &mut events) {
            Ok(Signal::End) => return (events, Ok(())),
            Ok(Signal::Progress | Signal::Begun | Signal::KeepAlive) => {}
            Err(error) => return (events, Err(error)),
        }
    }
    let result = decoder.end(&mut events);
    (events, result)
}

fn decoder(vendor: &str, delivery: Delivery) -> Box<dyn Decoder> {
    let message = Message { role: Role::User, content: vec![Block::text("?")], state: None };
    let request = Request { messages: vec![message], ..Request::default() };
    let identity = Identity::new(ProviderId::new("fuzz"), Vendor::new(vendor), ModelId::new("model"));
    let order = Order { request: &request, identity: &identity, facts: None, delivery, max_tokens: Tokens::new(16) };
    let Some(preset) = vendor::preset(vendor) else { panic!("no vendor {vendor:?}") };
    match (preset.protocol)().encode(&order) {
        Ok(exchange) => exchange.decoder,
        Err(unfit) => panic!("{unfit:?}"),
    }
}

/// The bytes in pieces of these sizes, over and over; none: in one piece.
fn pieces<'a>(bytes: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut sizes = sizes.iter().map(|size| usize::from(*size) + 1).cycle();
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(sizes.next().map_or(rest.len(), |size| size.min(rest.len())));
        pieces.push(piece);
        rest = later;
    }
    pieces
}
