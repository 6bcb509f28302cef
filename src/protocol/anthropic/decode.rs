//! From the bytes of an answer to events: which event goes where. What a block is and what was used is told below.

mod block;
mod citation;
mod envelope;
mod message;
mod tally;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::refuse;
use crate::domain::{Decoded, Error, Event, Finish, Identity, ModelId, Started, Terms, Usage};
use crate::protocol::{Decoder, Frame, Signal, json};
use block::Open;
use envelope::{Ending, Envelope};
use message::{Blocks, Message};

/// The most blocks that an answer may have: each takes far more memory than bytes on the wire.
const MOST_BLOCKS: u32 = 16_384;

/// Reads one answer, streamed or whole.
#[derive(Debug)]
pub(super) struct Reader {
    identity: Identity,
    stage: Stage,
    /// The index of the next block that begins.
    next: u32,
}

/// How far the answer has come.
#[derive(Debug)]
enum Stage {
    /// Nothing came.
    Waiting,
    /// It began.
    Answering(Box<Answering>),
    /// It is over; what it used, and on which terms.
    Over(Usage, Terms),
}

#[derive(Debug)]
struct Answering {
    envelope: Envelope,
    open: Option<OpenBlock>,
}

/// The one block that is not finished: this protocol sends one after the other.
#[derive(Debug)]
struct OpenBlock {
    /// Its index at the provider.
    there: u64,
    /// Its index here; none while it is held back.
    here: Option<u32>,
    block: Open,
}

/// An event of the stream, its parts not read yet.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
}

/// What came in place of an answer.
#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl Decoder for Reader {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Decoded>) -> Result<Signal, Error> {
        if matches!(self.stage, Stage::Over(..)) {
            return Ok(Signal::End);
        }
        let said: Said<'_> = match json::read(frame.data) {
            Ok(said) => said,
            // Of events that are new here, nothing is known: not even that they are JSON objects.
            Err(_) if !frame.event.is_empty() && !is_known(frame.event) => return Ok(Signal::Progress),
            Err(error) => return Err(unreadable("an event", &error)),
        };
        match said.kind.as_deref().unwrap_or(frame.event) {
            "ping" => return Ok(Signal::KeepAlive),
            "message_start" => {
                let message = serde_json::from_str(part(said.message, "message")?);
                self.begin(message.map_err(|error| unreadable("the message", &error))?, events)?;
            }
            "content_block_start" => {
                return self.start_block(said.index, part(said.content_block, "content_block")?, events);
            }
            "content_block_delta" => self.grow_block(said.index, part(said.delta, "delta")?, events)?,
            "content_block_stop" => self.stop_block(said.index, events)?,
            "message_delta" => {
                let answering = self.answering()?;
                answering.envelope.update(frame.data)?;
                events.push(Event::Usage(answering.envelope.usage().cut_short()));
            }
            "message_stop" => {
                self.complete(events)?;
                return Ok(Signal::End);
            }
            "error" => {
                let filtered = refuse::inside(&self.identity, frame.data)?;
                self.filter(&filtered, events)?;
                return Ok(Signal::End);
            }
            _ => {}
        }
        Ok(Signal::Progress)
    }

    fn whole(&mut self, body: &[u8], events: &mut Vec<Decoded>) -> Result<(), Error> {
        let read: Result<Message<'_>, _> = json::read(body);
        let tells_error = match &read {
            Ok(message) => message.error.is_some(),
            Err(error) if error.is_eof() => return Err(Error::cut_short()),
            // An error is told, whatever stands beside it.
            Err(_) => json::read(body).is_ok_and(|Failed { error }| error.is_some()),
        };
        if tells_error {
            let filtered = refuse::inside(&self.identity, body)?;
            return self.filter(&filtered, events);
        }
        let mut message = read.map_err(|error| unreadable("the answer", &error))?;
        let is_message = message.kind.is_none_or(|kind| json::plain(kind) == Some("message"));
        let blocks = message.content.take().and_then(Blocks::listed);
        let Some(blocks) = blocks.filter(|_| is_message) else {
            return Err(Error::protocol("the answer is no message"));
        };
        self.begin(message, events)?;
        // Only a message that is still being made has no reason for its end.
        if !self.answering()?.envelope.is_ended() {
            return Err(Error::cut_short());
        }
        for (index, raw) in (0..).zip(blocks) {
            self.start_block(index, raw.get(), events)?;
            self.stop_block(index, events)?;
        }
        self.complete(events)
    }

    fn end(&mut self, _: &mut Vec<Decoded>) -> Result<(), Error> {
        match self.stage {
            Stage::Over(..) => Ok(()),
            Stage::Waiting | Stage::Answering(_) => Err(Error::cut_short()),
        }
    }

    fn usage(&self) -> Usage {
        match &self.stage {
            Stage::Waiting => Usage::default(),
            Stage::Answering(answering) => answering.envelope.usage().cut_short(),
            Stage::Over(usage, _) => usage.clone(),
        }
    }

    fn terms(&self) -> Terms {
        match &self.stage {
            Stage::Waiting => Terms::default(),
            Stage::Answering(answering) => answering.envelope.terms(),
            Stage::Over(_, terms) => terms.clone(),
        }
    }
}

