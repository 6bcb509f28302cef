//! One answer as it arrives: bytes read, framed and decoded, within the timeouts, settled however it ends.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::Entry;
use super::patience::{Answering, Patience};
use crate::domain::{Decoded, Error, Event, Reason};
use crate::protocol::{Decoder, Frame, Signal};
use crate::telemetry::Waits;
use crate::transport::{Body, Framed, Framer, TransportError};

/// The events that an answer that comes whole has most often, at most.
const WHOLE_EVENTS: usize = 8;
/// How much of one answer is read before other calls have a turn, in bytes: an upstream that is never out of bytes would
/// keep its worker for itself.
const TURN_BYTES: usize = 256 * 1024;
/// What a piece counts for there beside its bytes: there may be one for each byte, and each takes its time.
const PIECE_BYTES: usize = 256;

/// An answer that is arriving. Dropping it stops the upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    reading: Reading,
    decoder: Box<dyn Decoder>,
    ready: VecDeque<Decoded>,
    /// Events of the frame that is being decoded: one allocation for the whole answer.
    fresh: Vec<Decoded>,
    answering: Answering,
    accepted: Option<Instant>,
    patience: Patience,
    budget: Budget,
    entry: Box<Entry>,
    waits: Waits,
}

/// How the answer comes.
#[derive(Debug)]
enum Reading {
    /// As frames.
    Frames(Body, Framer),
    /// Whole.
    Whole(Body),
    /// Nothing more comes.
    Over,
}

/// How many bytes may still come.
#[derive(Debug)]
struct Budget {
    most: u64,
    left: u64,
    /// How many came since other calls had a turn.
    unbroken: usize,
}

/// How an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Frames,
    Whole,
}

impl Upstream {
    pub(super) fn new(
        body: Body,
        framing: Framing,
        decoder: Box<dyn Decoder>,
        patience: Patience,
        most_bytes: u64,
        entry: Box<Entry>,
    ) -> Self {
        let (reading, fresh) = match framing {
            Framing::Frames => (Reading::Frames(body, Framer::default()), Vec::new()),
            Framing::Whole => (Reading::Whole(body), Vec::with_capacity(WHOLE_EVENTS)),
        };
        Self {
            reading,
            decoder,
            ready: VecDeque::new(),
            fresh,
            answering: Answering::NotYet,
            accepted: None,
            patience,
            budget: Budget { most: most_bytes, left: most_bytes, unbroken: 0 },
            waits: entry.waits().clone(),
            entry,
        }
    }

