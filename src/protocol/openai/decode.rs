//! From chunks, or from a whole answer, to events. A whole answer is a stream of one chunk.
//!
//! It reads what any speaker of the protocol sends, whatever its dialect: a field of an unexpected form is passed over,
//! and only what changes the meaning of the answer makes it an error.

mod blocks;
mod calls;
pub(super) mod ending;
mod think;
mod usage;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use super::refuse;
use crate::domain::{
    Block, BlockKind, Citation, Decoded, Error, Event, Finish, FinishReason, Image, Media, MediaSource, ModelId,
    RefusalDetail, Started, Terms, TokenLogprob, Usage,
};
use crate::protocol::{Decoder, Frame, Order, Signal, Verdict, json};
use blocks::Blocks;
use ending::Ending;
use think::{Splitter, Told};
use usage::Reported;
use wire::{
    Annotation, AudioPart, Choice, Chunk, Cited, ContentPart, Delta, Logprob, Logprobs, MOST_LOGPROBS, count, elements,
    object, some_text, text,
};

/// The most of one value that is passed on as it is, in bytes; what is larger is left out.
const MOST_METADATA: usize = 64 * 1024;
/// As much as is kept of an id or of the name of a model, in characters.
const LONGEST_NAME: usize = 256;

/// Reads one answer.
#[derive(Debug)]
pub(super) struct ChatDecoder {
    blocks: Blocks,
    splitter: Splitter,
    phase: Phase,
    /// The provider's id of the answer; empty: none came yet.
    id: String,
    model: Option<ModelId>,
    service_tier: String,
    reported: Option<Reported>,
    kept_for: Option<Duration>,
    filter: Option<RefusalDetail>,
    metadata: BTreeMap<String, String>,
    /// Log probabilities whose text has not come yet.
    logprobs: Vec<TokenLogprob>,
    /// The highest number of a choice that was dropped.
    dropped: i64,
}

/// How far the answer is.
#[derive(Debug)]
enum Phase {
    /// Nothing that counts as an answer has come.
    Waiting,
    /// It is being said.
    Speaking,
    /// A reason for its end has come; usage may follow.
    Ending(Ending),
    /// Its end was handed out.
    Over,
}

impl ChatDecoder {
    /// Reads the answer to `order`; `think_tags` says whether reasoning may stand in the text between tags; `kept_for`: for how long what it writes to the prompt cache is kept, where that is
    /// known and not the provider's default.
    pub(super) fn new(order: &Order<'_>, think_tags: bool, kept_for: Option<Duration>) -> Self {
        Self {
            blocks: Blocks::new(order.identity.clone(), audio_type(order)),
            splitter: Splitter::new(think_tags),
            phase: Phase::Waiting,
            id: String::new(),
            model: None,
            service_tier: String::new(),
            reported: None,
            kept_for,
            filter: None,
            metadata: BTreeMap::new(),
            logprobs: Vec::new(),
            dropped: 0,
        }
    }
}

impl Decoder for ChatDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Decoded>) -> Result<Signal, Error> {
        if matches!(self.phase, Phase::Over) {
            return Ok(Signal::End);
        }
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Ok(Signal::KeepAlive);
        }
        if data == b"[DONE]" {
            self.end(events)?;
            return Ok(Signal::End);
        }
        if frame.event == "error" {
            self.failed(data, events)?;
        } else {
            self.chunk(data, events)?;
        }
        Ok(if matches!(self.phase, Phase::Over) { Signal::End } else { Signal::Progress })
    }

    fn whole(&mut self, body: &[u8], events: &mut Vec<Decoded>) -> Result<(), Error> {
        self.chunk(body, events).map_err(|error| if ends_early(body) { Error::cut_short() } else { error })?;
        self.end(events)
    }

    fn end(&mut self, events: &mut Vec<Decoded>) -> Result<(), Error> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => Ok(()),
            Phase::Ending(ending) => self.complete(&ending, events),
            Phase::Waiting | Phase::Speaking => Err(Error::cut_short()),
        }
    }

    fn usage(&self) -> Usage {
        self.reported.as_ref().map(|reported| reported.usage.clone().cut_short()).unwrap_or_default()
    }

    fn terms(&self) -> Terms {
        Terms { service_tier: self.service_tier.clone(), surcharges: Vec::new() }
    }
}

