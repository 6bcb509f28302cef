//! `providers`: the pool, one entry for one account at one address.

use std::fmt;

use http::{HeaderMap, HeaderValue, Uri};
use secrecy::{ExposeSecret, SecretString};

use super::nearest::{either, suggestion};
use super::problem::Wrong;
use super::reader::{Fields, Value};
use super::secrets::{self, Origin, Secret};
use super::settings::{Bounds, TimeoutsSection, header_name};
use super::{address, attempts, quantity};
use crate::domain::{ProviderId, Vendor};
use crate::pool::{ConcurrencyRule, Timeouts};
use crate::protocol::vendor::Preset;

/// An entry of the pool: one account at one address.
#[derive(Clone)]
pub struct Provider {
    /// Its name, unique in the pool.
    pub id: ProviderId,
    /// Who is behind it: the preset's name, else the protocol's.
    pub vendor: Vendor,
    /// The row of the vendor, or of the protocol.
    pub preset: &'static Preset,
    /// Its base address; the path has no slash at its end, but for a path that is nothing else.
    pub base_url: Uri,
    /// Its key; none: it is asked without one.
    pub api_key: Option<SecretString>,
    /// Where the key was found.
    pub key_origin: Option<Origin>,
    /// Headers that every request to it carries, marked as sensitive.
    pub headers: HeaderMap,
    /// The bounds on one request to it.
    pub timeouts: Timeouts,
    /// The HTTP proxy on the way to it; none: it is asked directly.
    pub proxy: Option<Uri>,
    /// Whether it is asked over HTTP/2, on connections that calls share. Default: over HTTP/1.1, each on its own.
    pub http2: bool,
    /// The bound on attempts in flight at each of its models. Default: none, not adaptive.
    pub concurrency: ConcurrencyRule,
}

impl Provider {
    /// Whether its certificate has to be believed.
    pub fn is_over_tls(&self) -> bool {
        self.base_url.scheme() == Some(&http::uri::Scheme::HTTPS)
    }

    /// An entry that no file describes: the vendor's own address, no headers.
    pub(super) fn of(preset: &'static Preset, base_url: Uri, key: Option<Secret>, timeouts: Timeouts) -> Self {
        let (api_key, key_origin) = key.map_or((None, None), |key| (Some(key.value), Some(key.origin)));
        Self {
            id: ProviderId::new(preset.name),
            vendor: Vendor::new(preset.name),
            preset,
            base_url,
            api_key,
            key_origin,
            headers: HeaderMap::new(),
            timeouts,
            proxy: None,
            http2: false,
            concurrency: ConcurrencyRule::default(),
        }
    }

    /// The name of the protocol that it speaks.
    pub fn protocol(&self) -> &'static str {
        (self.preset.protocol)().name()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the proxy, whose address may hold a password, nor the headers.
        f.debug_struct("Provider")
            .field("id", &self.id)
            .field("vendor", &self.vendor)
            .field("base_url", &self.base_url)
            .field("key_origin", &self.key_origin)
            .field("timeouts", &self.timeouts)
            .field("http2", &self.http2)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// What was read of the list: the ids of all entries, and those entries in which nothing is missing.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) ids: Vec<String>,
    pub(super) providers: Vec<Provider>,
}

impl Pool {
    /// Reads the list.
    pub(super) fn read(list: &Value<'_>, bounds: &Bounds) -> Self {
        let mut pool = Self::default();
        for item in list.items() {
            let mut fields = item.fields();
            let id = fields.require("id").and_then(|id| unique_id(&id, &pool.ids));
            pool.ids.extend(id.clone());
            let provider = read_provider(&mut fields, id, bounds);
            fields.finish(&["models"]);
            pool.providers.extend(provider);
        }
        pool
    }
}

/// Reads an id that none of `others` has; otherwise notes what is wrong.
pub(super) fn unique_id(value: &Value<'_>, others: &[String]) -> Option<String> {
    let id = value.parse(|text| {
        let mut chars = text.chars();
        let first = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
        match first && rest {
            true => Ok(text.to_owned()),
            false => Err(Wrong::new(
                format!("`{text}` is no name"),
                "a name has lower-case letters, digits, `.`, `_` and `-`, and begins with a letter or a digit",
            )),
        }
    })?;
    if others.contains(&id) {
        value.wrong(Wrong::new(format!("`{id}` stands here a second time"), "give each entry a name of its own"));
    }
    Some(id)
}

fn read_provider(fields: &mut Fields<'_>, id: Option<String>, bounds: &Bounds) -> Option<Provider> {
    fields.refuse(
        "models",
        Wrong::new("does not stand here", "write the top-level `models`, or ask for `provider/model`"),
    );
    let preset = preset(fields);
    let given_url = fields.take("base_url");
    let url = match (&given_url, preset) {
        (Some(value), _) => value.parse(address::base_url),
        (None, Some(preset)) => own_url(fields, preset),
        (None, None) => None,
    };
    let given_key = fields.take("api_key");
    let key = match (given_key, preset) {
        (Some(value), _) => Secret::read(&value),
        // A vendor's key from the environment goes to the vendor's own address and nowhere else.
        (None, Some(preset)) if is_own(url.as_ref(), preset) => own_key(fields, preset),
        (None, _) => None,
    };
    let headers = fields.take("headers").map(|value| headers(&value)).unwrap_or_default();
    let timeouts = TimeoutsSection::read_own(fields).over(bounds.timeouts, bounds);
    let proxy = fields.take("proxy").and_then(|value| value.parse(address::proxy));
    let http2 = http2(fields, proxy.is_some());
    let concurrency = attempts::concurrency(fields);
    let (preset, base_url) = (preset?, url?);
    check_key(fields, preset, &headers, key.as_ref());
    if let Some(value) = given_url.filter(|_| key.is_some() && is_open(&base_url)) {
        value.doubtful("the key is sent over plain http to a host that is not private", "write `https`");
    }
    if base_url.scheme_str() == Some("simulator") {
        fields.section().doubtful("is the built-in simulator: its answers are made up", "");
    }
    let (api_key, key_origin) = key.map_or((None, None), |key| (Some(key.value), Some(key.origin)));
    let (id, vendor) = (ProviderId::new(id?), Vendor::new(preset.name));
    Some(Provider { id, vendor, preset, base_url, api_key, key_origin, headers, timeouts, proxy, http2, concurrency })
}