impl Reader {
    /// What reads the answer of this endpoint.
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, stage: Stage::Waiting, next: 0 }
    }

    fn begin(&mut self, message: Message<'_>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        if !matches!(self.stage, Stage::Waiting) {
            return Err(Error::protocol("the message begins twice"));
        }
        let envelope = Envelope::open(message);
        let model = envelope.model().map_or_else(|| self.identity.model.clone(), ModelId::new);
        events.push(Event::Started(Started::new(self.identity.provider.clone(), model)));
        let usage = envelope.usage().cut_short();
        if !usage.is_unknown() {
            events.push(Event::Usage(usage));
        }
        self.stage = Stage::Answering(Box::new(Answering { envelope, open: None }));
        Ok(())
    }

    fn answering(&mut self) -> Result<&mut Answering, Error> {
        match &mut self.stage {
            Stage::Answering(answering) => Ok(answering),
            Stage::Waiting | Stage::Over(..) => Err(Error::protocol("the message has not begun")),
        }
    }

    fn start_block(&mut self, there: u64, raw: &str, events: &mut Vec<Decoded>) -> Result<Signal, Error> {
        self.close(events)?;
        let next = self.next;
        let answering = self.answering()?;
        let (block, beginning) = Open::start(raw)?;
        answering.envelope.see(&block);
        let here = beginning.is_some().then_some(next);
        answering.open = Some(OpenBlock { there, here, block });
        let Some(block) = beginning else { return Ok(Signal::Begun) };
        events.push(Event::BlockStarted { index: next, block: Box::new(block) });
        self.next = following(next)?;
        Ok(Signal::Progress)
    }

    fn grow_block(&mut self, there: u64, raw: &str, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let answering = self.answering()?;
        let Some(piece) = block::Piece::read(raw)? else { return Ok(()) };
        let open = answering.open.as_mut().filter(|open| open.there == there);
        let Some(open) = open else { return Err(Error::protocol("a delta belongs to no open block")) };
        let delta = open.block.grow(piece)?;
        if let (Some(index), Some(delta)) = (open.here, delta) {
            events.push(Event::delta(index, delta));
        }
        Ok(())
    }

    fn stop_block(&mut self, there: u64, events: &mut Vec<Decoded>) -> Result<(), Error> {
        match &self.answering()?.open {
            Some(open) if open.there == there => self.close(events),
            Some(_) => Err(Error::protocol("a block ends that is not open")),
            None => Ok(()),
        }
    }

    /// Finishes the block that is open, if one is.
    fn close(&mut self, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let Some(open) = self.answering()?.open.take() else { return Ok(()) };
        let finished = open.block.finish(&self.identity)?;
        let index = open.here.unwrap_or(self.next);
        if let Some(whole) = finished.whole {
            events.push(Event::BlockStarted { index, block: Box::new(whole) });
            self.next = following(index)?;
        }
        events.extend(finished.rest.map(|delta| Event::delta(index, delta)));
        events.push(Event::BlockFinished { index, state: finished.state, incomplete: finished.incomplete });
        Ok(())
    }

    fn complete(&mut self, events: &mut Vec<Decoded>) -> Result<(), Error> {
        self.close(events)?;
        let identity = self.identity.clone();
        match self.answering()?.envelope.ending(&identity) {
            Ending::Finish(finish) => self.finish(finish, events),
            Ending::Failure(error) => return Err(*error),
        }
        Ok(())
    }

    /// The provider's filter ended the answer, or took the place of one.
    fn filter(&mut self, filtered: &Finish, events: &mut Vec<Decoded>) -> Result<(), Error> {
        if matches!(self.stage, Stage::Waiting) {
            self.begin(Message::default(), events)?;
        }
        self.close(events)?;
        let mut finish = self.answering()?.envelope.finish(filtered.reason, &filtered.raw_reason);
        finish.usage = finish.usage.cut_short();
        self.finish(Box::new(finish), events);
        Ok(())
    }

    fn finish(&mut self, finish: Box<Finish>, events: &mut Vec<Decoded>) {
        self.stage = Stage::Over(finish.usage.clone(), self.terms());
        events.push(Event::Completed(finish));
    }
}