    /// The next event; none when the answer is over.
    ///
    /// # Errors
    /// Whatever ended the answer before its end mark. There is nothing to read after it.
    pub(super) async fn next(&mut self) -> Result<Option<Decoded>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.is_over() {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// Reads until the upstream has said something more, which may be no event yet.
    pub(super) async fn advance(&mut self) -> Result<(), Error> {
        let read = match self.reading {
            Reading::Frames(..) => self.read_frame().await,
            Reading::Whole(_) => self.read_whole().await,
            Reading::Over => Ok(()),
        };
        let read = read.and_then(|()| if self.is_over() { self.require_end() } else { Ok(()) });
        read.map_err(|error| self.fail(error))
    }

    /// Whether an event that can be shown, or the end, is at hand.
    pub(super) fn has_begun(&self) -> bool {
        self.answering == Answering::Yes || self.is_over()
    }

    /// Whether anything is at hand that can leave.
    pub(super) fn has_events(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Since when the upstream has been at work on the answer.
    pub(super) fn accepted(&self) -> Option<Instant> {
        self.accepted
    }

    /// Something of the answer leaves: from now on only the endpoint's own idle time bounds its silence.
    pub(super) fn relax(&mut self, idle: Duration) {
        self.patience.relax(idle);
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.reading, Reading::Over)
    }

    async fn read_frame(&mut self) -> Result<(), Error> {
        loop {
            let Reading::Frames(body, framer) = &mut self.reading else { return Ok(()) };
            match framer.next_frame().map_err(Error::protocol)? {
                Some(Framed::Event { event, data }) => {
                    let signal = self.decoder.frame(Frame { event, data }, &mut self.fresh)?;
                    if self.absorb(signal) {
                        return Ok(());
                    }
                }
                Some(Framed::KeepAlive) => self.patience.keep_alive(),
                None => match self.waits.during(read(body, &mut self.patience, &mut self.budget)).await? {
                    Some(bytes) => framer.push(&bytes),
                    None => {
                        self.reading = Reading::Over;
                        self.decoder.end(&mut self.fresh)?;
                        self.absorb(Signal::Progress);
                        return Ok(());
                    }
                },
            }
        }
    }

    async fn read_whole(&mut self) -> Result<(), Error> {
        let Reading::Whole(body) = &mut self.reading else { return Ok(()) };
        let mut whole = Vec::new();
        while let Some(bytes) = self.waits.during(read(body, &mut self.patience, &mut self.budget)).await? {
            whole.extend_from_slice(&bytes);
        }
        self.reading = Reading::Over;
        self.decoder.whole(&whole, &mut self.fresh)?;
        self.absorb(Signal::Progress);
        Ok(())
    }

    /// Takes over what the decoder made of a frame; true when that was progress.
    fn absorb(&mut self, signal: Signal) -> bool {
        if signal == Signal::KeepAlive {
            self.patience.keep_alive();
            return false;
        }
        let begun = || self.fresh.iter().any(|event| matches!(event, Event::BlockStarted { .. }));
        if signal == Signal::Begun || begun() {
            self.answering = Answering::Yes;
        }
        self.patience.progress(self.answering);
        let now = Instant::now();
        self.accepted.get_or_insert(now);
        self.entry.accepted(now);
        if !self.fresh.is_empty() {
            self.entry.chunk(now);
        }
        self.measure();
        self.ready.extend(self.fresh.drain(..));
        if signal == Signal::End {
            self.close();
        }
        true
    }

    /// Takes note of what came, and ends the answer when it has reached the bound on its cost: what came until then is
    /// made and paid for, and is handed on.
    fn measure(&mut self) {
        let meter = self.entry.meter();
        self.fresh.iter().for_each(|event| meter.observe(event));
        if let Some(Event::Completed(finish)) = self.fresh.last_mut() {
            self.entry.finished(finish, &self.decoder.terms());
        } else if meter.is_due() {
            let terms = self.decoder.terms();
            let Some(mut ends) = meter.end_at_bound(self.decoder.usage(), &terms) else { return };
            if let Some(Event::Completed(finish)) = ends.last_mut() {
                self.entry.finished(finish, &terms);
            }
            self.fresh.append(&mut ends);
            // The provider shall make no more of it.
            self.reading = Reading::Over;
        }
    }

    /// The answer is over. If the connection's last bytes are here already it can serve another call.
    fn close(&mut self) {
        if let Reading::Frames(mut body, _) = std::mem::replace(&mut self.reading, Reading::Over) {
            let _ = body.frame().now_or_never();
        }
    }

    /// An answer that is over has come to its end mark, or it was cut.
    fn require_end(&self) -> Result<(), Error> {
        match self.ready.back() {
            Some(Event::Completed(_)) => Ok(()),
            _ => Err(Error::cut_short()),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.reading = Reading::Over;
        let usage = self.entry.failed(&error, self.decoder.usage().cut_short(), &self.decoder.terms());
        error.with(|details| details.usage = Some(usage).filter(|usage| !usage.is_unknown()))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.entry.given_up(self.decoder.usage().cut_short(), &self.decoder.terms());
    }
}

/// The next bytes; none at the end.
async fn read(body: &mut Body, patience: &mut Patience, budget: &mut Budget) -> Result<Option<Bytes>, Error> {
    loop {
        let asked = Instant::now();
        let frame = within_time(asked, patience.left(), body.frame()).await;
        patience.spend(asked.elapsed());
        match frame {
            Err(_) => return Err(Error::new(Reason::ProviderTimeout, patience.lost_with())),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(lost(&error)),
            Ok(Some(Ok(frame))) => {
                // Trailers say nothing in the protocols over HTTP/1.1.
                let Ok(bytes) = frame.into_data() else { continue };
                budget.spend(bytes.len())?;
                budget.unbroken += bytes.len() + PIECE_BYTES;
                if budget.unbroken > TURN_BYTES {
                    budget.unbroken = 0;
                    tokio::task::yield_now().await;
                }
                return Ok(Some(bytes));
            }
        }
    }
}

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return Err(Error::protocol(format_args!("it is larger than {} bytes", self.most))),
        }
        Ok(())
    }
}

/// What a broken body means; whether anything was sent on decides what it is called.
fn lost(error: &TransportError) -> Error {
    Error::new(Reason::StreamInterrupted, format!("the provider's answer broke off: {error}"))
}

/// What a request that did not get through means.
pub(super) fn not_sent(error: &TransportError) -> Error {
    let reason = match error {
        TransportError::ConnectTimeout(_) => Reason::ProviderTimeout,
        TransportError::Connect(_) | TransportError::NoHttp2(_) | TransportError::Lost(_) => {
            Reason::ProviderUnavailable
        }
    };
    Error::new(reason, format!("the provider cannot be reached: {error}"))
}

/// What silence before the head means.
pub(super) fn too_slow(patience: &Patience) -> Error {
    Error::new(Reason::ProviderTimeout, patience.lost_with())
}

/// Waits for `future` as long as there is patience.
pub(super) async fn within<F: Future>(patience: &mut Patience, future: F) -> Result<F::Output, Error> {
    let asked = Instant::now();
    let result = within_time(asked, patience.left(), future).await;
    patience.spend(asked.elapsed().max(Duration::ZERO));
    result.map_err(|_| too_slow(patience))
}

/// Waits for `future` until `time` after `asked`, by the clock that was read already.
async fn within_time<F: Future>(asked: Instant, time: Duration, future: F) -> Result<F::Output, Elapsed> {
    match asked.checked_add(time) {
        Some(end) => tokio::time::timeout_at(end, future).await,
        None => Ok(future.await),
    }
}
