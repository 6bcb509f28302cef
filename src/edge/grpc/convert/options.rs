//! What only one vendor knows: checked as far as a server can that does not know it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use http::{HeaderName, HeaderValue};

use super::json;
use super::violations::{Path, Violations};
use crate::domain::{ProviderOptions, Vendor, VendorJson};
use crate::edge::twice::{Shape, twice};
use crate::proto;
use crate::protocol::OWNED_KEYS;

/// The longest name of a vendor, in bytes.
const MAX_VENDOR_BYTES: usize = 64;

/// What the configuration says about requests.
#[derive(Clone, Debug, Default)]
pub struct RequestRules {
    /// HTTP headers that a caller may set for a provider, lower case. Default: none.
    pub allowed_headers: BTreeSet<String>,
}

/// Options of the whole request, by vendor.
pub(super) fn of_request(
    options: HashMap<String, proto::ProviderOptions>,
    rules: &RequestRules,
    found: &mut Violations,
) -> BTreeMap<Vendor, ProviderOptions> {
    let mut checked = BTreeMap::new();
    for (name, options) in sorted(options) {
        let root = Path::ROOT;
        let path = root.entry("provider_options", &name);
        let vendor = vendor(&name, &path, found);
        let body = body(&options.body_json, &path.field("body_json"), found);
        let headers = headers(options.headers, rules, &path, found);
        if let Some(vendor) = vendor {
            checked.insert(vendor, ProviderOptions { body, headers });
        }
    }
    checked
}

/// Options of a block or a tool, by vendor.
pub(super) fn of_part(options: HashMap<String, String>, path: &Path<'_>, found: &mut Violations) -> VendorJson {
    let mut checked = VendorJson::new();
    for (name, text) in sorted(options) {
        let path = path.entry("provider_options", &name);
        let vendor = vendor(&name, &path, found);
        let text = json::object(text, &path, found);
        if let (Some(vendor), Some(text)) = (vendor, text) {
            checked.insert(vendor, text);
        }
    }
    checked
}

/// A vendor's name. Whether it is one that this server knows is not asked: options for others do no harm.
pub(super) fn vendor(name: &str, path: &Path<'_>, found: &mut Violations) -> Option<Vendor> {
    let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-.".contains(&c);
    let right = !name.is_empty() && name.len() <= MAX_VENDOR_BYTES && name.bytes().all(is_word);
    found.check(right, path, "must be of a vendor: lower case letters, digits, `_`, `-` and `.`, at most 64");
    right.then(|| Vendor::new(name))
}

fn body(text: &str, path: &Path<'_>, found: &mut Violations) -> serde_json::Map<String, serde_json::Value> {
    if text.is_empty() {
        return serde_json::Map::new();
    }
    match serde_json::from_str::<serde_json::Map<_, _>>(text) {
        Ok(body) => {
            // Which key it is may be the caller's secret.
            found.check(twice(text.as_bytes(), Shape::Any).is_none(), path, "must have each key of an object once");
            for key in OWNED_KEYS.iter().filter(|key| body.contains_key(**key)) {
                found.report(path, format!("must not have the key `{key}`, which this server sets"));
            }
            body
        }
        Err(error) => {
            found.report(path, json::rule(&error));
            serde_json::Map::new()
        }
    }
}

fn headers(
    headers: HashMap<String, String>,
    rules: &RequestRules,
    path: &Path<'_>,
    found: &mut Violations,
) -> BTreeMap<String, String> {
    let mut checked = BTreeMap::new();
    for (name, value) in sorted(headers) {
        let path = path.entry("headers", &name);
        let lower = name.to_ascii_lowercase();
        let allowed = rules.allowed_headers.contains(&lower) && HeaderName::try_from(&lower).is_ok();
        found.check(allowed, &path, "must be a header that this server's configuration allows");
        found.check(HeaderValue::try_from(&value).is_ok(), &path, "must be the text of an HTTP header");
        if checked.insert(lower, value).is_some() {
            found.report(&path, "must be there once; upper and lower case are the same");
        }
    }
    checked
}

/// In the order of the keys, so that the same request always breaks the same rules.
fn sorted<V>(map: HashMap<String, V>) -> BTreeMap<String, V> {
    map.into_iter().collect()
}
