//! What the file says about answers that are given again, and about prompts that providers keep.

use super::problem::Wrong;
use super::quantity;
use super::reader::Fields;
use super::usage::redis_url;
use crate::domain::{PromptCache, PromptCacheMode};
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
    let (max, mut url) = (fields.take("max_bytes"), fields.take("redis_url"));
    if let (Some(max), true) = (&max, url.is_some()) {
        let right = "leave it out: how much memory answers may take is a setting of the server that keeps them";
        max.wrong(Wrong::new("does not stand beside `redis_url`", right));
        url = None;
    }
    let settings = AnswerSettings {
        enabled: fields.read("enabled", default.enabled, quantity::truth),
        sampled: fields.read("sampled", default.sampled, quantity::truth),
        ttl: fields.read("ttl", default.ttl, quantity::some_duration),
        max_bytes: max.and_then(|value| value.parse(max_bytes)).unwrap_or(default.max_bytes),
        shared: url.and_then(|value| redis_url(&value)),
    };
    fields.finish(&[]);
    settings
}

/// Reads `prompt_cache`, of the file or of a model.
pub(super) fn prompts(of: &mut Fields<'_>) -> PromptCache {
    let Some(value) = of.take("prompt_cache") else { return PromptCache::default() };
    let mut fields = value.fields();
    let mode = fields.read("mode", PromptCacheMode::Unsaid, |text| match text {
        "off" => Ok(PromptCacheMode::Off),
        "automatic" => Ok(PromptCacheMode::Automatic),
        _ => Err(Wrong::new(format!("`{text}` is no mode"), "`off` or `automatic`")),
    });
    let ttl = fields.take("ttl").and_then(|value| value.parse(quantity::some_duration));
    fields.finish(&[]);
    PromptCache { mode, ttl }
}
