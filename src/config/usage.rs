//! What the file says about sums of usage: where they are kept, by what, and how long.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Wrong;
use super::reader::{Fields, Value};
use super::secrets::Secret;
use crate::store::{Keep, RedisUrl, UsageSettings};

/// The most labels. Each multiplies the sums that there are.
const MAX_LABELS: usize = 8;
/// The longest key of a label, in characters.
const MAX_LABEL: usize = 63;

/// Reads `usage`.
pub(super) fn usage(file: &mut Fields<'_>) -> UsageSettings {
    let default = UsageSettings::default();
    let Some(value) = file.take("usage") else { return default };
    let mut fields = value.fields();
    let settings = UsageSettings {
        keep_in: keep_in(&mut fields),
        labels: fields.take("labels").map(|list| labels(&list)).unwrap_or_default(),
        keep: fields.read("keep", default.keep, days),
    };
    fields.finish(&[]);
    settings
}

fn keep_in(fields: &mut Fields<'_>) -> Keep {
    let (folder, url) = (fields.take("data_dir"), fields.take("redis_url"));
    match (folder, url) {
        (None, None) => Keep::Memory,
        (Some(_), Some(url)) => {
            url.wrong(Wrong::new("does not stand beside `data_dir`", "write one of them: sums are kept in one place"));
            Keep::Memory
        }
        (Some(folder), None) => folder.parse(|path| Ok(PathBuf::from(path))).map_or(Keep::Memory, Keep::File),
        (None, Some(url)) => redis_url(&url).map_or(Keep::Memory, Keep::Redis),
    }
}

/// Where a Redis is: a secret, since it may hold a password.
pub(super) fn redis_url(value: &Value<'_>) -> Option<RedisUrl> {
    let secret = Secret::read(value)?;
    value.keep(RedisUrl::parse(secret.value).map_err(|error| Wrong::new(error.to_string(), "")))
}

fn labels(list: &Value<'_>) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for item in list.items() {
        let label = item.parse(|text| match text.chars().count() <= MAX_LABEL {
            true => Ok(text.to_owned()),
            false => Err(Wrong::new(format!("is longer than {MAX_LABEL} characters"), "no label is")),
        });
        let Some(label) = label else { continue };
        if labels.contains(&label) {
            item.wrong(Wrong::new(format!("`{label}` stands here a second time"), "leave it out"));
        }
        labels.push(label);
    }
    if labels.len() > MAX_LABELS {
        let rule = format!("has {} labels, and may have at most {MAX_LABELS}", labels.len());
        list.wrong(Wrong::new(rule, "each multiplies the sums that are kept"));
    }
    labels
}

fn days(text: &str) -> Result<Duration, Wrong> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()).filter(|days| (1..=365).contains(days));
    let days = days.ok_or_else(|| Wrong::new("must be a whole number of days from 1d to 365d", "as in `90d`"))?;
    Ok(Duration::from_secs(days * 24 * 60 * 60))
}
