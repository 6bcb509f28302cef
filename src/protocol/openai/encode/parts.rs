//! Parts of a content: text, images, documents and sound as they go to the model.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::wire::{File, ImageUrl, InputAudio, Part, Piece, Placed};
use super::{Encoder, lacks};
use crate::domain::{Audio, Block, BlockKind, Document, FileRef, Image, Media, MediaSource, ProviderBlock};
use crate::protocol::Unfit;
use crate::protocol::place::Place;

/// Checked JSON text as it goes out, byte for byte.
pub(super) fn raw(json: &str, field: impl Into<String>) -> Result<&RawValue, Unfit> {
    serde_json::from_str(json).map_err(|_| lacks(field, "cannot take text that is not JSON"))
}

/// `wire` with the keys of the object `json` replaced or added.
pub(super) fn merged<'a, T: Serialize>(wire: T, json: &str, field: impl Into<String>) -> Result<Piece<'a, T>, Unfit> {
    let merge = || {
        let ours = serde_json::to_string(&wire)?;
        let mut object: BTreeMap<&str, &RawValue> = serde_json::from_str(&ours)?;
        object.extend(serde_json::from_str::<BTreeMap<&str, &RawValue>>(json)?);
        serde_json::value::to_raw_value(&object)
    };
    merge().map(Piece::Merged).map_err(|_: serde_json::Error| lacks(field, "cannot take text that is not JSON"))
}

impl<'a> Encoder<'a> {
    /// A block of a user's message, or of a system prompt; none where it is left out.
    pub(super) fn user_part(&mut self, block: &'a Block, place: Place) -> Result<Option<Placed<'a>>, Unfit> {
        let part = match &block.kind {
            BlockKind::Text(text) => Part { r#type: "text", text: Some(&text.text), ..Part::default() },
            BlockKind::Image(image) => self.image(image, place)?,
            BlockKind::Document(document) => self.document(document, place)?,
            BlockKind::Audio(audio) => self.audio(audio, place)?,
            BlockKind::Provider(own) => return self.verbatim(own, block, place),
            BlockKind::ToolCall(_) | BlockKind::ToolResult(_) | BlockKind::Reasoning(_) | BlockKind::Refusal(_) => {
                return Err(lacks(place, "cannot take this kind of block in this message"));
            }
        };
        self.placed(part, block, place).map(Some)
    }

    /// The part with what only this vendor knows about it, and with what the caller says about the prompt cache.
    pub(super) fn placed(&mut self, part: Part<'a>, block: &'a Block, place: Place) -> Result<Placed<'a>, Unfit> {
        let piece = match block.provider_options.get(&self.order.identity.vendor) {
            Some(json) => merged(part, json, place)?,
            None => Piece::Known(part),
        };
        Ok(Placed { piece, breakpoint: block.cache_breakpoint.map(|breakpoint| (breakpoint, place)) })
    }

    /// A block that only this vendor knows, as it is; one of another vendor is left out.
    pub(super) fn verbatim(
        &mut self,
        own: &'a ProviderBlock,
        block: &'a Block,
        place: Place,
    ) -> Result<Option<Placed<'a>>, Unfit> {
        if own.vendor == self.order.identity.vendor {
            let piece = Piece::Borrowed(raw(&own.json, place)?);
            let breakpoint = block.cache_breakpoint.map(|breakpoint| (breakpoint, place));
            return Ok(Some(Placed { piece, breakpoint }));
        }
        self.left_out.foreign(place);
        Ok(None)
    }

    fn image(&self, image: &'a Image, place: Place) -> Result<Part<'a>, Unfit> {
        if self.facts().is_some_and(|facts| facts.capabilities.images == Some(false)) {
            return Err(lacks(place, "cannot see images"));
        }
        let url = match &image.media.source {
            MediaSource::Inline(_) => Cow::Owned(data_url(&image.media)),
            MediaSource::Uri(uri) if self.dialect.image_uris || uri.starts_with("data:") => Cow::Borrowed(uri.as_str()),
            MediaSource::Uri(_) => return Err(lacks(place, "cannot take images by address")),
            MediaSource::File(_) => return Err(lacks(place, "cannot take images by file id")),
        };
        let image_url = Some(ImageUrl { url, detail: &image.detail });
        Ok(Part { r#type: "image_url", image_url, ..Part::default() })
    }

    fn document(&mut self, document: &'a Document, place: Place) -> Result<Part<'a>, Unfit> {
        let cannot = self.facts().is_some_and(|facts| facts.capabilities.documents == Some(false));
        if !self.dialect.documents || cannot {
            return Err(lacks(place, "cannot read documents"));
        }
        if document.citations == Some(true) {
            self.left_out.unsupported(format!("{place}.document.citations"));
        }
        if !document.context.is_empty() {
            self.left_out.unsupported(format!("{place}.document.context"));
        }
        if !document.title.is_empty() && !document.filename.is_empty() {
            self.left_out.unsupported(format!("{place}.document.title"));
        }
        let file = match &document.media.source {
            MediaSource::Inline(_) => {
                // A file must have a name; its title says more than a made up one.
                let names = [document.filename.as_str(), document.title.as_str(), "document"];
                let filename = names.into_iter().find(|name| !name.is_empty());
                File { filename, file_data: Some(data_url(&document.media)), ..File::default() }
            }
            MediaSource::File(file) => File { file_id: Some(self.file_id(file, place)?), ..File::default() },
            MediaSource::Uri(_) => return Err(lacks(place, "cannot take documents by address")),
        };
        Ok(Part { r#type: "file", file: Some(file), ..Part::default() })
    }

    fn file_id(&self, file: &'a FileRef, place: Place) -> Result<&'a str, Unfit> {
        if file.provider == self.order.identity.provider {
            return Ok(&file.id);
        }
        Err(lacks(place, "cannot take a file that another provider holds"))
    }

    fn audio(&self, audio: &'a Audio, place: Place) -> Result<Part<'a>, Unfit> {
        let cannot = self.facts().is_some_and(|facts| facts.capabilities.audio == Some(false));
        if !self.dialect.audio || cannot {
            return Err(lacks(place, "cannot hear sound"));
        }
        let MediaSource::Inline(bytes) = &audio.media.source else {
            return Err(lacks(place, "cannot take sound by address or file id"));
        };
        let format = match audio.media.mime_type.as_str() {
            "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
            "audio/mpeg" | "audio/mp3" => "mp3",
            _ => return Err(lacks(place, "cannot take sound other than wav and mp3")),
        };
        let input_audio = Some(InputAudio { data: STANDARD.encode(bytes), format });
        Ok(Part { r#type: "input_audio", input_audio, ..Part::default() })
    }
}

/// Inline bytes as an address that holds them.
fn data_url(media: &Media) -> String {
    let mut url = format!("data:{};base64,", media.mime_type);
    if let MediaSource::Inline(bytes) = &media.source {
        STANDARD.encode_string(bytes, &mut url);
    }
    url
}
