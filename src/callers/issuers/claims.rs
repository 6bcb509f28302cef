//! From the claims of a token that was verified to who calls, and what it may do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::fault::TokenFault;
use super::settings::{ClaimName, IssuerSettings};
use crate::callers::{ModelPattern, Models};
use crate::domain::CallerName;

/// The longest name of a caller in a token.
const MAX_NAME: usize = 200;
/// The most patterns that a claim may name.
const MAX_PATTERNS: usize = 256;
/// The latest time that a token may end, in seconds since 1970: the year 9999.
const LATEST: u64 = 253_402_300_799;

/// How the claim calls the caller.
pub(super) fn name<'a>(settings: &IssuerSettings, claims: &'a Map<String, Value>) -> Result<&'a str, TokenFault> {
    let name = settings.caller_claim.find(claims).and_then(Value::as_str).ok_or(TokenFault::Name)?;
    let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    let is_name = is_name && name != CallerName::OTHERS;
    is_name.then_some(name).ok_or(TokenFault::Name)
}

/// What the token lets its caller ask for: a list of patterns, or a text in which spaces part them. What is no pattern
/// lets nothing in.
pub(super) fn models(claim: &ClaimName, claims: &Map<String, Value>) -> Result<Models, TokenFault> {
    let texts: Vec<&str> = match claim.find(claims).ok_or(TokenFault::Models)? {
        Value::String(text) => text.split_ascii_whitespace().take(MAX_PATTERNS).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).take(MAX_PATTERNS).collect(),
        _ => return Err(TokenFault::Models),
    };
    Ok(Models::Only(texts.into_iter().filter_map(|text| text.parse::<ModelPattern>().ok()).collect()))
}

/// When the token ends, with what clocks may differ.
pub(super) fn end(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<SystemTime, TokenFault> {
    let end = seconds(claims.get("exp")).ok_or(TokenFault::Claim("exp"))?;
    UNIX_EPOCH.checked_add(Duration::from_secs(end.min(LATEST)) + settings.leeway).ok_or(TokenFault::Claim("exp"))
}

/// Whether it was issued before now.
pub(super) fn was_issued(
    settings: &IssuerSettings,
    claims: &Map<String, Value>,
    now: SystemTime,
) -> Result<(), TokenFault> {
    let Some(written) = claims.get("iat") else { return Ok(()) };
    let at = seconds(Some(written)).ok_or(TokenFault::Claim("iat"))?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(settings.leeway);
    if at > now.as_secs() { Err(TokenFault::IssuedLater) } else { Ok(()) }
}

/// Whole seconds; a fraction counts for nothing.
fn seconds(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    let of_fraction = || {
        let text = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        format!("{:.0}", text.floor()).parse().ok()
    };
    value.as_u64().or_else(of_fraction)
}