/// The row that `protocol` or `preset` names.
fn preset(fields: &mut Fields<'_>) -> Option<&'static Preset> {
    let (protocol, preset) = (fields.take("protocol"), fields.take("preset"));
    let sources = fields.section().context().sources;
    match (protocol, preset) {
        (None, None) => {
            let protocols = either(sources.protocols().map(|row| row.name));
            let right = format!("write `protocol` ({protocols}) or the `preset` of a known vendor");
            fields.section().wrong(Wrong::new("lacks `protocol` or `preset`", right));
            None
        }
        (Some(_), Some(preset)) => {
            preset
                .wrong(Wrong::new("does not stand beside `protocol`", "write one of them: a preset has its protocol"));
            None
        }
        (Some(protocol), None) => protocol.parse(|name| {
            let mut protocols = sources.protocols();
            if let Some(row) = protocols.clone().find(|row| row.name == name) {
                return Ok(row);
            }
            let right = match sources.preset(name) {
                Some(_) => format!("it is a vendor: write `preset: {name}`"),
                None => suggestion(name, protocols.by_ref().map(|row| row.name).collect::<Vec<_>>()),
            };
            Err(Wrong::new(format!("`{name}` is no protocol that is known here"), right))
        }),
        (None, Some(preset)) => preset.parse(|name| {
            let names: Vec<&str> = sources.presets.iter().map(|row| row.name).collect();
            sources
                .preset(name)
                .ok_or_else(|| Wrong::new(format!("`{name}` is no preset that is known here"), suggestion(name, names)))
        }),
    }
}

/// Whether it is asked over HTTP/2.
fn http2(fields: &mut Fields<'_>, has_proxy: bool) -> bool {
    let Some(value) = fields.take("http2") else { return false };
    let http2 = value.parse(quantity::truth).unwrap_or_default();
    if http2 && has_proxy {
        value.wrong(Wrong::new(
            "does not go with `proxy`: through it each call has a connection of its own",
            "leave out one of them",
        ));
    }
    http2
}

fn own_url(fields: &Fields<'_>, preset: &Preset) -> Option<Uri> {
    let Some(url) = preset.base_url else {
        let rule = format!("lacks `base_url`: each account of `{}` has its own", preset.name);
        fields.section().wrong(Wrong::new(rule, "write the address as the vendor's own SDK takes it"));
        return None;
    };
    fields.section().keep(address::base_url(url))
}

/// Whether `url` is where the vendor's key belongs.
fn is_own(url: Option<&Uri>, preset: &Preset) -> bool {
    let Some(own) = preset.base_url.and_then(|own| own.parse::<Uri>().ok()) else { return true };
    url.is_some_and(|url| url.host() == own.host())
}

fn own_key(fields: &Fields<'_>, preset: &Preset) -> Option<Secret> {
    let variable = preset.key_variable?;
    let Some(key) = fields.section().context().sources.filled(variable) else {
        let rule = format!("lacks a key: `api_key` is left out and the environment variable {variable} is not set");
        let right = format!("set {variable}, or write `api_key: ${{NAME}}` or `api_key: file:/path`");
        fields.section().wrong(Wrong::new(rule, right));
        return None;
    };
    fields.section().keep(Secret::from_variable(variable, &key))
}

fn is_open(url: &Uri) -> bool {
    url.scheme_str() == Some("http") && !address::is_private(url)
}

/// A key must fit its header, and nothing else may fill that header.
fn check_key(fields: &Fields<'_>, preset: &Preset, headers: &HeaderMap, key: Option<&Secret>) {
    let Some(key) = key else { return };
    let header = preset.auth.header;
    if headers.contains_key(header) {
        let rule = format!("has the header `{header}` and a key that goes into the same header");
        fields.section().wrong(Wrong::new(rule, "leave one of them out"));
    }
    if HeaderValue::from_str(key.value.expose_secret()).is_err() {
        fields.section().wrong(Wrong::new("has a key that no header can carry", ""));
    }
}

fn headers(value: &Value<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in value.entries() {
        let name = value.keep(header_name(name));
        let Some(text) = secrets::text(&value) else { continue };
        let Ok(mut text) = HeaderValue::from_str(text.expose_secret()) else {
            value.wrong(Wrong::new("has line breaks or characters that no header can carry", ""));
            continue;
        };
        text.set_sensitive(true);
        if let Some(name) = name {
            headers.insert(name, text);
        }
    }
    headers
}
