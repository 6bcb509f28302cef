//! What the file says about answers that are given again.

use super::problem::Wrong;
use super::quantity;
use super::reader::Fields;
use crate::store::AnswerSettings;

/// With less than this hardly any answer would be found again.
const LEAST: u64 = 1 << 20;

/// Reads `cache`.
pub(super) fn cache(file: &mut Fields<'_>) -> AnswerSettings {
    let default = AnswerSettings::default();
    let Some(value) = file.take("cache") else { return default };
    let mut fields = value.fields();
    let max_bytes = |text: &str| match quantity::size(text)? {
        size if size < LEAST => Err(Wrong::new("is less than 1MiB", "answers would be forgotten at once")),
        size => Ok(size),
    };
    let settings = AnswerSettings {
        enabled: fields.read("enabled", default.enabled, quantity::truth),
        sampled: fields.read("sampled", default.sampled, quantity::truth),
        ttl: fields.read("ttl", default.ttl, quantity::some_duration),
        max_bytes: fields.read("max_bytes", default.max_bytes, max_bytes),
    };
    fields.finish(&[]);
    settings
}
