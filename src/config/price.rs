//! Prices: a table of one's own over the built-in one, and the price of a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::Wrong;
use super::reader::{Fields, Value};
use super::{MAX_FILE_BYTES, text_of};
use crate::domain::PicoUsd;
use crate::price::{File, FileError, Price, Prices, Rates};
use crate::regular;

/// What the work of models costs.
#[derive(Clone, Debug)]
pub struct Pricing {
    /// The built-in table, with the configured one over it.
    pub prices: Arc<Prices>,
    /// The configured table. Default: none.
    pub table: Option<PathBuf>,
}

impl Default for Pricing {
    fn default() -> Self {
        Self { prices: Prices::built_in(), table: None }
    }
}

impl Pricing {
    /// Reads `price_table`; `config` is the file in which it stands, beside which a relative path begins.
    pub(super) fn read(file: &mut Fields<'_>, config: &Path) -> Self {
        let Some(value) = file.take("price_table") else { return Self::default() };
        let beside = |path: &str| config.parent().unwrap_or(Path::new("")).join(path);
        let Some((path, table)) = value.parse(|path| {
            let path = beside(path);
            read_table(&path).map(|table| (path, table))
        }) else {
            return Self::default();
        };
        Self { prices: Arc::new(Prices::built_in().with(&table)), table: Some(path) }
    }
}

fn read_table(path: &Path) -> Result<File, Wrong> {
    let shown = path.display();
    let bytes =
        regular::read(path, MAX_FILE_BYTES).map_err(|unread| Wrong::new(format!("the file {shown} {unread}"), ""))?;
    let text = text_of(bytes).map_err(|what| Wrong::new(format!("the file {shown} cannot be read: {what}"), ""))?;
    File::read(&text).map_err(|FileError { line, rule }| {
        let line = line.map_or_else(String::new, |line| format!("line {line}: "));
        Wrong::new(format!("the file {shown} is no price table: {line}{rule}"), "")
    })
}

/// Reads the `price` of a model.
pub(super) fn of_model(value: &Value<'_>) -> Option<Price> {
    let mut fields = value.fields();
    let input = fields.require("input").and_then(|value| value.parse(per_million));
    let output = fields.require("output").and_then(|value| value.parse(per_million));
    let mut read = |key| fields.take(key).and_then(|value| value.parse(per_million));
    let standard = Rates {
        input,
        output,
        cache_read: read("cache_read"),
        cache_write: read("cache_write"),
        cache_write_5m: read("cache_write_5m"),
        cache_write_30m: read("cache_write_30m"),
        cache_write_1h: read("cache_write_1h"),
        cache_write_12h: read("cache_write_12h"),
        reasoning: read("reasoning"),
        audio_input: read("audio_input"),
        audio_output: read("audio_output"),
        image_input: read("image_input"),
        image_output: read("image_output"),
    };
    fields.finish(&[]);
    (input.is_some() && output.is_some()).then(|| Price { standard, ..Price::default() })
}

/// Reads US dollars per million tokens, exactly, as pico-dollars per token, which are a millionth of a millionth.
fn per_million(text: &str) -> Result<PicoUsd, Wrong> {
    /// A dollar for a token. What is more is a slip.
    const MOST: i64 = 1_000_000_000_000;
    const RIGHT: &str = "US dollars per million tokens, as `3` or `0.075`, with at most 6 digits behind the point";
    let (_, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    // Read as micro-dollars, so that nothing is cut and nothing overflows.
    let read = PicoUsd::parse_usd(text).filter(|_| is_plain && fraction.len() <= 6);
    let price = read.map(|usd| PicoUsd::new(usd.get() / 1_000_000)).ok_or_else(|| Wrong::new("is no price", RIGHT))?;
    if price.get() > MOST { Err(Wrong::new("is no price", RIGHT)) } else { Ok(price) }
}
