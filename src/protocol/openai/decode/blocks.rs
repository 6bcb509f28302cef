//! The blocks of one answer. The protocol marks neither their beginnings nor their ends: a block ends where one of
//! another kind begins, and all that are open end with the answer.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::calls::Calls;
use super::wire::{AudioPart, CallPart, ReasoningDetail, object, some_text};
use crate::domain::{
    Audio, Block, BlockKind, Citation, Decoded, Delta, Error, Event, Identity, MAX_STATE_BYTES, Media, MediaSource,
    ProviderBlock, ReasoningText, Refusal, TokenLogprob,
};
use crate::protocol::openai::kept::Kept;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The most blocks that an answer may have: each takes far more memory than bytes on the wire.
const MOST_BLOCKS: u32 = 16_384;

/// The blocks of one answer.
#[derive(Debug)]
pub(super) struct Blocks {
    identity: Identity,
    /// The media type of sound, which the answer does not say.
    audio_type: &'static str,
    next: u32,
    open: Open,
    calls: Calls,
    /// Bytes of opaque reasoning that are held.
    held: usize,
    /// What the answer had.
    pub(super) had: Had,
}

/// What an answer had, as far as it tells why it ended.
#[derive(Debug, Default)]
pub(super) struct Had {
    pub(super) calls: bool,
    pub(super) refusal: bool,
}

/// The block that grows. Tool calls grow beside it.
#[derive(Debug)]
enum Open {
    Nothing,
    Text(u32),
    Refusal(u32),
    Reasoning { index: u32, redacted: bool, kept: Kept },
    Audio { index: u32, kept: Kept, undecoded: String },
}

impl Blocks {
    pub(super) fn new(identity: Identity, audio_type: &'static str) -> Self {
        let calls = Calls::default();
        Self { identity, audio_type, next: 0, open: Open::Nothing, calls, held: 0, had: Had::default() }
    }

    /// Whose answer it is.
    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn text(
        &mut self,
        text: String,
        logprobs: Vec<TokenLogprob>,
        events: &mut Vec<Decoded>,
    ) -> Result<(), Error> {
        let index = match self.open {
            Open::Text(index) => index,
            _ => {
                let index = self.begin(Block::text(""), events)?;
                self.open = Open::Text(index);
                index
            }
        };
        events.push(Event::BlockDelta { index, delta: Delta::Text(text), logprobs });
        Ok(())
    }

    pub(super) fn refusal(&mut self, text: String, events: &mut Vec<Decoded>) -> Result<(), Error> {
        self.had.refusal = true;
        let index = match self.open {
            Open::Refusal(index) => index,
            _ => {
                let index = self.begin(BlockKind::Refusal(Refusal::default()).into(), events)?;
                self.open = Open::Refusal(index);
                index
            }
        };
        events.push(Event::delta(index, Delta::Text(text)));
        Ok(())
    }

    pub(super) fn reasoning(&mut self, text: String, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let index = match self.open {
            Open::Reasoning { index, redacted: false, .. } => index,
            _ => self.begin_reasoning(false, events)?,
        };
        events.push(Event::delta(index, Delta::Reasoning(text)));
        Ok(())
    }

    /// Pieces of reasoning that go back as they are. Their own text is used where the answer has none beside them.
    pub(super) fn reasoning_details(
        &mut self,
        details: &[&RawValue],
        has_text: bool,
        events: &mut Vec<Decoded>,
    ) -> Result<(), Error> {
        for detail in details {
            let read = object::<ReasoningDetail<'_>>(Some(detail));
            let text = read.and_then(|read| some_text(read.text).or_else(|| some_text(read.summary)));
            if let Some(text) = text.filter(|_| !has_text) {
                self.reasoning(text.into_owned(), events)?;
            }
            if !matches!(self.open, Open::Reasoning { .. }) {
                self.begin_reasoning(true, events)?;
            }
            self.hold(detail.get().len())?;
            if let Open::Reasoning { kept, .. } = &mut self.open {
                kept.details.push((*detail).to_owned());
            }
        }
        Ok(())
    }

    /// The signature of the reasoning that is open; without any it signs nothing.
    pub(super) fn signature(&mut self, signature: &str) -> Result<(), Error> {
        self.hold(signature.len())?;
        if let Open::Reasoning { kept, .. } = &mut self.open {
            kept.signature = Some(signature.to_owned());
        }
        Ok(())
    }