impl ChatDecoder {
    fn chunk(&mut self, data: &[u8], events: &mut Vec<Decoded>) -> Result<(), Error> {
        let chunk: Chunk<'_> = json::read(data).map_err(|_| Error::protocol("it is not a chat completion in JSON"))?;
        // What was used before a failure is known even then.
        let own: BTreeMap<&str, &RawValue> = object(chunk.x_groq).unwrap_or_default();
        let reported = usage::reported(chunk.usage).or_else(|| usage::reported(own.get("usage").copied()));
        let reported = reported.map(|reported| reported.kept_for(self.kept_for));
        let is_new = reported.is_some() && reported != self.reported;
        self.reported = reported.or_else(|| self.reported.take());
        if is_failure(&chunk) || own.get("error").is_some_and(|error| is_something(error)) {
            return self.failed(data, events);
        }
        self.note_all(&chunk);
        if let Some(id) = own.get("id") {
            self.note("x_groq_id", Some(id));
        }
        self.start(&chunk, events);
        for choice in chunk.choices.unwrap_or_default().0 {
            self.choice(choice, events)?;
        }
        if let (true, Phase::Speaking, Some(reported)) = (is_new, &self.phase, &self.reported) {
            events.push(Event::Usage(reported.usage.clone().cut_short()));
        }
        Ok(())
    }

    /// An error in the place of an answer, or in its middle. A filter's verdict is an answer even so.
    fn failed(&mut self, data: &[u8], events: &mut Vec<Decoded>) -> Result<(), Error> {
        match refuse::in_body(self.blocks.identity(), data) {
            Verdict::Failure(error) => {
                self.phase = Phase::Over;
                Err(error)
            }
            Verdict::Answer(finish) => {
                self.begin(events);
                self.filter = finish.refusal;
                let ending = Ending { word: finish.raw_reason, stop: String::new() };
                self.phase = Phase::Over;
                self.complete(&ending, events)
            }
        }
    }

    /// The first chunk that is about an answer starts it; some servers send others before.
    fn start(&mut self, chunk: &Chunk<'_>, events: &mut Vec<Decoded>) {
        if self.id.is_empty() {
            self.id = bounded(&some_text(chunk.id).unwrap_or_default());
        }
        if let Some(model) = some_text(chunk.model) {
            let known = self.model.as_ref().is_some_and(|known| known.as_str() == model);
            if !known {
                self.model = Some(ModelId::new(bounded(&model)));
            }
        }
        if chunk.choices.as_ref().is_some_and(|choices| !choices.0.is_empty()) {
            self.begin(events);
        }
    }

    fn begin(&mut self, events: &mut Vec<Decoded>) {
        if matches!(self.phase, Phase::Waiting) {
            self.phase = Phase::Speaking;
            let identity = self.blocks.identity();
            let model = self.model.as_ref().unwrap_or(&identity.model).clone();
            events.push(Event::Started(Started::new(identity.provider.clone(), model)));
        }
    }

    fn note_all(&mut self, chunk: &Chunk<'_>) {
        if let Some(tier) = some_text(chunk.service_tier) {
            self.service_tier = tier.into_owned();
        }
        self.note("response_id", chunk.id);
        self.note("system_fingerprint", chunk.system_fingerprint);
        self.note("prompt_filter_results", chunk.prompt_filter_results);
        self.note("moderation", chunk.moderation);
        self.note("provider", chunk.provider);
        self.note("citations", chunk.citations);
        self.note("search_results", chunk.search_results);
        self.note("timings", chunk.timings);
    }

    /// Keeps what the provider reports: a text as it is, everything else as JSON. The last one holds.
    fn note(&mut self, key: &str, raw: Option<&RawValue>) {
        let Some(raw) = raw.filter(|raw| is_something(raw) && raw.get().len() <= MOST_METADATA) else { return };
        let value = text(Some(raw)).unwrap_or_else(|| raw.get().into());
        match self.metadata.get_mut(key) {
            Some(known) if *known == value => {}
            Some(known) => *known = value.into_owned(),
            None => {
                self.metadata.insert(key.to_owned(), value.into_owned());
            }
        }
    }

