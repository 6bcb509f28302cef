//! Citations: what the domain has names for, beside the originals that go back verbatim.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::Citation;
use crate::protocol::few::Few;

/// The most citations of one block.
const MOST_CITATIONS: usize = 8192;

/// All kinds of citations in one: what a kind does not have is not there.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    cited_text: Option<String>,
    #[serde(alias = "document_title")]
    title: Option<String>,
    #[serde(alias = "source")]
    url: Option<String>,
    document_index: Option<i64>,
    file_id: Option<String>,
    #[serde(alias = "start_page_number", alias = "start_block_index")]
    start_char_index: Option<i64>,
    #[serde(alias = "end_page_number", alias = "end_block_index")]
    end_char_index: Option<i64>,
}

/// What the domain has names for; of a kind that is new, perhaps nothing.
pub(super) fn known(original: &RawValue) -> Citation {
    let wire: Wire<'_> = serde_json::from_str(original.get()).unwrap_or_default();
    let number = |number: Option<i64>| number.and_then(|number| i32::try_from(number).ok());
    Citation {
        kind: wire.kind.unwrap_or_default().into_owned(),
        cited_text: wire.cited_text.unwrap_or_default(),
        title: wire.title.unwrap_or_default(),
        url: wire.url.unwrap_or_default(),
        document_index: number(wire.document_index),
        source_start: number(wire.start_char_index),
        source_end: number(wire.end_char_index),
        text_start: None,
        text_end: None,
        file_id: wire.file_id.unwrap_or_default(),
    }
}

/// The citations of a list; none when it is null or no list.
pub(super) fn originals(list: Option<&RawValue>) -> Vec<Box<RawValue>> {
    let few = list.and_then(|list| serde_json::from_str::<Few<_, MOST_CITATIONS>>(list.get()).ok());
    few.unwrap_or_default().0
}