    pub(super) fn audio(&mut self, part: &AudioPart<'_>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let (id, data, transcript) = (some_text(part.id), some_text(part.data), some_text(part.transcript));
        if !matches!(self.open, Open::Audio { .. }) {
            if id.is_none() && data.is_none() && transcript.is_none() {
                return Ok(());
            }
            let media = Media { source: MediaSource::Inline(Bytes::new()), mime_type: self.audio_type.to_owned() };
            let block = BlockKind::Audio(Audio { media, transcript: String::new() }).into();
            let index = self.begin(block, events)?;
            self.open = Open::Audio { index, kept: Kept::default(), undecoded: String::new() };
        }
        let Open::Audio { index, kept, undecoded } = &mut self.open else { return Ok(()) };
        if let Some(id) = id {
            kept.audio_id = Some(id.into_owned());
        }
        if let Some(transcript) = transcript {
            events.push(Event::delta(*index, Delta::Text(transcript.into_owned())));
        }
        if let Some(data) = data {
            // Four characters are three bytes, however the pieces are cut.
            undecoded.push_str(&data);
            let whole = undecoded.len() - undecoded.len() % 4;
            sound(*index, undecoded.get(..whole).unwrap_or_default(), events)?;
            undecoded.replace_range(..whole, "");
        }
        Ok(())
    }

    /// A citation of the text that is open; false where none is.
    pub(super) fn citation(&self, citation: Citation, events: &mut Vec<Decoded>) -> bool {
        let Open::Text(index) = self.open else { return false };
        events.push(Event::delta(index, Delta::Citation(Box::new(citation))));
        true
    }

    pub(super) fn call(&mut self, raw: &RawValue, answer: &str, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let part: CallPart<'_> = object(Some(raw)).ok_or_else(|| Error::protocol("a tool call has no known form"))?;
        let kind = some_text(part.kind);
        let unknown = kind.filter(|_| part.function.is_none() && part.custom.is_none());
        if let Some(kind) = unknown.filter(|kind| kind != "function" && kind != "custom") {
            return self.verbatim(format!("{}{kind}", crate::protocol::openai::kept::TOOL_CALL), raw, events);
        }
        self.close(events)?;
        self.had.calls = true;
        self.calls.take(&part, &mut self.next, answer, events)
    }

    /// A block that comes whole and is kept as it is.
    pub(super) fn verbatim(&mut self, kind: String, raw: &RawValue, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let (vendor, json) = (self.identity.vendor.clone(), raw.get().to_owned());
        self.whole(BlockKind::Provider(ProviderBlock { vendor, kind, json }).into(), events)
    }

    /// A block that comes whole.
    pub(super) fn whole(&mut self, block: Block, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let index = self.begin(block, events)?;
        events.push(Event::BlockFinished { index, state: None, incomplete: false });
        Ok(())
    }

    /// Ends all that is open; `cut` says that the answer was cut short.
    pub(super) fn finish(&mut self, cut: bool, events: &mut Vec<Decoded>) -> Result<(), Error> {
        self.close(events)?;
        self.calls.finish(cut, &self.identity, events)
    }

    fn begin_reasoning(&mut self, redacted: bool, events: &mut Vec<Decoded>) -> Result<u32, Error> {
        let block = BlockKind::Reasoning(ReasoningText { text: String::new(), redacted }).into();
        let index = self.begin(block, events)?;
        self.open = Open::Reasoning { index, redacted, kept: Kept::default() };
        Ok(index)
    }

    fn begin(&mut self, block: Block, events: &mut Vec<Decoded>) -> Result<u32, Error> {
        self.close(events)?;
        let index = self.next;
        if index >= MOST_BLOCKS {
            return Err(Error::protocol("the answer has too many blocks"));
        }
        self.next += 1;
        events.push(Event::BlockStarted { index, block: Box::new(block) });
        Ok(index)
    }

    fn close(&mut self, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let (index, state) = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => return Ok(()),
            Open::Text(index) | Open::Refusal(index) => (index, None),
            Open::Reasoning { index, kept, .. } => (index, kept.seal(&self.identity)),
            Open::Audio { index, kept, undecoded } => {
                sound(index, &undecoded, events)?;
                (index, kept.audio_id.is_some().then(|| kept.seal(&self.identity)).flatten())
            }
        };
        events.push(Event::BlockFinished { index, state, incomplete: false });
        Ok(())
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        self.held += bytes;
        // State that is larger than what is read back would be of no use to anybody.
        if self.held > MAX_STATE_BYTES / 2 {
            return Err(Error::protocol("its opaque reasoning is too large"));
        }
        Ok(())
    }
}

fn sound(index: u32, base64: &str, events: &mut Vec<Decoded>) -> Result<(), Error> {
    if !base64.is_empty() {
        let bytes = BASE64.decode(base64).map_err(|_| Error::protocol("its sound is not base64"))?;
        events.push(Event::delta(index, Delta::Audio(bytes.into())));
    }
    Ok(())
}
