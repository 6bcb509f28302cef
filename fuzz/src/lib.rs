//! What must hold for any bytes from a peer: pure functions, so that the server's tests replay the kept inputs with them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use completiond::domain::{
    Block, Decoded, Error, Finish, FinishReason, Fold, Identity, Message, ModelId, ProviderId, Request, Role, Tokens,
    Usage, UsageSource, Vendor,
};
use completiond::protocol::{Decoder, Delivery, Frame, HttpRefusal, Order, Protocol, Signal, Verdict, vendor};
use completiond::transport::{Framed, Framer};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// How many bytes at the beginning of an input say how the rest is cut.
const CUTS: usize = 8;
/// The longest wait that an upstream is believed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

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

    let (mut decoder, mut events) = (decoder(vendor, Delivery::Whole), Vec::new());
    let result = decoder.whole(bytes, &mut events);
    check(&(events, result, decoder.usage()), bytes.len());
}

/// The same bytes as an HTTP answer that is not 2xx: a filter's verdict is the only answer that it can be, and no wait
/// is endless. The first two bytes are its status; the lines in front that can be headers are its headers.
pub fn refuse(vendor: &str, input: &[u8]) {
    let (first, bytes) = input.split_at(input.len().min(CUTS));
    let (headers, body) = head(bytes);
    let number = first.iter().take(2).fold(0, |number, byte| number << 8 | u16::from(*byte));
    let Ok(status) = StatusCode::from_u16(300 + number % 300) else { return };
    let allowance = protocol(vendor).allowance(&headers, SystemTime::UNIX_EPOCH);
    for quota in [allowance.requests, allowance.tokens].into_iter().flatten() {
        assert!(quota.resets_in.is_none_or(|wait| wait <= LONGEST), "{quota:?}");
    }
    let refusal = HttpRefusal { status, headers: &headers, body, now: SystemTime::UNIX_EPOCH };
    match protocol(vendor).refuse(&identity(vendor), &refusal) {
        Verdict::Answer(finish) => assert_eq!(finish.reason, FinishReason::ContentFilter),
        Verdict::Failure(error) => {
            assert_eq!(error.details.upstream_status, Some(status.as_u16()));
            assert!(error.details.retry_after.is_none_or(|wait| wait <= LONGEST), "{:?}", error.details.retry_after);
        }
    }
}

type Played = (Vec<Decoded>, Result<(), Error>, Usage);

fn check((events, result, usage): &Played, bytes: usize) {
    assert!(events.len() <= bytes + 8, "more events than bytes");
    assert!(result.is_ok() || usage.source != UsageSource::Provider, "an answer that failed, and its usage is final");
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
            Ok(Signal::End) => return (events, Ok(()), decoder.usage()),
            Ok(Signal::Progress | Signal::Begun | Signal::KeepAlive) => {}
            Err(error) => return (events, Err(error), decoder.usage()),
        }
    }
    let result = decoder.end(&mut events);
    (events, result, decoder.usage())
}

fn decoder(vendor: &str, delivery: Delivery) -> Box<dyn Decoder> {
    let message = Message { role: Role::User, content: vec![Block::text("?")], state: None };
    let request = Request { messages: vec![message], ..Request::default() };
    let identity = identity(vendor);
    let order = Order {
        request: &request,
        identity: &identity,
        facts: None,
        delivery,
        max_tokens: Tokens::new(16),
        prompt_cache: request.prompt_cache,
    };
    match protocol(vendor).encode(&order) {
        Ok(exchange) => exchange.decoder,
        Err(unfit) => panic!("{unfit:?}"),
    }
}

fn protocol(vendor: &str) -> Arc<dyn Protocol> {
    let Some(preset) = vendor::preset(vendor) else { panic!("no vendor {vendor:?}") };
    (preset.protocol)()
}

fn identity(vendor: &str) -> Identity {
    Identity::new(ProviderId::new("fuzz"), Vendor::new(vendor), ModelId::new("model"))
}

/// The headers in front, and what follows them.
fn head(bytes: &[u8]) -> (HeaderMap, &[u8]) {
    let (mut headers, mut rest) = (HeaderMap::new(), bytes);
    while let Some((name, value, behind)) = header(rest) {
        headers.insert(name, value);
        rest = behind;
    }
    (headers, rest)
}

fn header(bytes: &[u8]) -> Option<(HeaderName, HeaderValue, &[u8])> {
    let (line, behind) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == b'\n')?)?;
    let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
    let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
    Some((HeaderName::from_bytes(name).ok()?, value, behind.get(1..)?))
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
