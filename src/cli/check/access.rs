//! Who may call under a configuration, told by what, and how listeners protect what goes through them. Neither keys nor
//! their hashes are shown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{PLACE, QUIET, line};
use crate::callers::{Allowance, Entry, IssuerSettings, KeysAt, Models, Template};
use crate::config::{Config, Origins, show_duration};
use crate::tls::{ClientCertificates, Settings};

/// Who may call.
#[derive(Debug, Serialize)]
pub(super) struct PlannedAccess {
    /// Whether who shows no credentials may call.
    anonymous: bool,
    callers: Vec<PlannedCaller>,
    /// Where some of them stand in files of their own.
    callers_dir: Option<String>,
    /// Whose tokens tell callers.
    issuers: Vec<PlannedIssuer>,
    /// What `listen` shows and asks for; none: plain text.
    tls: Option<PlannedTls>,
    /// The same of `admin_listen`.
    admin_tls: Option<PlannedTls>,
    /// Whether operators are asked who they are: on this machine nobody is.
    admin_credentials: bool,
    /// The origins whose pages may call; `*`: all.
    web_origins: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PlannedCaller {
    name: String,
    /// How many keys it has.
    keys: usize,
    certificates: Vec<String>,
    /// What the tokens of issuers call it.
    tokens: Vec<String>,
    /// The patterns of names that it may ask for; none: all.
    models: Option<Vec<String>>,
    admin: bool,
    limits: PlannedAllowance,
}

#[derive(Debug, Serialize)]
struct PlannedIssuer {
    name: String,
    issuer: String,
    audiences: Vec<String>,
    /// Where its keys come from.
    jwks: String,
    /// The claim that names a caller.
    caller_claim: String,
    /// The claim that narrows what may be asked for.
    models_claim: Option<String>,
    /// What callers may do who have no entry of their own; the first that fits counts. None: they may not call.
    callers: Vec<PlannedRule>,
}

/// What tokens with these claims may do.
#[derive(Debug, Serialize)]
struct PlannedRule {
    /// Empty: each token.
    claims: BTreeMap<String, String>,
    models: Option<Vec<String>>,
    admin: bool,
    limits: PlannedAllowance,
}

#[derive(Debug, Serialize)]
struct PlannedAllowance {
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    in_flight: Option<u64>,
    /// In US dollars.
    spend_per_day: Option<String>,
}

#[derive(Debug, Serialize)]
struct PlannedTls {
    certificate: String,
    /// Whose certificates of clients count; none: they are not asked for any.
    client_ca: Option<String>,
    client_certificates_required: bool,
    reload_interval: String,
}

impl PlannedAccess {
    pub(super) fn of(config: &Config) -> Self {
        let admitted = &config.admitted;
        Self {
            anonymous: admitted.anonymous || admitted.is_open(),
            callers: admitted.entries().map(PlannedCaller::of).collect(),
            callers_dir: admitted.dir.as_ref().map(|dir| dir.path.display().to_string()),
            issuers: admitted.issuers.iter().map(PlannedIssuer::of).collect(),
            tls: config.tls.as_ref().map(PlannedTls::of),
            admin_tls: config.admin_tls.as_ref().map(PlannedTls::of),
            admin_credentials: !config.admin_listen.is_loopback(),
            web_origins: match &config.web.origins {
                Origins::Any => vec!["*".to_owned()],
                Origins::Listed(listed) => {
                    listed.iter().map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned()).collect()
                }
            },
        }
    }

    /// What a listener of callers, of operators and of probes protects, in words.
    pub(super) fn protection(&self) -> [String; 3] {
        let [callers, operators, probes] = [self.tls.as_ref(), self.admin_tls.as_ref(), None]
            .map(|tls| tls.map_or_else(|| "plain text".to_owned(), PlannedTls::show));
        let asked = match self.admin_credentials {
            true => "callers who are admins",
            false => "who is on this machine is not asked for credentials",
        };
        [callers, format!("{operators}; {asked}"), probes]
    }

    fn is_open(&self) -> bool {
        self.callers.is_empty() && self.issuers.is_empty() && self.callers_dir.is_none()
    }

    pub(super) fn write(&self, text: &mut String) {
        line(text, format_args!("\ncallers"));
        for caller in &self.callers {
            caller.write(text);
        }
        for issuer in &self.issuers {
            issuer.write(text);
        }
        if let Some(dir) = &self.callers_dir {
            line(text, format_args!("  {QUIET}and whoever is put into {dir}{QUIET:#}"));
        }
        match (self.is_open(), self.anonymous) {
            (true, _) => line(text, format_args!("  whoever reaches the listener; no credentials are looked at")),
            (false, true) => line(text, format_args!("  whoever shows no credentials, without limits of its own")),
            (false, false) => {}
        }
        match self.web_origins.as_slice() {
            [] => line(text, format_args!("  {QUIET}no page of a browser: `web.origins` lists none{QUIET:#}")),
            [any] if any == "*" => line(text, format_args!("  {QUIET}from any page of a browser{QUIET:#}")),
            origins => line(text, format_args!("  {QUIET}from pages of {}{QUIET:#}", origins.join(", "))),
        }
    }
}

impl PlannedCaller {
    fn of(Entry { caller, keys, certificates, tokens }: &Entry) -> Self {
        Self {
            name: caller.name.as_str().to_owned(),
            keys: keys.len(),
            certificates: certificates.clone(),
            tokens: tokens.iter().map(|(issuer, name)| format!("{issuer}:{name}")).collect(),
            models: patterns(&caller.models),
            admin: caller.is_admin,
            limits: PlannedAllowance::of(&caller.allowance),
        }
    }

