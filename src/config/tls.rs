//! `tls` and `admin_tls`: what a listener shows of itself, and what it asks of its clients. The files are read and checked,
//! so that what cannot be used is told before a port opens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Wrong;
use super::quantity::some_duration;
use super::reader::{Fields, Value};
use super::{Config, ListenAddress};
use crate::callers::Entry;
use crate::tls::{ClientCertificates, Clients, Fault, Files, Part, Settings};

/// The default of `reload_interval`. Kubernetes takes a minute to show a secret that has changed.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Reads `key`; `config` is the file in which it stands, beside which a relative path begins.
pub(super) fn tls(file: &mut Fields<'_>, key: &'static str, config: &Path, listen: &ListenAddress) -> Option<Settings> {
    let value = file.take(key)?;
    let settings = section(&value, config);
    if settings.is_some() && matches!(listen, ListenAddress::Unix(_)) {
        value.doubtful("is not used: what goes through a socket in the file system stays in plain text", "");
    }
    settings
}

fn section(value: &Value<'_>, config: &Path) -> Option<Settings> {
    let mut fields = value.fields();
    let beside = |path: &str| Ok(config.parent().unwrap_or(Path::new("")).join(path));
    let path = |value: &Option<Value<'_>>| value.as_ref().and_then(|value| value.parse(beside));
    let (certificate, key) = (fields.require("certificate"), fields.require("key"));
    let client_ca = fields.take("client_ca");
    let clients = clients(&mut fields, &client_ca, path(&client_ca));
    let reload_interval = fields.read("reload_interval", RELOAD_INTERVAL, some_duration);
    fields.finish(&[]);
    let files = Files { certificate: path(&certificate)?, key: path(&key)?, clients };
    if let Err(Fault { part, rule }) = files.check() {
        let place = match part {
            Part::Certificate => certificate,
            Part::Key => key,
            Part::ClientCa => client_ca,
        };
        place.as_ref().unwrap_or(value).wrong(Wrong::new(rule, ""));
    }
    Some(Settings { files, reload_interval })
}

fn clients(fields: &mut Fields<'_>, client_ca: &Option<Value<'_>>, ca: Option<PathBuf>) -> Option<Clients> {
    let written = fields.take("client_certificates");
    if let (Some(value), None) = (&written, client_ca) {
        value.wrong(Wrong::new("asks for certificates, and no `client_ca` says whose count", "write `client_ca`"));
    }
    let certificates = written.and_then(|value| value.parse(client_certificates)).unwrap_or_default();
    Some(Clients { ca: ca?, certificates })
}

fn client_certificates(text: &str) -> Result<ClientCertificates, Wrong> {
    match text {
        "required" => Ok(ClientCertificates::Required),
        "optional" => Ok(ClientCertificates::Optional),
        _ => Err(Wrong::new(format!("`{text}` says nothing about certificates"), "`required` or `optional`")),
    }
}

/// What is doubtful about who is told by what, and where.
pub(super) fn doubts(config: &Config) -> Vec<(String, &'static str)> {
    let mut doubts = Vec::new();
    let callers: Vec<&Entry> = config.admitted.entries().collect();
    let shown = match callers.iter().any(|entry| !entry.keys.is_empty()) {
        true => Some("keys"),
        false => (!config.admitted.issuers.is_empty()).then_some("tokens"),
    };
    if let (false, None, Some(shown)) = (config.listen.is_loopback(), &config.tls, shown) {
        let rule = format!("`listen` is {}, which others reach, and {shown} go there in plain text", config.listen);
        doubts.push((rule, "write `tls`, unless a mesh or a proxy before it encrypts"));
    }
    let asks = [&config.tls, &config.admin_tls].into_iter().flatten().any(|settings| settings.files.clients.is_some());
    let unseen =
        callers.iter().find(|entry| entry.keys.is_empty() && entry.tokens.is_empty() && !entry.certificates.is_empty());
    if let (false, Some(entry)) = (asks, unseen) {
        let rule =
            format!("`{}` is told by its certificate alone, and no listener asks for one", entry.caller.name.as_str());
        doubts.push((rule, "write `tls` with `client_ca`"));
    }
    doubts.extend(of_operators(config));
    doubts
}

/// The same where operators come in. On this machine nobody is asked there.
fn of_operators(config: &Config) -> Vec<(String, &'static str)> {
    let Config { admin_listen, admin_tls, admitted, .. } = config;
    if admin_listen.is_loopback() {
        return Vec::new();
    }
    let mut doubts = Vec::new();
    let admins: Vec<&Entry> = admitted.entries().filter(|entry| entry.caller.is_admin).collect();
    let by_token = admitted.issuers.iter().flat_map(|issuer| &issuer.templates).any(|template| template.is_admin);
    if admins.is_empty() && !by_token {
        let rule = format!(
            "`admin_listen` is {admin_listen}, which others reach, and no caller in `callers_dir` is an admin yet"
        );
        doubts.push((rule, "write `admin: true` at one of them: until then nobody may administer the server"));
    }
    let shown = match admins.iter().any(|entry| !entry.keys.is_empty()) {
        true => Some("keys"),
        false => (by_token || admins.iter().any(|entry| !entry.tokens.is_empty())).then_some("tokens"),
    };
    if let (None, Some(shown)) = (admin_tls, shown) {
        let rule = format!(
            "`admin_listen` is {admin_listen}, which others reach, and {shown} of admins go there in plain text"
        );
        doubts.push((rule, "write `admin_tls`, or let it listen on this machine or a Unix socket, unless a mesh or a proxy before it encrypts"));
    }
    let asks = admin_tls.as_ref().is_some_and(|settings| settings.files.clients.is_some());
    if let (false, None, false) = (admins.is_empty(), shown, asks) {
        let rule = "all admins are told by certificates alone, and `admin_listen` asks for none".to_owned();
        doubts.push((rule, "write `admin_tls` with `client_ca`: until then nobody may administer the server"));
    }
    doubts
}