    fn choice(&mut self, choice: Choice<'_>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let number = count(choice.index).unwrap_or(0);
        if number != 0 {
            self.dropped = self.dropped.max(number);
            return Ok(());
        }
        let logprobs: Option<Logprobs<'_>> = object(choice.logprobs);
        for logprob in logprobs.into_iter().flat_map(|both| both.content.or(both.refusal)).flat_map(|few| few.0) {
            if self.logprobs.len() < MOST_LOGPROBS {
                self.logprobs.push(token_logprob(logprob));
            }
        }
        for delta in choice.delta.into_iter().chain(choice.message) {
            self.delta(&delta, events)?;
        }
        if let Some(verdicts) = choice.content_filter_results {
            self.filter = ending::filters(verdicts).or_else(|| self.filter.take());
            self.note("content_filter_results", Some(verdicts));
        }
        self.note("native_finish_reason", choice.native_finish_reason);
        if let Some(word) = some_text(choice.finish_reason) {
            self.phase = Phase::Ending(Ending::new(&word, [choice.stop_reason, choice.matched_stop])?);
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Delta<'_>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let reasoning = some_text(delta.reasoning_content).or_else(|| some_text(delta.reasoning));
        let details = elements(delta.reasoning_details)?;
        let has_text = reasoning.is_some();
        if has_text || !details.is_empty() {
            let held = self.splitter.stop();
            self.told(held, events)?;
        }
        if let Some(reasoning) = reasoning {
            self.blocks.reasoning(reasoning.into_owned(), events)?;
        }
        self.blocks.reasoning_details(&details, has_text, events)?;
        if let Some(text) = text(delta.content) {
            self.text(&text, events)?;
        } else {
            for part in elements(delta.content)? {
                self.part(part, events)?;
            }
        }
        if let Some(refusal) = some_text(delta.refusal) {
            self.blocks.refusal(refusal.into_owned(), events)?;
        }
        if let Some(audio) = object::<AudioPart<'_>>(delta.audio) {
            self.blocks.audio(&audio, events)?;
        }
        for image in elements(delta.images)? {
            self.part(image, events)?;
        }
        self.annotations(delta, events)?;
        self.calls(delta, events)
    }

    fn calls(&mut self, delta: &Delta<'_>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let calls = elements(delta.tool_calls)?;
        if !calls.is_empty() {
            let held = self.splitter.rest();
            self.told(held, events)?;
        }
        for call in calls {
            self.blocks.call(call, &self.id, events)?;
        }
        // The older form of a single call.
        if let Some(function) = delta.function_call.filter(|raw| is_something(raw)) {
            let call = format!("{{\"index\":0,\"function\":{}}}", function.get());
            let call = RawValue::from_string(call).map_err(|_| Error::protocol("a call has no known form"))?;
            self.blocks.call(&call, &self.id, events)?;
        }
        self.note("executed_tools", delta.executed_tools);
        Ok(())
    }

    /// Text as it came; what stands between tags is reasoning.
    fn text(&mut self, text: &str, events: &mut Vec<Decoded>) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        if self.splitter.is_done() {
            let logprobs = std::mem::take(&mut self.logprobs);
            return self.blocks.text(text.to_owned(), logprobs, events);
        }
        self.splitter.push(text).into_iter().try_for_each(|told| self.told(Some(told), events))
    }

    fn told(&mut self, told: Option<Told>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        match told {
            Some(Told::Text(text)) => self.blocks.text(text, std::mem::take(&mut self.logprobs), events),
            Some(Told::Reasoning(text)) => self.blocks.reasoning(text, events),
            None => Ok(()),
        }
    }

    /// A part of a content that is an array.
    fn part(&mut self, raw: &RawValue, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let Some(part) = object::<ContentPart<'_>>(Some(raw)) else { return Ok(()) };
        match some_text(part.kind).as_deref() {
            Some("text" | "output_text") => self.text(&text(part.text).unwrap_or_default(), events),
            Some("refusal") => match some_text(part.refusal) {
                Some(refusal) => self.blocks.refusal(refusal.into_owned(), events),
                None => Ok(()),
            },
            Some("thinking") => self.thinking(&part, events),
            Some("image_url") => match picture(part.image_url) {
                Some(picture) => self.blocks.whole(picture, events),
                None => Ok(()),
            },
            Some(kind) => self.blocks.verbatim(kind.to_owned(), raw, events),
            None => Ok(()),
        }
    }

    fn thinking(&mut self, part: &ContentPart<'_>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let held = self.splitter.stop();
        self.told(held, events)?;
        let inner = elements(part.thinking)?.into_iter().filter_map(|raw| object::<ContentPart<'_>>(Some(raw)));
        let texts = inner.filter_map(|part| some_text(part.text).map(std::borrow::Cow::into_owned));
        let plain = some_text(part.thinking).map(std::borrow::Cow::into_owned);
        for piece in texts.chain(plain) {
            self.blocks.reasoning(piece, events)?;
        }
        match some_text(part.signature) {
            Some(signature) => self.blocks.signature(&signature),
            None => Ok(()),
        }
    }

    /// Citations belong to the text that is open; where none is they are reported beside the answer.
    fn annotations(&mut self, delta: &Delta<'_>, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let mut homeless = false;
        for raw in elements(delta.annotations)? {
            let citation = object::<Annotation<'_>>(Some(raw)).map(citation);
            homeless |= !citation.is_some_and(|citation| self.blocks.citation(citation, events));
        }
        if homeless {
            self.note("annotations", delta.annotations);
        }
        Ok(())
    }

    fn complete(&mut self, ending: &Ending, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let held = self.splitter.rest();
        self.told(held, events)?;
        self.blocks.finish(ending.cuts(), events)?;
        if self.dropped > 0 {
            self.metadata.insert("dropped_choices".to_owned(), self.dropped.to_string());
        }
        let reason = ending.reason(&self.blocks.had);
        let mut finish = Finish::new(reason, ending.word.clone());
        finish.stop_sequence.clone_from(&ending.stop);
        finish.refusal = self.filter.take().filter(|_| reason == FinishReason::ContentFilter);
        if let Some(reported) = &self.reported {
            finish.usage = reported.usage.clone();
            finish.cost = reported.cost;
        }
        finish.model = self.model.take();
        finish.service_tier.clone_from(&self.service_tier);
        finish.metadata = std::mem::take(&mut self.metadata);
        events.push(Event::Completed(Box::new(finish)));
        Ok(())
    }
}

