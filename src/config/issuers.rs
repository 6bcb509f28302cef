//! `issuers`: whose signed tokens tell callers, where their keys are, and what those callers may do.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::address::is_loopback;
use super::problem::Wrong;
use super::provider::unique_id;
use super::quantity::{self, some_duration};
use super::reader::{Fields, Value};
use super::rights::{MAX_NAME, Rights, few};
use crate::callers::{ClaimName, IssuerSettings, KeysAt, KeysFrom, Template, TokenAlgorithm};

/// The default of `refresh_interval` where keys are fetched, and where they are read from a file.
const REFRESH: Duration = Duration::from_secs(5 * 60);
const REFRESH_FILE: Duration = Duration::from_secs(10);
/// The default of `keep_keys`.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// The default of `leeway`, and the most that it may be.
const LEEWAY: Duration = Duration::from_secs(30);
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);
/// The longest text of a claim's name or value, of an issuer and of an audience, in bytes.
const MAX_TEXT: usize = 1024;

/// Reads the list.
pub(super) fn issuers(list: &Value<'_>) -> Vec<IssuerSettings> {
    let mut issuers: Vec<IssuerSettings> = Vec::new();
    for item in few(list, "issuers") {
        let issuer = issuer(&item, &issuers);
        issuers.extend(issuer);
    }
    issuers
}

fn issuer(item: &Value<'_>, others: &[IssuerSettings]) -> Option<IssuerSettings> {
    let mut fields = item.fields();
    let names: Vec<String> = others.iter().map(|other| other.name.clone()).collect();
    let name = fields.require("name").and_then(|value| {
        let name = unique_id(&value, &names)?;
        value.keep(short(&name, MAX_NAME))
    });
    let issuer = fields.require("issuer").and_then(|value| {
        let issuer = value.parse(|text| short(text, MAX_TEXT))?;
        if others.iter().any(|other| other.issuer == issuer) {
            value.wrong(Wrong::new("is that of another entry", "write each issuer once, with all its `audiences`"));
        }
        Some(issuer)
    });
    let audiences = fields.require("audiences").and_then(|list| audiences(&list));
    let at = fields.require("jwks").and_then(|value| {
        let at = value.parse(keys_at)?;
        if let Err(rule) = at.look() {
            value.doubtful(
                rule,
                "write a set of keys (JWKS) there: until it is there, tokens of this issuer cannot be checked",
            );
        }
        Some(at)
    });
    let refresh = if matches!(at, Some(KeysAt::File(_))) { REFRESH_FILE } else { REFRESH };
    let algorithms = fields.take("algorithms").map(|list| algorithms(&list));
    let leeway = fields.read("leeway", LEEWAY, leeway);
    let caller_claim = fields.read("caller_claim", ClaimName::new("sub"), claim);
    let models_claim = fields.take("models_claim").and_then(|value| value.parse(claim));
    let refresh_interval = fields.read("refresh_interval", refresh, some_duration);
    let keep = fields.read("keep_keys", KEEP, some_duration);
    let templates = fields.take("callers").map(|list| templates(&list)).unwrap_or_default();
    fields.finish(&[]);
    let name = name?;
    let keys = KeysFrom { name: name.clone(), at: at?, refresh_interval, keep };
    let algorithms = algorithms.unwrap_or_else(|| TokenAlgorithm::DEFAULT.to_vec());
    let (issuer, audiences) = (issuer?, audiences?);
    Some(IssuerSettings { name, issuer, audiences, keys, algorithms, leeway, caller_claim, models_claim, templates })
}

fn short(text: &str, most: usize) -> Result<String, Wrong> {
    match text.len() <= most {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(format!("is longer than {most} characters"), "")),
    }
}

fn audiences(list: &Value<'_>) -> Option<Vec<String>> {
    let items = few(list, "audiences");
    if items.is_empty() {
        let right = "write for whom its tokens are, as in `[completiond]`: else those for others would do";
        list.wrong(Wrong::new("names no audience", right));
        return None;
    }
    Some(items.iter().filter_map(|item| item.parse(|text| short(text, MAX_TEXT))).collect())
}

fn keys_at(text: &str) -> Result<KeysAt, Wrong> {
    const RIGHT: &str = "write `https://host/path`, or `file:/path`";
    if let Some(path) = text.strip_prefix("file:") {
        let path = PathBuf::from(path);
        return match path.is_absolute() {
            true => Ok(KeysAt::File(path)),
            false => Err(Wrong::new("is no absolute path", RIGHT)),
        };
    }
    let uri: Uri = text.parse().map_err(|_| Wrong::new("is no address", RIGHT))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Wrong::new("is no address of a host, without a user or a password", RIGHT));
    }
    match uri.scheme_str() {
        Some("https") => Ok(KeysAt::Url(text.to_owned())),
        Some("http") if is_loopback(host) => Ok(KeysAt::Url(text.to_owned())),
        Some("http") => {
            let rule = "is fetched in plain text: whoever is on the way could put keys of its own there";
            Err(Wrong::new(rule, "write `https`; `http` leads to this machine only"))
        }
        Some(_) => Err(Wrong::new("has a scheme that is not known here", RIGHT)),
        None => Err(Wrong::new("is no address", RIGHT)),
    }
}

fn algorithms(list: &Value<'_>) -> Vec<TokenAlgorithm> {
    let items = few(list, "algorithms");
    if items.is_empty() {
        list.wrong(Wrong::new("names no algorithm", "leave it out, or name some"));
    }
    let read = |text: &str| {
        let known = TokenAlgorithm::NAMES.join(", ");
        let rule = match text {
            "none" => "`none` is no signature".to_owned(),
            text if text.starts_with("HS") => format!("by `{text}` who checks a token could sign one"),
            text => format!("`{text}` is no algorithm that is known here"),
        };
        TokenAlgorithm::named(text).ok_or_else(|| Wrong::new(rule, format!("one of {known}")))
    };
    items.iter().filter_map(|item| item.parse(read)).collect()
}

fn leeway(text: &str) -> Result<Duration, Wrong> {
    match quantity::duration(text)? {
        leeway if leeway <= MAX_LEEWAY => Ok(leeway),
        _ => Err(Wrong::new("is longer than 5m", "clocks differ by less")),
    }
}

fn claim(text: &str) -> Result<ClaimName, Wrong> {
    short(text, MAX_TEXT).map(ClaimName::new)
}

fn templates(list: &Value<'_>) -> Vec<Template> {
    let items = few(list, "entries");
    let mut for_all = false;
    let mut templates = Vec::new();
    for item in items {
        if for_all {
            item.wrong(Wrong::new("comes behind an entry that fits each token", "write the one without `claims` last"));
        }
        let mut fields = item.fields();
        let claims = fields.take("claims").map(|map| claims(&map)).unwrap_or_default();
        for_all |= claims.is_empty();
        templates.push(template(&mut fields, claims));
        fields.finish(&[]);
    }
    templates
}

fn template(fields: &mut Fields<'_>, claims: Vec<(ClaimName, String)>) -> Template {
    let Rights { models, labels, is_admin, view, allowance } = Rights::read(fields);
    Template { claims, models, labels, is_admin, view, allowance }
}

fn claims(map: &Value<'_>) -> Vec<(ClaimName, String)> {
    let read = map.entries().into_iter().filter_map(|(name, value)| {
        let name = value.keep(claim(name))?;
        Some((name, value.parse(|text| short(text, MAX_TEXT))?))
    });
    read.collect()
}
