//! Content of a chat message: a string, or parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::UNKNOWN;
use crate::cli::batch::faults::Faults;
use crate::cli::batch::raw::{Object, Value};
use crate::config::read_duration;
use crate::proto::content_block::Block;
use crate::proto::media::Source;
use crate::proto::{Audio, CacheBreakpoint, ContentBlock, Document, Image, Media, Refusal, Text};

/// Whose content it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    System,
    User,
    Assistant,
    Tool,
}

impl Place {
    fn takes(self, kind: &str) -> bool {
        match kind {
            "text" => true,
            "image_url" | "input_audio" | "file" => self == Self::User,
            "refusal" => self == Self::Assistant,
            _ => false,
        }
    }
}

/// A block and nothing beside it.
pub(super) fn block(block: Block) -> ContentBlock {
    ContentBlock { block: Some(block), ..ContentBlock::default() }
}

/// The blocks of `content`.
pub(super) fn blocks(content: &Value<'_>, place: Place, faults: &mut Faults) -> Vec<ContentBlock> {
    if content.is_text() {
        let text = content.text(faults).unwrap_or_default();
        return vec![block(Block::Text(Text { text, ..Text::default() }))];
    }
    let parts = content.list(faults).unwrap_or_default();
    let parts = parts.into_iter().filter_map(|part| part.object(faults).and_then(|part| one(part, place, faults)));
    parts.collect()
}

fn one(mut part: Object<'_>, place: Place, faults: &mut Faults) -> Option<ContentBlock> {
    let kind = part.need("type", faults)?;
    let name = kind.text(faults)?;
    if !place.takes(&name) {
        let rule = match place {
            Place::User => "must be text, image_url, input_audio or file",
            Place::Assistant => "must be text or refusal in a message of an assistant",
            Place::System | Place::Tool => "must be text in a message of this role",
        };
        faults.report(&kind.path, rule);
        return None;
    }
    let cache_breakpoint = breakpoint(&mut part, faults);
    let value = part.need(&name, faults);
    part.end(UNKNOWN, faults);
    let value = value?;
    let block = match name.as_str() {
        "text" => Block::Text(Text { text: value.text(faults)?, ..Text::default() }),
        "refusal" => Block::Refusal(Refusal { text: value.text(faults)?, ..Refusal::default() }),
        "image_url" => Block::Image(image(&value, faults)?),
        "input_audio" => Block::Audio(audio(&value, faults)?),
        _ => Block::Document(file(&value, faults)?),
    };
    Some(ContentBlock { block: Some(block), cache_breakpoint, ..ContentBlock::default() })
}

/// The mark behind which a prompt cache ends: `{"mode": "explicit", "ttl": "30m"}`.
fn breakpoint(part: &mut Object<'_>, faults: &mut Faults) -> Option<CacheBreakpoint> {
    let mut mark = part.take("prompt_cache_breakpoint")?.object(faults)?;
    if let Some(mode) = mark.take("mode")
        && mode.text(faults).is_some_and(|mode| mode != "explicit")
    {
        faults.report(&mode.path, "must be explicit");
    }
    let ttl = mark.take("ttl").and_then(|ttl| {
        let read = read_duration(&ttl.text(faults)?);
        let read = read.and_then(|time| prost_types::Duration::try_from(time).map_err(|error| error.to_string()));
        read.map_err(|rule| faults.report(&ttl.path, rule)).ok()
    });
    mark.end(UNKNOWN, faults);
    Some(CacheBreakpoint { ttl })
}

fn image(value: &Value<'_>, faults: &mut Faults) -> Option<Image> {
    let mut image = value.object(faults)?;
    let url = image.need("url", faults);
    let detail = image.take("detail").and_then(|detail| detail.text(faults)).unwrap_or_default();
    image.end(UNKNOWN, faults);
    let url = url?;
    let address = url.text(faults)?;
    let media = if is_inline(&address) {
        inline(&address, &url.path, faults)?
    } else {
        Media { source: Some(Source::Uri(address)), ..Media::default() }
    };
    Some(Image { media: Some(media), detail })
}

fn audio(value: &Value<'_>, faults: &mut Faults) -> Option<Audio> {
    let mut audio = value.object(faults)?;
    let data = audio.need("data", faults);
    let format = audio.need("format", faults);
    audio.end(UNKNOWN, faults);
    let (data, format) = (data?, format?);
    let mime_type = match format.text(faults)?.as_str() {
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        _ => {
            faults.report(&format.path, "must be wav or mp3");
            return None;
        }
    };
    let source = decoded(&data.text(faults)?, &data.path, faults)?;
    let media = Media { source: Some(source), mime_type: mime_type.to_owned() };
    Some(Audio { media: Some(media), ..Audio::default() })
}

fn file(value: &Value<'_>, faults: &mut Faults) -> Option<Document> {
    let mut file = value.object(faults)?;
    let filename = file.take("filename").and_then(|name| name.text(faults)).unwrap_or_default();
    if let Some(id) = file.take("file_id") {
        let rule = "is a file of one account: write the line with `request`, whose documents name the provider too";
        faults.report(&id.path, rule);
        return None;
    }
    let content = file.need("file_data", faults);
    file.end(UNKNOWN, faults);
    let content = content?;
    let text = content.text(faults)?;
    let media = if is_inline(&text) {
        inline(&text, &content.path, faults)?
    } else {
        let source = decoded(&text, &content.path, faults)?;
        if !matches!(&source, Source::Data(bytes) if bytes.starts_with(b"%PDF-")) {
            faults.report(&content.path, "must be a data: URL, which says what it is, unless it is a PDF");
            return None;
        }
        Media { source: Some(source), mime_type: "application/pdf".to_owned() }
    };
    Some(Document { media: Some(media), filename, ..Document::default() })
}

fn is_inline(address: &str) -> bool {
    address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// The bytes in a `data:` URL.
fn inline(url: &str, path: &str, faults: &mut Faults) -> Option<Media> {
    let (head, data) = url.get(5..).and_then(|rest| rest.split_once(',')).unwrap_or_default();
    let Some(mime_type) = head.strip_suffix(";base64").filter(|mime_type| !mime_type.is_empty()) else {
        faults.report(path, "must be data:TYPE;base64,DATA where it has the bytes itself");
        return None;
    };
    Some(Media { source: Some(decoded(data, path, faults)?), mime_type: mime_type.to_owned() })
}

fn decoded(data: &str, path: &str, faults: &mut Faults) -> Option<Source> {
    let Ok(bytes) = STANDARD.decode(data.trim()) else {
        faults.report(path, "must have base64 that is whole and padded");
        return None;
    };
    Some(Source::Data(bytes.into()))
}
