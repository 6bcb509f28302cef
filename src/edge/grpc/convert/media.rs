//! Images, documents and sound as they came: bytes, or where they are.

use super::violations::{Path, Violations};
use crate::domain::{Audio, Document, FileRef, Image, Media, MediaSource, ProviderId};
use crate::proto;
use crate::proto::media::Source;

/// An image.
pub(super) fn image(message: proto::Image, path: &Path<'_>, found: &mut Violations) -> Option<Image> {
    let media = media(message.media, path, found)?;
    Some(Image { media, detail: message.detail })
}

/// A document.
pub(super) fn document(message: proto::Document, path: &Path<'_>, found: &mut Violations) -> Option<Document> {
    let media = media(message.media, path, found)?;
    let proto::Document { title, context, citations, filename, .. } = message;
    Some(Document { media, title, context, citations, filename })
}

/// Sound.
pub(super) fn audio(message: proto::Audio, path: &Path<'_>, found: &mut Violations) -> Option<Audio> {
    let media = media(message.media, path, found)?;
    Some(Audio { media, transcript: message.transcript })
}

fn media(message: Option<proto::Media>, path: &Path<'_>, found: &mut Violations) -> Option<Media> {
    let path = path.field("media");
    let Some(proto::Media { mime_type, source: Some(source) }) = message else {
        found.report(&path, "must have data, uri or file");
        return None;
    };
    let is_inline = matches!(source, Source::Data(_));
    let right = if mime_type.is_empty() { !is_inline } else { is_mime_type(&mime_type) };
    let rule = "must be a media type such as image/png; it may be empty only without data";
    found.check(right, &path.field("mime_type"), rule);
    let source = match source {
        Source::Data(data) => {
            found.check(!data.is_empty(), &path.field("data"), "must not be empty");
            MediaSource::Inline(data)
        }
        Source::Uri(uri) => {
            let rule = "must be a whole address such as https://host/path, s3:// or gs://; bytes go into data";
            found.check(is_address(&uri), &path.field("uri"), rule);
            MediaSource::Uri(uri)
        }
        Source::File(file) => {
            let path = path.field("file");
            found.check(!file.provider.is_empty(), &path.field("provider"), "must not be empty");
            found.check(!file.id.is_empty(), &path.field("id"), "must not be empty");
            MediaSource::File(FileRef { provider: ProviderId::new(file.provider), id: file.id })
        }
    };
    Some(Media { source, mime_type })
}

/// `type/subtype`, as RFC 6838 names them, with or without parameters behind.
fn is_mime_type(text: &str) -> bool {
    let is_name = |name: &str| {
        let is_word = |c: u8| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c);
        (1..=127).contains(&name.len()) && name.bytes().all(is_word)
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_line = parameters.bytes().all(|c| (b' '..=b'~').contains(&c));
    is_line && essence.trim_end().split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

/// An absolute address of RFC 3986 with an authority or a path behind two slashes.
fn is_address(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        let is_word = |c: u8| c.is_ascii_alphanumeric() || b"+-.".contains(&c);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(is_word)
    };
    let is_line = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    is_line && text.split_once("://").is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for right in ["image/png", "application/vnd.a+json", "text/plain; charset=utf-8", "audio/L16;rate=8000"] {
            assert!(is_mime_type(right), "{right}");
        }
        for wrong in ["", "png", "image/", "/png", "image/p ng", "a/b/c", "image/png;\n"] {
            assert!(!is_mime_type(wrong), "{wrong}");
        }
    }

    #[test]
    fn addresses() {
        for right in ["https://host/a.png?b=c", "s3://bucket/key", "gs://b/k", "file:///srv/a.png"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in ["", "host/a.png", "https://", "://host", "data:image/png;base64,AA", "https://a b", "1x://a"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
