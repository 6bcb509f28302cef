//! An answer as it is made, as text or as an event stream. One that breaks off never looks complete: its body ends with an
//! error, which is a chunked body without its last chunk over HTTP/1.1, and a reset of the stream over HTTP/2.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::{Body as HttpBody, Frame};
use tokio::time::Sleep;

use super::media::Form;
use super::refused;
use crate::edge::grpc::{Events, Failure};
use crate::proto::content_block::Block;
use crate::proto::stream_complete_response::{Event, block_delta::Delta};
use crate::proto::{CompletionOutcome, FinishReason, StreamCompleteResponse, json};

/// How long what was written before a break has to leave: a body that ends with an error takes with it what has not.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How much of what is said instead of an answer is told, in bytes.
const MAX_SAID: usize = 1024;

/// What a body ends with that has broken off.
#[derive(Debug, thiserror::Error)]
#[error("the answer has broken off")]
pub(super) struct Broken;

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Written {
    state: State,
    form: Form,
    /// The blocks of text that are open.
    text: BTreeSet<i32>,
    /// The first piece, which was waited for.
    first: Option<Bytes>,
    /// The blocks in which the model refuses that are open, and the beginning of what it says there.
    refusals: BTreeSet<i32>,
    said: String,
}

/// Why there is no text of an answer, known before the head of it has left.
#[derive(Debug)]
pub(super) enum Unsaid {
    /// It has failed.
    Failed(Failure),
    /// It has ended without any, and not because nothing was to be said. With it, what the model says instead.
    Ended(Box<CompletionOutcome>, String),
}

#[derive(Debug)]
enum State {
    /// Events come.
    Running(Events),
    /// The last one has come.
    Complete,
    /// It has broken off, and what was written before that leaves.
    Breaking(Pin<Box<Sleep>>),
    /// It has broken off.
    Over,
}

impl Written {
    /// Begins to write an answer. Text is waited for, since all that the head of an answer can say of it has to be known
    /// before: a refusal would be an empty body that looks like an answer.
    ///
    /// # Errors
    /// [`Unsaid`]: there is none.
    pub(super) async fn begin(events: Events, form: Form) -> Result<Self, Unsaid> {
        let (text, refusals) = (BTreeSet::new(), BTreeSet::new());
        let state = State::Running(events);
        let mut written = Self { state, form, text, first: None, refusals, said: String::new() };
        if form == Form::Text {
            written.reach_text().await?;
        }
        Ok(written)
    }

    async fn reach_text(&mut self) -> Result<(), Unsaid> {
        while self.first.is_none() {
            let State::Running(events) = &mut self.state else { break };
            match events.next().await {
                Some(Ok(event)) => match event.event {
                    Some(Event::Completed(outcome)) => {
                        if !matches!(outcome.finish_reason(), FinishReason::Stop | FinishReason::StopSequence) {
                            return Err(Unsaid::Ended(outcome, std::mem::take(&mut self.said)));
                        }
                        self.state = State::Complete;
                    }
                    Some(other) => {
                        self.hear_refusal(&other);
                        match self.text(other) {
                            Ok(piece) => self.first = piece,
                            Err(Broken) => drop(self.break_off(None)),
                        }
                    }
                    None => drop(self.break_off(None)),
                },
                Some(Err(failure)) => return Err(Unsaid::Failed(failure)),
                None => drop(self.break_off(None)),
            }
        }
        Ok(())
    }

    /// Gathers the beginning of what the model says when it refuses.
    fn hear_refusal(&mut self, event: &Event) {
        let said = match event {
            Event::BlockStarted(begun) => match begun.block.as_ref().and_then(|block| block.block.as_ref()) {
                Some(Block::Refusal(refusal)) => {
                    self.refusals.insert(begun.index);
                    &refusal.text
                }
                _ => return,
            },
            Event::BlockDelta(grown) if self.refusals.contains(&grown.index) => match &grown.delta {
                Some(Delta::Text(text)) => text,
                _ => return,
            },
            _ => return,
        };
        for letter in said.chars() {
            if self.said.len().saturating_add(letter.len_utf8()) > MAX_SAID {
                break;
            }
            self.said.push(letter);
        }
    }