/// Whether a body is JSON that breaks off.
fn ends_early(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err_and(|error| error.is_eof())
}

/// As much of a name as is kept.
fn bounded(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    name.chars().take(LONGEST_NAME).collect()
}

/// Whether a body reports a failure: an `error` anywhere that it may stand, or one of the flat forms.
fn is_failure(chunk: &Chunk<'_>) -> bool {
    let in_choice =
        chunk.choices.iter().flat_map(|choices| &choices.0).any(|choice| choice.error.is_some_and(is_something));
    let flat = chunk.choices.is_none()
        && (some_text(chunk.object).as_deref() == Some("error") || chunk.detail.or(chunk.message).is_some());
    in_choice || flat || chunk.error.is_some_and(is_something)
}

/// Whether a value says anything: null, false and what is empty do not.
fn is_something(raw: &RawValue) -> bool {
    !matches!(raw.get(), "null" | "false" | "\"\"" | "{}" | "[]")
}

fn token_logprob(wire: Logprob<'_>) -> TokenLogprob {
    TokenLogprob {
        token: text(wire.token).unwrap_or_default().into_owned(),
        bytes: wire.bytes.unwrap_or_default(),
        logprob: wire.logprob.unwrap_or_default(),
        top: wire.top_logprobs.unwrap_or_default().0.into_iter().map(token_logprob).collect(),
    }
}

fn citation(wire: Annotation<'_>) -> Citation {
    let cited: Cited<'_> = wire.url_citation.or(wire.file_citation).unwrap_or_default();
    let owned = |raw| text(raw).unwrap_or_default().into_owned();
    let place = |raw| count(raw).and_then(|place| i32::try_from(place).ok());
    Citation {
        kind: owned(wire.kind),
        cited_text: owned(cited.content),
        title: owned(cited.title),
        url: owned(cited.url),
        text_start: place(cited.start_index),
        text_end: place(cited.end_index),
        file_id: owned(cited.file_id),
        ..Citation::default()
    }
}

/// A picture that the model made: most often its address holds its bytes.
fn picture(raw: Option<&RawValue>) -> Option<Block> {
    use base64::Engine;
    let fields: BTreeMap<&str, &RawValue> = object(raw)?;
    let url = some_text(fields.get("url").copied())?;
    let inline = url.strip_prefix("data:").and_then(|url| url.split_once(";base64,")).and_then(|(kind, data)| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
        Some(Media { source: MediaSource::Inline(bytes.into()), mime_type: kind.to_owned() })
    });
    let media =
        inline.unwrap_or_else(|| Media { source: MediaSource::Uri(url.into_owned()), mime_type: String::new() });
    Some(BlockKind::Image(Image { media, detail: String::new() }).into())
}

/// The media type of the sound that was asked for, which only the request says.
fn audio_type(order: &Order<'_>) -> &'static str {
    let options = order.request.provider_options.get(&order.identity.vendor);
    let format = options.and_then(|options| options.body.get("audio")?.get("format")?.as_str());
    match format {
        Some("mp3") => "audio/mpeg",
        Some("aac") => "audio/aac",
        Some("flac") => "audio/flac",
        Some("opus") => "audio/opus",
        Some("pcm16") => "audio/pcm",
        _ => "audio/wav",
    }
}
