//! What differs between two configurations, by name: what a reload says that it has changed.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::callers::{Caller, Entry};
use crate::config::{Admitted, Config, Provider};
use crate::edge::{CallersNow, Changes, Reloaded};

/// The most callers that are named of each kind: there may be very many.
const MAX_NAMED: usize = 10;

/// What differs between `before` and `after`, but for what takes effect at a restart.
pub(super) fn changed(before: &Config, after: &Config) -> Reloaded {
    Reloaded {
        providers: changes(&before.providers, &after.providers, |entry| entry.id.as_str(), is_same_provider),
        models: changes(&before.models, &after.models, |model| model.id.as_str(), PartialEq::eq),
        issuers: changes(
            &before.admitted.issuers,
            &after.admitted.issuers,
            |issuer| issuer.name.as_str(),
            PartialEq::eq,
        ),
        callers: callers(&before.admitted, &after.admitted),
        settings: before.taken_over(after).into_iter().map(str::to_owned).collect(),
        ..Reloaded::default()
    }
}

/// Who may call, and which of them differ.
pub(super) fn callers(before: &Admitted, after: &Admitted) -> CallersNow {
    fn by_name(admitted: &Admitted) -> BTreeMap<&str, &Entry> {
        admitted.entries().map(|entry| (entry.caller.name.as_str(), entry)).collect()
    }
    let (before, after) = (by_name(before), by_name(after));
    let mut omitted = 0;
    let mut few = |names: Vec<&str>| {
        omitted += names.len().saturating_sub(MAX_NAMED);
        names.into_iter().take(MAX_NAMED).map(str::to_owned).collect()
    };
    let is_new = |name: &&&str| !before.contains_key(**name);
    let is_gone = |name: &&&str| !after.contains_key(**name);
    let differs =
        |(name, entry): &(&&str, &&Entry)| before.get(**name).is_some_and(|other| !is_same_entry(entry, other));
    let changes = Changes {
        added: few(after.keys().filter(is_new).copied().collect()),
        removed: few(before.keys().filter(is_gone).copied().collect()),
        changed: few(after.iter().filter(differs).map(|(name, _)| *name).collect()),
    };
    CallersNow { in_force: after.len(), changes, omitted }
}

/// What is missed by those who may call, or administer, when nobody of them is left.
pub(super) fn lost(before: &Admitted, after: &Admitted) -> Vec<String> {
    let mut lost = Vec::new();
    let in_dir = |admitted: &Admitted| admitted.dir.as_ref().map(|dir| !dir.callers.is_empty());
    if let (Some(true), Some(false), Some(dir)) = (in_dir(before), in_dir(after), &after.dir) {
        let path = dir.path.display();
        lost.push(format!("callers_dir: {path} has lost its last caller; who stood there may not call any more"));
    }
    if has_admin(before) && !has_admin(after) {
        lost.push(
            "callers: the last admin is gone; where others reach `admin_listen`, nobody may administer the server until \
             somebody has `admin: true`"
                .to_owned(),
        );
    }
    lost
}

fn has_admin(admitted: &Admitted) -> bool {
    let mut rules = admitted.issuers.iter().flat_map(|issuer| &issuer.templates);
    admitted.entries().any(|entry| entry.caller.is_admin) || rules.any(|rule| rule.is_admin)
}

/// What differs between two lists whose entries have names.
fn changes<T>(before: &[T], after: &[T], name: fn(&T) -> &str, is_same: fn(&T, &T) -> bool) -> Changes {
    let names = |list: &[T], which: &dyn Fn(&T) -> bool| {
        list.iter().filter(|entry| which(entry)).map(|entry| name(entry).to_owned()).collect()
    };
    let is_in = |list: &[T], entry: &T| list.iter().any(|other| name(other) == name(entry));
    let differs = |entry: &T| before.iter().any(|other| name(other) == name(entry) && !is_same(other, entry));
    Changes {
        added: names(after, &|entry| !is_in(before, entry)),
        removed: names(before, &|entry| !is_in(after, entry)),
        changed: names(after, &differs),
    }
}

/// Whether calls notice no difference.
fn is_same_provider(one: &Provider, other: &Provider) -> bool {
    // Taken apart without a rest, so that a key that is new does not compile before it is decided about.
    let Provider {
        id,
        vendor,
        preset: _,
        base_url,
        api_key,
        key_origin: _,
        headers,
        timeouts,
        proxy,
        http2,
        concurrency,
    } = one;
    let secret = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
    (id, vendor, base_url, headers, timeouts, proxy, http2, concurrency)
        == (
            &other.id,
            &other.vendor,
            &other.base_url,
            &other.headers,
            &other.timeouts,
            &other.proxy,
            &other.http2,
            &other.concurrency,
        )
        && secret(api_key) == secret(&other.api_key)
}

/// Whether the caller is told by the same, and may do the same.
fn is_same_entry(one: &Entry, other: &Entry) -> bool {
    // As above: what is new does not compile before it is decided about.
    let Entry { caller, keys, certificates, tokens } = one;
    let Caller { name, models, labels, is_admin, view, allowance, in_flight: _ } = caller;
    let their = &other.caller;
    let are_same_keys =
        keys.len() == other.keys.len() && keys.iter().zip(&other.keys).all(|(one, other)| one.is(other));
    are_same_keys
        && (certificates, tokens) == (&other.certificates, &other.tokens)
        && (name, models, labels, is_admin, view, allowance)
            == (&their.name, &their.models, &their.labels, &their.is_admin, &their.view, &their.allowance)
}

/// What differs, as a piece of a log line.
pub(super) struct Listed<'a>(pub(super) &'a Changes, pub(super) usize);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Changes { added, removed, changed }, omitted) = self;
        let signed = [('+', added), ('-', removed), ('~', changed)];
        let names = signed.into_iter().flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")));
        f.write_str(&names.collect::<Vec<_>>().join(" "))?;
        if *omitted > 0 { write!(f, " and {omitted} more") } else { Ok(()) }
    }
}