    fn write(&self, text: &mut String) {
        let mut told_by = Vec::new();
        match self.keys {
            0 => {}
            1 => told_by.push("a key".to_owned()),
            keys => told_by.push(format!("{keys} keys")),
        }
        told_by.extend(self.certificates.iter().map(|name| format!("the certificate of {name}")));
        told_by.extend(self.tokens.iter().map(|name| format!("tokens of {name}")));
        let role = if self.admin { ", administers the server" } else { "" };
        line(text, format_args!("  {PLACE}{}{PLACE:#}  told by {}{role}", self.name, told_by.join(" or ")));
        line(text, format_args!("    {QUIET}{}; {}{QUIET:#}", shown(self.models.as_deref()), self.limits.show()));
    }
}

impl PlannedIssuer {
    fn of(settings: &IssuerSettings) -> Self {
        Self {
            name: settings.name.clone(),
            issuer: settings.issuer.clone(),
            audiences: settings.audiences.clone(),
            jwks: match &settings.keys.at {
                KeysAt::Url(url) => url.clone(),
                KeysAt::File(path) => path.display().to_string(),
            },
            caller_claim: settings.caller_claim.as_str().to_owned(),
            models_claim: settings.models_claim.as_ref().map(|claim| claim.as_str().to_owned()),
            callers: settings.templates.iter().map(PlannedRule::of).collect(),
        }
    }

    fn write(&self, text: &mut String) {
        let Self { name, issuer, audiences, jwks, caller_claim, models_claim, callers } = self;
        let audiences = audiences.join(", ");
        line(
            text,
            format_args!("  {PLACE}{name}:*{PLACE:#}  told by tokens of {issuer} for {audiences}, keys from {jwks}"),
        );
        line(text, format_args!("    {QUIET}named by the claim {caller_claim}{QUIET:#}"));
        for rule in callers {
            rule.write(text);
        }
        if callers.is_empty() {
            line(text, format_args!("    {QUIET}only those whose `tokens` stand at a caller{QUIET:#}"));
        }
        if let Some(claim) = models_claim {
            line(text, format_args!("    {QUIET}and of the models only those that the claim {claim} names{QUIET:#}"));
        }
    }
}

impl PlannedRule {
    fn of(template: &Template) -> Self {
        let claims = template.claims.iter().map(|(claim, wanted)| (claim.as_str().to_owned(), wanted.clone()));
        Self {
            claims: claims.collect(),
            models: patterns(&template.models),
            admin: template.is_admin,
            limits: PlannedAllowance::of(&template.allowance),
        }
    }

    fn write(&self, text: &mut String) {
        let claims: Vec<String> = self.claims.iter().map(|(claim, wanted)| format!("{claim}: {wanted}")).collect();
        let whose = if claims.is_empty() { "each token".to_owned() } else { format!("with {}", claims.join(", ")) };
        let role = if self.admin { ", administers the server" } else { "" };
        let (models, limits) = (shown(self.models.as_deref()), self.limits.show());
        line(text, format_args!("    {whose}{role}: {QUIET}{models}; {limits}{QUIET:#}"));
    }
}

/// The patterns of names that may be asked for; none: all names.
fn patterns(models: &Models) -> Option<Vec<String>> {
    match models {
        Models::All => None,
        Models::Only(patterns) => Some(patterns.iter().map(ToString::to_string).collect()),
        // Only tokens narrow what is laid down, and they are not here yet.
        Models::Both(_) => Some(Vec::new()),
    }
}

fn shown(patterns: Option<&[String]>) -> String {
    match patterns {
        None => "all models".to_owned(),
        Some([]) => "no model".to_owned(),
        Some(patterns) => format!("models {}", patterns.join(", ")),
    }
}

impl PlannedAllowance {
    fn of(allowance: &Allowance) -> Self {
        let Allowance { requests_per_minute, tokens_per_minute, spend_per_day, in_flight } = *allowance;
        let spend_per_day = spend_per_day.map(|amount| amount.to_string());
        Self { requests_per_minute, tokens_per_minute, in_flight, spend_per_day }
    }

    fn show(&self) -> String {
        let Self { requests_per_minute, tokens_per_minute, in_flight, spend_per_day } = self;
        let counted = [
            (requests_per_minute, "requests a minute"),
            (tokens_per_minute, "tokens a minute"),
            (in_flight, "calls at a time"),
        ];
        let mut bounds: Vec<String> =
            counted.into_iter().filter_map(|(most, what)| most.map(|most| format!("{most} {what}"))).collect();
        bounds.extend(spend_per_day.iter().map(|usd| format!("{usd} USD a day")));
        if bounds.is_empty() { "no limits of its own".to_owned() } else { format!("at most {}", bounds.join(", ")) }
    }
}

impl PlannedTls {
    fn of(settings: &Settings) -> Self {
        let clients = settings.files.clients.as_ref();
        Self {
            certificate: settings.files.certificate.display().to_string(),
            client_ca: clients.map(|clients| clients.ca.display().to_string()),
            client_certificates_required: clients
                .is_some_and(|clients| clients.certificates == ClientCertificates::Required),
            reload_interval: show_duration(settings.reload_interval),
        }
    }

    fn show(&self) -> String {
        let asked = match (&self.client_ca, self.client_certificates_required) {
            (None, _) => String::new(),
            (Some(ca), true) => format!(", certificates of clients required, by {ca}"),
            (Some(ca), false) => format!(", certificates of clients looked at, by {ca}"),
        };
        format!("TLS with {}{asked}", self.certificate)
    }
}
