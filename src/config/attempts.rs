//! What the file says about attempts: how many a call may make and how far apart, how many a provider has at a time,
//! and when a second target is asked beside the first.

use std::num::NonZeroU32;

use super::problem::Wrong;
use super::quantity::{self, show_duration};
use super::reader::{Fields, Value, count};
use crate::pool::ConcurrencyRule;
use crate::route::{Hedge, Retry};

/// Reads the top-level `retry`.
pub(super) fn retry(file: &mut Fields<'_>) -> Retry {
    let default = Retry::default();
    let Some(value) = file.take("retry") else { return default };
    let mut fields = value.fields();
    let retry = Retry {
        max_attempts: fields.read("max_attempts", default.max_attempts, max_attempts),
        base_delay: fields.read("base_delay", default.base_delay, quantity::duration),
        max_delay: fields.read("max_delay", default.max_delay, quantity::duration),
    };
    fields.finish(&[]);
    let (base, most) = (retry.base_delay, retry.max_delay);
    if base > most {
        let (base, most) = (show_duration(base), show_duration(most));
        let rule = format!("`base_delay` ({base}) is longer than `max_delay` ({most})");
        value.wrong(Wrong::new(rule, "raise `max_delay` or lower `base_delay`"));
    }
    retry
}

fn max_attempts(text: &str) -> Result<NonZeroU32, Wrong> {
    /// A call that needs more requests than this only adds to what is wrong upstream.
    const MOST: u32 = 32;
    let number = text.parse::<NonZeroU32>().ok().filter(|number| number.get() <= MOST);
    let right = "1: each call makes one request and nothing is tried again";
    number.ok_or_else(|| Wrong::new(format!("must be a whole number from 1 to {MOST}"), right))
}

/// Reads the `hedge` of a model.
pub(super) fn hedge(value: &Value<'_>) -> Option<Hedge> {
    if value.is_empty() {
        // What costs requests is asked for, not left over from keys that were taken out.
        value.wrong(Wrong::new("has no value", "write `hedge: {}` for the defaults, or leave it out"));
        return None;
    }
    let default = Hedge::default();
    let mut fields = value.fields();
    let hedge = Hedge {
        quantile: fields.read("quantile", default.quantile, quantile),
        min_delay: fields.read("min_delay", default.min_delay, quantity::duration),
        max_share: fields.read("max_share", default.max_share, max_share),
    };
    fields.finish(&[]);
    Some(hedge)
}

// Neither comparison holds for what is not a number.
fn quantile(text: &str) -> Result<f64, Wrong> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| Wrong::new("must be a number above 0 and below 1", "as in `0.95`"))
}

fn max_share(text: &str) -> Result<f64, Wrong> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1.0);
    number.ok_or_else(|| Wrong::new("must be a number above 0 and at most 1", "as in `0.05` for 5 of 100 calls"))
}

/// Reads the `max_in_flight` and `adaptive_concurrency` of a provider.
pub(super) fn concurrency(entry: &mut Fields<'_>) -> ConcurrencyRule {
    let default = ConcurrencyRule::default();
    ConcurrencyRule {
        most: entry.read("max_in_flight", default.most, |text| count(text).map(Some)),
        adaptive: entry.read("adaptive_concurrency", default.adaptive, quantity::truth),
    }
}
