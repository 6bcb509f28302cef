//! From the bytes of a provider's answer to events.

use completiond::domain::{Decoded, Event};
use completiond::protocol::{Decoder, Delivery, Frame, Signal};
use completiond::transport::{Framed, Framer};

use crate::Failure;
use crate::conversions::understood;
use crate::encoding::Encoder;
use crate::round::{Round, enough};
use crate::samples::{self, Wire};

/// The pieces of text of the stream: so many that its beginning and its end do not count.
const PIECES: usize = 1000;
/// The bytes that come at a time.
const READ: usize = 8 * 1024;

/// One event of a stream: the framer cuts it out, and the decoder reads it.
pub(crate) fn event(vendor: &'static str) -> Result<Round, Failure> {
    let bytes = Wire::of(vendor)?.stream(PIECES);
    let mut decoders = vec![decoder(vendor, Delivery::Stream)?, decoder(vendor, Delivery::Stream)?];
    Ok(Round::of(PIECES, move || {
        let mut decoder = decoders.pop().ok_or("there are no decoders left")?;
        match streamed(decoder.as_mut(), &bytes)? {
            PIECES => Ok(()),
            pieces => Err(format!("a stream of {PIECES} pieces had {pieces}").into()),
        }
    }))
}

/// A whole answer.
pub(crate) fn answer(vendor: &'static str) -> Result<Round, Failure> {
    let body = Wire::of(vendor)?.answer();
    let decoders = enough(|| decoder(vendor, Delivery::Whole))?;
    Ok(Round::each(decoders, move |mut decoder| {
        let mut events = Vec::new();
        decoder.whole(&body, &mut events)?;
        Ok(events)
    }))
}

fn decoder(vendor: &str, delivery: Delivery) -> Result<Box<dyn Decoder>, Failure> {
    let request = understood(samples::prompt())?;
    Ok(Encoder::new(vendor)?.encode(&request, delivery)?.decoder)
}

/// Reads a stream to its end, as the pool does. Gives the pieces of text in it.
fn streamed(decoder: &mut dyn Decoder, bytes: &[u8]) -> Result<usize, Failure> {
    let (mut framer, mut events, mut pieces) = (Framer::default(), Vec::new(), 0);
    for read in bytes.chunks(READ) {
        framer.push(read);
        while let Some(framed) = framer.next_frame()? {
            let Framed::Event { event, data } = framed else { continue };
            let signal = decoder.frame(Frame { event, data }, &mut events)?;
            pieces += events.drain(..).filter(is_piece).count();
            if signal == Signal::End {
                return Ok(pieces);
            }
        }
    }
    Err("the stream has no end".into())
}

fn is_piece(event: &Decoded) -> bool {
    matches!(event, Event::BlockDelta { .. })
}