fn is_known(event: &str) -> bool {
    matches!(event, "error" | "ping") || event.starts_with("message_") || event.starts_with("content_block_")
}

fn part<'a>(raw: Option<&'a RawValue>, name: &'static str) -> Result<&'a str, Error> {
    raw.map(RawValue::get).ok_or_else(|| Error::protocol(format_args!("an event lacks its {name}")))
}

/// What cannot be read, without a word of it.
fn unreadable(what: &str, error: &serde_json::Error) -> Error {
    Error::protocol(format_args!("{what} is not what the protocol says ({:?} error)", error.classify()))
}

fn following(index: u32) -> Result<u32, Error> {
    Some(index + 1).filter(|next| *next < MOST_BLOCKS).ok_or_else(|| Error::protocol("the answer has too many blocks"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ProviderId, Reason, Vendor};

    fn reader() -> Reader {
        Reader::new(Identity::new(ProviderId::new("one"), Vendor::new("anthropic"), ModelId::new("a-model")))
    }

    fn failure(body: &[u8]) -> Reason {
        reader().whole(body, &mut Vec::new()).unwrap_err().reason
    }

    #[test]
    fn an_error_is_told_whatever_stands_beside_it() {
        let error = r#""type": "error", "error": {"type": "rate_limit_error", "message": "slowly"}"#;
        for beside in ["", r#", "id": 5"#, r#", "model": {}"#, r#", "stop_reason": []"#, r#", "content": "text""#] {
            assert_eq!(failure(format!("{{{error}{beside}}}").as_bytes()), Reason::ProviderRateLimited, "{beside}");
        }
    }

    #[test]
    fn an_answer_that_ends_early_is_cut_though_it_ends_within_a_letter() {
        let whole = r#"{"type": "message", "content": [{"type": "text", "text": "ä"}], "stop_reason": "end_turn"}"#;
        assert!(reader().whole(whole.as_bytes(), &mut Vec::new()).is_ok());
        let letter = whole.find('ä').unwrap();
        for end in [letter, letter + 1, letter + 2, whole.len() - 1] {
            assert_eq!(failure(&whole.as_bytes()[..end]), Reason::StreamInterrupted, "{end}");
        }
    }

    #[test]
    fn what_is_no_message_is_no_empty_answer() {
        for body in ["{}", r#"{"content": "text"}"#, r#"{"content": {}}"#, r#"{"type": "other", "content": []}"#, "[]"]
        {
            assert_eq!(failure(body.as_bytes()), Reason::ProviderProtocolError, "{body}");
        }
    }

    #[test]
    fn an_answer_has_no_more_blocks_than_it_may() {
        let block = r#"{"type": "text", "text": ""},"#.repeat(20_000);
        let body = format!(r#"{{"content": [{}], "stop_reason": "end_turn"}}"#, block.trim_end_matches(','));
        assert_eq!(failure(body.as_bytes()), Reason::ProviderProtocolError);
    }

    #[test]
    fn a_message_that_begins_is_read_whatever_stands_in_place_of_its_blocks() {
        for content in ["[]", "null", r#""text""#, "{\"a\": 1}", "5", "true"] {
            let data = format!(r#"{{"type": "message_start", "message": {{"id": "m", "content": {content}}}}}"#);
            let mut events = Vec::new();
            let frame = Frame { event: "message_start", data: data.as_bytes() };
            assert!(reader().frame(frame, &mut events).is_ok(), "{content}");
            assert!(matches!(events.first(), Some(Event::Started(_))), "{content}");
        }
    }
}