    /// What is written of an event; none: nothing.
    fn piece(&mut self, event: StreamCompleteResponse) -> Result<Option<Bytes>, Broken> {
        match self.form {
            Form::Text => self.text(event.event.ok_or(Broken)?),
            Form::Events | Form::Whole => framed(&event).map(Some).ok_or(Broken),
        }
    }

    /// What an event adds to the text of the answer.
    fn text(&mut self, event: Event) -> Result<Option<Bytes>, Broken> {
        let text = match event {
            Event::BlockStarted(begun) => match begun.block.and_then(|block| block.block) {
                Some(Block::Text(text)) => {
                    self.text.insert(begun.index);
                    text.text
                }
                _ => return Ok(None),
            },
            Event::BlockDelta(grown) if self.text.contains(&grown.index) => match grown.delta {
                Some(Delta::Text(text)) => text,
                _ => return Ok(None),
            },
            Event::BlockFinished(finished) => {
                self.text.remove(&finished.index);
                return Ok(None);
            }
            // What was sent cannot be taken back; nobody may ask for this.
            Event::Restarted(_) => return Err(Broken),
            // What a refusal or a filter has ended is not the answer that it looks like.
            Event::Completed(outcome)
                if matches!(outcome.finish_reason(), FinishReason::Refusal | FinishReason::ContentFilter) =>
            {
                return Err(Broken);
            }
            _ => return Ok(None),
        };
        Ok(Some(Bytes::from(text)).filter(|text| !text.is_empty()))
    }

    /// The answer breaks off here.
    fn break_off(&mut self, failure: Option<&Failure>) -> Option<Bytes> {
        self.state = State::Breaking(Box::pin(tokio::time::sleep(LAST_WORDS)));
        let failure = failure.filter(|_| self.form == Form::Events)?;
        let told = refused::body(failure, refused::http_status(failure));
        Some(format!("event: error\ndata: {told}\n\n").into())
    }
}

/// An event as an event stream has it.
fn framed(message: &StreamCompleteResponse) -> Option<Bytes> {
    let name = kind(message.event.as_ref()?);
    let written = json::of("StreamCompleteResponse", message)?;
    Some(format!("event: {name}\nid: {}\ndata: {written}\n\n", message.sequence).into())
}

/// The name of an event in the contract.
const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Started(_) => "started",
        Event::BlockStarted(_) => "block_started",
        Event::BlockDelta(_) => "block_delta",
        Event::BlockFinished(_) => "block_finished",
        Event::Usage(_) => "usage",
        Event::Heartbeat(_) => "heartbeat",
        Event::Completed(_) => "completed",
        Event::Restarted(_) => "restarted",
    }
}

impl HttpBody for Written {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        loop {
            let piece = match &mut this.state {
                State::Running(events) => match ready!(Pin::new(events).poll_next(context)) {
                    Some(Ok(event)) => {
                        let is_last = matches!(event.event, Some(Event::Completed(_)));
                        match this.piece(event) {
                            Ok(piece) => {
                                if is_last {
                                    this.state = State::Complete;
                                }
                                piece
                            }
                            Err(Broken) => this.break_off(None),
                        }
                    }
                    Some(Err(failure)) => this.break_off(Some(&failure)),
                    None => this.break_off(None),
                },
                State::Complete => return Poll::Ready(None),
                State::Breaking(leaving) => {
                    ready!(leaving.as_mut().poll(context));
                    this.state = State::Over;
                    return Poll::Ready(Some(Err(Broken)));
                }
                State::Over => return Poll::Ready(None),
            };
            if let Some(piece) = piece {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }
}
