//! Which tokenizer counts which model, and rules of thumb for the rest: a table, `data/tokenizers.json`.

use std::sync::LazyLock;

use serde::Deserialize;

/// What stands before the base of a model that somebody has tuned; what was tuned follows it, up to a colon.
const TUNED: &str = "ft:";

/// A tokenizer that is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    /// `o200k_base`.
    #[serde(rename = "o200k_base")]
    O200kBase,
    /// `cl100k_base`.
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
}

/// How the text of a model is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What counts it.
    pub encoding: Encoding,
    /// How many tokens the model has for a hundred of the encoding's.
    pub percent: u32,
    /// The encoding is the model's own.
    pub is_exact: bool,
}

/// Rules of thumb for media, in tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Media {
    pub(super) image: u64,
    /// A document or a sound that is not in the request itself.
    pub(super) reference: u64,
    pub(super) document_bytes_per_token: u64,
    pub(super) audio_bytes_per_token: u64,
}

/// Rules of thumb for what is around the text, in tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Around {
    pub(super) message: u64,
    pub(super) reply: u64,
    pub(super) tool: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct File {
    tokenizers: Vec<Row>,
    pub(super) media: Media,
    pub(super) around: Around,
}

#[derive(Debug, Deserialize)]
struct Row {
    vendor: Option<String>,
    models: Vec<String>,
    encoding: Encoding,
    #[serde(default)]
    exact: bool,
    percent: Option<u32>,
}

/// The table. That it reads without an error is a test, not a question at run time.
pub(super) fn table() -> &'static File {
    static TABLE: LazyLock<File> = LazyLock::new(|| read().unwrap_or_default());
    &TABLE
}

fn read() -> serde_json::Result<File> {
    serde_json::from_str(include_str!("../../data/tokenizers.json"))
}

/// How `model` at `vendor` is counted; none: nothing is known about its tokenizer.
pub fn rule(vendor: &str, model: &str) -> Option<Rule> {
    let base = model.strip_prefix(TUNED).map_or(model, |tuned| tuned.split(':').next().unwrap_or(tuned));
    let of_vendor = |row: &&Row| row.vendor.as_deref().is_none_or(|own| own == vendor);
    let length = |row: &Row| row.models.iter().filter(|pattern| fits(pattern, base)).map(String::len).max();
    let fitting = table().tokenizers.iter().filter(of_vendor).filter_map(|row| Some((length(row)?, row)));
    let (_, row) = fitting.max_by_key(|(length, row)| (row.vendor.is_some(), *length))?;
    Some(Rule { encoding: row.encoding, percent: row.percent.unwrap_or(100), is_exact: row.exact })
}

/// Whether `model` is as `pattern` says, which has a `*` at either end for anything.
fn fits(pattern: &str, model: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => model.contains(pattern.trim_matches('*')),
        (Some(end), None) => model.ends_with(end),
        (None, Some(beginning)) => model.starts_with(beginning),
        (None, None) => model == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads() {
        let file = read().unwrap();
        assert!(file.media.document_bytes_per_token > 0 && file.media.audio_bytes_per_token > 0);
        let rows = &file.tokenizers;
        // An encoding of one's own needs no factor, and only one vendor can tell which it is.
        assert!(rows.iter().all(|row| !row.exact || (row.percent.is_none() && row.vendor.is_some())));
    }

    #[test]
    fn a_models_name_and_vendor_tell_what_counts_it() {
        let o200k = |is_exact| Some(Rule { encoding: Encoding::O200kBase, percent: 100, is_exact });
        let cl100k = |percent, is_exact| Some(Rule { encoding: Encoding::Cl100kBase, percent, is_exact });
        let cases = [
            ("openai", "gpt-5.4-mini", o200k(true)),
            ("openai", "gpt-4o", o200k(true)),
            ("openai", "gpt-4.1-nano", o200k(true)),
            ("openai", "gpt-4", cl100k(100, true)),
            ("openai", "gpt-4-turbo", cl100k(100, true)),
            ("openai", "gpt-3.5-turbo-0125", cl100k(100, true)),
            ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", o200k(true)),
            ("openai", "ft:gpt-3.5-turbo:org", cl100k(100, true)),
            ("openai", "gpt-6-sol", o200k(false)),
            ("azure", "gpt-4o", o200k(false)),
            ("groq", "openai/gpt-oss-120b", o200k(false)),
            ("openrouter", "openai/gpt-4", cl100k(100, false)),
            ("anthropic", "claude-sonnet-5-5", cl100k(145, false)),
            ("anthropic", "claude-opus-4-7", cl100k(145, false)),
            ("anthropic", "claude-opus-4-6", cl100k(115, false)),
            ("anthropic", "claude-opus-4-20250514", cl100k(115, false)),
            ("anthropic", "claude-3-7-sonnet-20250219", cl100k(115, false)),
            ("bedrock", "global.anthropic.claude-opus-5-5", cl100k(145, false)),
            ("gemini", "gemini-4-argon", None),
            ("openai", "simulator", None),
        ];
        for (vendor, model, expected) in cases {
            assert_eq!(rule(vendor, model), expected, "{vendor}/{model}");
        }
    }
}
