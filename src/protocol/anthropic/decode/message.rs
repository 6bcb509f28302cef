//! A message as it stands on the wire: its beginning in a stream, or all of it. It is read once, since the texts in it may be long.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::envelope::StopDetails;

/// One more than an answer may have: by that one it is seen that there are too many.
const MOST_READ: usize = 16 * 1024 + 1;

/// The message, its blocks not read yet.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<Blocks<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) diagnostics: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) context_management: Option<&'a RawValue>,
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
    pub(super) stop_details: Option<StopDetails>,
    #[serde(borrow)]
    pub(super) container: Option<&'a RawValue>,
}

/// The blocks; none: what stands in their place is no list.
pub(super) struct Blocks<'a>(Option<Vec<&'a RawValue>>);

impl<'a> Blocks<'a> {
    pub(super) fn listed(self) -> Option<Vec<&'a RawValue>> {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blocks<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Blocks<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of blocks")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Blocks<'de>, A::Error> {
                let mut blocks = Vec::new();
                while blocks.len() < MOST_READ
                    && let Some(block) = list.next_element()?
                {
                    blocks.push(block);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Blocks(Some(blocks)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Blocks<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Blocks(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Blocks<'de>, E> {
                Ok(Blocks(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Blocks<'de>, E> {
                Ok(Blocks(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Blocks<'de>, E> {
                Ok(Blocks(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Blocks<'de>, E> {
                Ok(Blocks(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Blocks<'de>, E> {
                Ok(Blocks(None))
            }
        }

        deserializer.deserialize_any(List)
    }
}
