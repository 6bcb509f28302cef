//! The paced body: frames are made one at a time, when they are asked for and their time has come.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};

use super::answer::Answer;
use super::directive::{End, Fault, FaultKind};
use super::failure::Failure;
use super::gauge::Open;
use super::play::{Place, Step};
use super::wire::Wire;
use crate::transport::TransportError;

/// Longer than anything waits.
const FOREVER: Duration = Duration::MAX;
/// What an endless line is made of, and how often: 64 MiB, four times what any reader should take.
const ENDLESS: &[u8] = &[b'x'; 65_536];
const ENDLESS_PIECES: u32 = 1024;

/// When frames come, and in which pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// Before the first frame.
    pub(super) first: Duration,
    /// Before each token.
    pub(super) pace: Duration,
    /// Between keep-alives, whenever nothing else comes; none: there are none.
    pub(super) ping: Option<Duration>,
    /// The size of a piece in bytes; none: a frame is a piece.
    pub(super) split: Option<usize>,
}

/// What a body does next.
#[derive(Debug)]
enum Move {
    Send { after: Duration, bytes: Bytes },
    Lose,
    Hang,
    End,
}

/// What a body consists of.
#[derive(Debug)]
pub(super) enum Script {
    Streamed(Box<Streamed>),
    Whole(Whole),
}

/// An answer, frame by frame.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) wire: &'static dyn Wire,
    pub(super) answer: Answer,
    pub(super) rhythm: Rhythm,
    pub(super) end: End,
    pub(super) fault: Option<Fault>,
    /// What an error in the middle says.
    pub(super) failure: Failure,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Answer { place: Place, sent: u32 },
    Endless { left: u32 },
    Over,
}

/// An answer in one piece: its bytes, then what goes wrong, if anything does.
#[derive(Debug)]
pub(super) struct Whole {
    bytes: Bytes,
    then: Option<FaultKind>,
}

impl Script {
    /// An answer, frame by frame.
    pub(super) fn streamed(wire: &'static dyn Wire, answer: Answer, rhythm: Rhythm, failure: Failure) -> Streamed {
        let progress = Progress::Answer { place: Place::default(), sent: 0 };
        Streamed { wire, answer, rhythm, failure, end: End::Whole, fault: None, progress }
    }

    /// An answer in one piece. A fault comes in the middle of it.
    pub(super) fn whole(bytes: Vec<u8>, fault: Option<FaultKind>) -> Self {
        let mut bytes = Bytes::from(bytes);
        match fault {
            Some(FaultKind::Malformed) => {
                bytes.truncate(bytes.len() / 2);
                let mut broken = BytesMut::from(bytes);
                broken.put_u8(0);
                bytes = broken.freeze();
            }
            Some(_) => bytes.truncate(bytes.len() / 2),
            None => {}
        }
        Self::Whole(Whole { bytes, then: fault })
    }

    fn next(&mut self) -> Move {
        match self {
            Self::Streamed(streamed) => streamed.next(),
            Self::Whole(whole) if !whole.bytes.is_empty() => {
                Move::Send { after: Duration::ZERO, bytes: std::mem::take(&mut whole.bytes) }
            }
            Self::Whole(whole) => match whole.then {
                Some(FaultKind::Reset) => Move::Lose,
                Some(FaultKind::Stall | FaultKind::Endless) => Move::Hang,
                _ => Move::End,
            },
        }
    }
}

impl Streamed {
    fn next(&mut self) -> Move {
        match self.progress {
            Progress::Answer { place, sent } => match self.fault {
                Some(fault) if fault.after == sent => self.fail(fault.kind),
                _ => self.play(place, sent),
            },
            Progress::Endless { left: 0 } | Progress::Over => Move::End,
            Progress::Endless { ref mut left } => {
                *left -= 1;
                Move::Send { after: Duration::ZERO, bytes: Bytes::from_static(ENDLESS) }
            }
        }
    }

    fn play(&mut self, mut place: Place, sent: u32) -> Move {
        while let Some(step) = place.step(&self.answer) {
            let is_left_out = match self.end {
                End::Whole => false,
                End::Unfinished => self.wire.completes(step),
                End::Unmarked => step == Step::Done,
            };
            if is_left_out {
                break;
            }
            if let Some(frame) = self.wire.frame(&self.answer, step) {
                let after = match step {
                    Step::Start => self.rhythm.first,
                    Step::Token(..) => self.rhythm.pace,
                    _ => Duration::ZERO,
                };
                self.progress = Progress::Answer { place, sent: sent + 1 };
                return Move::Send { after, bytes: frame.into() };
            }
        }
        self.progress = Progress::Over;
        Move::End
    }

    fn fail(&mut self, kind: FaultKind) -> Move {
        let now = |text: String| Move::Send { after: Duration::ZERO, bytes: text.into() };
        match kind {
            FaultKind::Cut => Move::End,
            FaultKind::Reset => Move::Lose,
            FaultKind::Stall => Move::Hang,
            FaultKind::Malformed => {
                self.fault = None;
                now("data: {\"simulated\": malformed\n\n".to_owned())
            }
            FaultKind::Error => {
                self.progress = Progress::Over;
                now(self.wire.error_frame(&self.failure, &self.answer.id))
            }
            FaultKind::Endless => {
                self.progress = Progress::Endless { left: ENDLESS_PIECES };
                now("data: ".to_owned())
            }
        }
    }
}

/// A body that plays `script`. It stops when it is dropped, and never holds more than the frame that it is sending.
pub(super) fn body(
    script: Script,
    rhythm: Rhythm,
    keep_alive: &'static str,
    open: Open,
) -> UnsyncBoxBody<Bytes, TransportError> {
    let playback = Playback { script, rhythm, keep_alive, wait: Duration::ZERO, rest: Bytes::new(), open };
    StreamBody::new(stream::unfold(playback, Playback::next)).boxed_unsync()
}

struct Playback {
    script: Script,
    rhythm: Rhythm,
    keep_alive: &'static str,
    /// What is left of the wait before `rest` may be sent.
    wait: Duration,
    rest: Bytes,
    open: Open,
}

type Piece = Result<Frame<Bytes>, TransportError>;

impl Playback {
    async fn next(mut self) -> Option<(Piece, Self)> {
        loop {
            if !self.wait.is_zero() {
                let slice = self.rhythm.ping.map_or(self.wait, |ping| ping.min(self.wait));
                sleep(slice).await;
                self.wait = self.wait.saturating_sub(slice);
                if !self.wait.is_zero() {
                    return Some((Ok(Frame::data(Bytes::from_static(self.keep_alive.as_bytes()))), self));
                }
            }
            if !self.rest.is_empty() {
                let size = self.rhythm.split.unwrap_or(usize::MAX).min(self.rest.len());
                let piece = self.rest.split_to(size);
                return Some((Ok(Frame::data(piece)), self));
            }
            match self.script.next() {
                Move::Send { after, bytes } => (self.wait, self.rest) = (after, bytes),
                Move::Hang => self.wait = FOREVER,
                Move::Lose => {
                    self.open.finish();
                    self.script = Script::whole(Vec::new(), None);
                    return Some((Err(lost()), self));
                }
                Move::End => {
                    self.open.finish();
                    return None;
                }
            }
        }
    }
}

/// Waits; for ever where that is asked for.
pub(super) async fn sleep(wait: Duration) {
    if wait == FOREVER {
        std::future::pending().await
    } else if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// A connection that is gone.
pub(super) fn lost() -> TransportError {
    TransportError::Lost(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
}
