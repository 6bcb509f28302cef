//! The configuration as a whole: each rule broken once, with the message; what is read when nothing is broken; and what
//! the environment alone leads to. The vendors here are made up, so that a new row of the real table breaks nothing.

#![expect(clippy::panic, clippy::too_many_lines, reason = "a case that should not be reached fails; tables are long")]

#[path = "config/attempts.rs"]
mod attempts;
#[path = "config/cache.rs"]
mod cache;
#[path = "config/callers.rs"]
mod callers;
#[path = "config/completions.rs"]
mod completions;
#[path = "config/connections.rs"]
mod connections;
#[path = "config/issuers.rs"]
mod issuers;
#[path = "tls/pki.rs"]
mod pki;
#[path = "config/reload.rs"]
mod reload;
#[path = "config/telemetry.rs"]
mod telemetry;
#[path = "config/tls.rs"]
mod tls;
#[path = "config/usage.rs"]
mod usage;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use completiond::config::{Config, Discovered, Overrides, Problems, Source, Sources};
use completiond::domain::{Allowance, Identity, ModelId};
use completiond::protocol::vendor::{Auth, Preset};
use completiond::protocol::{Exchange, HttpRefusal, Order, Protocol, Unfit, Verdict};
use completiond::route::Retry;
use secrecy::ExposeSecret;

/// A protocol that has a name and nothing else.
#[derive(Debug)]
struct Named(&'static str);

impl Protocol for Named {
    fn name(&self) -> &'static str {
        self.0
    }

    fn encode(&self, _: &Order<'_>) -> Result<Exchange, Unfit> {
        Err(Unfit::Parameters(Vec::new()))
    }

    fn allowance(&self, _: &http::HeaderMap, _: std::time::SystemTime) -> Allowance {
        Allowance::default()
    }

    fn refuse(&self, _: &Identity, _: &HttpRefusal<'_>) -> Verdict {
        Verdict::Failure(completiond::domain::Error::cut_short())
    }
}

const fn row(name: &'static str, base_url: Option<&'static str>, key_variable: Option<&'static str>) -> Preset {
    let first_model = if key_variable.is_some() { Some("first") } else { None };
    let (auth, telemetry_name) = (Auth::BEARER, name);
    Preset { name, protocol: || Arc::new(Named("talk")), base_url, auth, key_variable, first_model, telemetry_name }
}

static PRESETS: [Preset; 6] = [
    row("talk", Some("https://api.talk.example/v1"), Some("TALK_API_KEY")),
    Preset {
        protocol: || Arc::new(Named("letters")),
        ..row("letters", Some("https://letters.example"), Some("LETTERS_API_KEY"))
    },
    row("acme", Some("https://acme.example/talk"), Some("ACME_API_KEY")),
    row("tenant", None, Some("TENANT_API_KEY")),
    row("home", Some("http://127.0.0.1:11434/v1"), None),
    Preset { first_model: Some("simulator"), ..row("simulator", Some("simulator://local"), None) },
];

fn sources(variable: &dyn Fn(&str) -> Option<String>) -> Sources<'_> {
    Sources { variable, presets: &PRESETS }
}

/// The environment of most cases.
fn environment(name: &str) -> Option<String> {
    match name {
        "KEY" | "TALK_API_KEY" => Some(" sk-hidden\n".to_owned()),
        "EMPTY" => Some(String::new()),
        "SPLIT" => Some("sk-hid\nden".to_owned()),
        "TRICK" => Some("file:/etc/hostname".to_owned()),
        "NUMBER" => Some("3".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, Path::new("c.yaml"), &Overrides::default(), &sources(&environment))
}

/// What is wrong with a file, as it is told.
fn told(text: &str) -> String {
    parse(text).err().unwrap_or_else(|| panic!("this is right: {text}")).to_string()
}

/// A file with one provider and `more` below it.
fn with_provider(more: &str) -> String {
    format!("providers: [{{ id: a, preset: home }}]\n{more}")
}

#[test]
fn each_rule_of_the_server_broken_once() {
    let cases = [
        ("lisen: 127.0.0.1:1", "c.yaml:2:1: lisen: is no key that is known here; did you mean `listen`?"),
        (
            "listen: 50051",
            "c.yaml:2:9: listen: is no address; write `host:port`, as in `127.0.0.1:50051`, or `unix:/path`",
        ),
        (
            "listen: :50051",
            "c.yaml:2:9: listen: has no host (`0.0.0.0` is every address of this machine); write `host:port`, as in `127.0.0.1:50051`, or `unix:/path`",
        ),
        (
            "ops_listen: unix:x",
            "c.yaml:2:13: ops_listen: is no absolute path; write `host:port`, as in `127.0.0.1:50051`, or `unix:/path`",
        ),
        (
            "listen: 127.0.0.1:50053",
            "c.yaml:1:1: `listen` and `ops_listen` are both 127.0.0.1:50053; give each listener an address of its own",
        ),
        ("listen:", "c.yaml:2:7: listen: has no value"),
        (
            "price_table: no/such.json",
            "c.yaml:2:14: price_table: the file no/such.json cannot be read: No such file or directory (os error 2)",
        ),
        (
            "price_table: /dev/zero",
            "c.yaml:2:14: price_table: the file /dev/zero is a device; only a regular file, or a link to one, is read here",
        ),
        (
            "price_table: data/models.json",
            "c.yaml:2:14: price_table: the file data/models.json is no price table: line 2: unknown field `date`, expected one of `version`, `currency`, `unit`, `sources`, `vendors`, `models`",
        ),
        ("listen: ''", "c.yaml:2:9: listen: is empty"),
        ("listen: [a]", "c.yaml:2:9: listen: is a list, and must be one value"),
        ("listen: { a: b }", "c.yaml:2:9: listen: is a map, and must be one value"),
        ("listen: ${NADA}", "c.yaml:2:9: listen: the environment variable NADA is not set; set NADA"),
        (
            "listen: ${",
            "c.yaml:2:9: listen: has a `${` that names no variable; write `${NAME}`, and `$${` for the text `${`",
        ),
        (
            "default_model: smart",
            "c.yaml:2:16: default_model: `smart` leads nowhere; write `a/MODEL` with a model of that provider",
        ),
        (
            "default_model: b/x",
            "c.yaml:2:16: default_model: `b/x` leads nowhere; write `a/MODEL` with a model of that provider",
        ),
        (
            "default_model: a/",
            "c.yaml:2:16: default_model: `a/` leads nowhere; write `a/MODEL` with a model of that provider",
        ),
        (
            "timeouts: { conect: 1s }",
            "c.yaml:2:13: timeouts.conect: is no key that is known here; did you mean `connect`?",
        ),
        (
            "timeouts: { connect: 5 }",
            "c.yaml:2:22: timeouts.connect: has no unit; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
        ("timeouts: { idle: 0s }", "c.yaml:2:19: timeouts.idle: must be above 0"),
        ("web: { origin: [] }", "c.yaml:2:8: web.origin: is no key that is known here; did you mean `origins`?"),
        (
            "web: { origins: ['https://app.example/'] }",
            "c.yaml:2:18: web.origins[0]: `https://app.example/` has more than scheme, host and port, or a pattern; write a scheme, a host and a port that is not the scheme's own, as in `https://app.example` or `http://localhost:5173`",
        ),
        (
            "web: { origins: ['*', 'https://app.example'] }",
            "c.yaml:2:18: web.origins[0]: `*` stands for all origins, so nothing stands beside it; write `[\"*\"]` alone",
        ),
        (
            "web: { origins: ['*'] }",
            "c.yaml:2:17: web.origins: `*` lets any page call that anybody opens, and nobody is asked for a key; list the origins, or name who may call (`callers`, `callers_dir` or `issuers`), without `allow_anonymous`",
        ),
        (
            "timeouts: { connect: 40s }",
            "c.yaml:2:11: timeouts: `connect` (40s) is longer than `first_event` (30s); raise `first_event` or lower `connect`",
        ),
        (
            "timeouts: { total: 45s }",
            "c.yaml:2:11: timeouts: `attempt` (1m) is longer than `total` (45s); raise `total` or lower `attempt`",
        ),
        ("timeouts: 5s", "c.yaml:2:11: timeouts: must be a map; write `key: value` lines"),
        ("limits: { max_request_bytes: 0 }", "c.yaml:2:30: limits.max_request_bytes: must be above 0"),
        (
            "limits: { max_request_bytes: 32mb }",
            "c.yaml:2:30: limits.max_request_bytes: has the unknown unit `mb`; a size is a whole number of bytes or with a unit (KiB, MiB, GiB, kB, MB, GB), as in `32MiB`",
        ),
        (
            "limits: { max_request_bytes: 1GiB }",
            "c.yaml:2:9: limits: `max_request_bytes` (1GiB) is larger than `max_bytes_in_flight` (512MiB); raise `max_bytes_in_flight` or lower `max_request_bytes`",
        ),
        (
            "stream: { heartbeat: never }",
            "c.yaml:2:22: stream.heartbeat: is no duration; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
        ("stream: { beat: 1s }", "c.yaml:2:11: stream.beat: is no key that is known here; did you mean `heartbeat`?"),
        (
            "drain_delay: -1s",
            "c.yaml:2:14: drain_delay: is no duration; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
        ("default_max_tokens: 0", "c.yaml:2:21: default_max_tokens: must be above 0"),
        ("default_max_tokens: many", "c.yaml:2:21: default_max_tokens: must be a whole number; 1 to 4294967295"),
        ("workers: 0", "c.yaml:2:10: workers: must be a whole number from 1 to 1024; left out: one per core"),
        ("workers: 4000", "c.yaml:2:10: workers: must be a whole number from 1 to 1024; left out: one per core"),
        (
            "telemetry: { genai_semconv: newest }",
            "c.yaml:2:29: telemetry.genai_semconv: `newest` names no conventions; `latest`, `legacy` or `dup` for both",
        ),
        ("log: { format: xml }", "c.yaml:2:16: log.format: `xml` is no format; `auto`, `json` or `pretty`"),
        (
            "log: { level: loud=very }",
            "c.yaml:2:15: log.level: `loud=very` is no level; `off`, `error`, `warn`, `info`, `debug` or `trace`, or directives as `info,completiond::pool=debug`",
        ),
        (
            "log: { level: verbose }",
            "c.yaml:2:15: log.level: `verbose` is no level; `off`, `error`, `warn`, `info`, `debug` or `trace`, or directives as `info,completiond::pool=debug`",
        ),
        (
            "provider_option_headers: x-beta",
            "c.yaml:2:26: provider_option_headers: must be a list; begin each item with `- `",
        ),
        (
            "provider_option_headers: [X-Beta]",
            "c.yaml:2:27: provider_option_headers[0]: `X-Beta` is not in lower case; write `x-beta`",
        ),
        (
            "provider_option_headers: [x beta]",
            "c.yaml:2:27: provider_option_headers[0]: `x beta` is no name of a header",
        ),
        (
            "provider_option_headers: [host]",
            "c.yaml:2:27: provider_option_headers[0]: the server sets `host` itself; leave it out",
        ),
        (
            "provider_option_headers: [authorization]",
            "c.yaml:2:27: provider_option_headers[0]: `authorization` carries credentials, which callers never set; leave it out",
        ),
        (
            "retry: { max_atempts: 4 }",
            "c.yaml:2:10: retry.max_atempts: is no key that is known here; did you mean `max_attempts`?",
        ),
        (
            "retry: { max_attempts: 0 }",
            "c.yaml:2:24: retry.max_attempts: must be a whole number from 1 to 32; 1: each call makes one request and nothing is tried again",
        ),
        (
            "retry: { max_attempts: 33 }",
            "c.yaml:2:24: retry.max_attempts: must be a whole number from 1 to 32; 1: each call makes one request and nothing is tried again",
        ),
        (
            "retry: { base_delay: 5 }",
            "c.yaml:2:22: retry.base_delay: has no unit; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
        (
            "retry: { max_delay: soon }",
            "c.yaml:2:21: retry.max_delay: is no duration; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
        (
            "retry: { base_delay: 1m }",
            "c.yaml:2:8: retry: `base_delay` (1m) is longer than `max_delay` (30s); raise `max_delay` or lower `base_delay`",
        ),
        ("limits: { max_in_flight: 0 }", "c.yaml:2:26: limits.max_in_flight: must be above 0"),
        (
            "limits: { max_in_flight: 1MiB }",
            "c.yaml:2:26: limits.max_in_flight: must be a whole number; 1 to 4294967295",
        ),
        ("quotas: { day: 1 }", "c.yaml:2:1: quotas: is no key that is known here; known:"),
        (
            "workers: 1\nworkers: 2",
            "c.yaml:3:1: workers: stands here a second time, first in line 2; leave one of them out",
        ),
        (
            "timeouts:\n  idle: 1s\n  idle: 2s",
            "c.yaml:4:3: timeouts.idle: stands here a second time, first in line 3; leave one of them out",
        ),
        (
            "timeouts:\n\tidle: 1s",
            "c.yaml:3:1: a line is indented with a tab; YAML is indented with spaces: replace it",
        ),
    ];
    for (more, expected) in cases {
        let told = told(&with_provider(more));
        assert!(told.starts_with(expected), "{more}\n{told}\n{expected}");
        assert_eq!(told.lines().count(), 1, "{more}: {told}");
        assert!(expected.ends_with("known:") || told == expected, "{more}\n{told}\n{expected}");
    }
}

#[test]
fn each_rule_of_a_provider_broken_once() {
    const KEY: &str = "write `${NAME}` for an environment variable, or `file:/path`";
    let key = |rule: &str| format!("c.yaml:2:27: providers[0].api_key: {rule}");
    let url = |rule: &str| format!("c.yaml:2:28: providers[0].base_url: {rule}");
    let cases = [
        ("preset: home", "c.yaml:2:3: providers[0]: lacks `id`".to_owned()),
        ("id: A, preset: home", "c.yaml:2:9: providers[0].id: `A` is no name; a name has lower-case letters, digits, `.`, `_` and `-`, and begins with a letter or a digit".to_owned()),
        ("id: a/b, preset: home", "c.yaml:2:9: providers[0].id: `a/b` is no name; a name has lower-case letters, digits, `.`, `_` and `-`, and begins with a letter or a digit".to_owned()),
        ("id: a", "c.yaml:2:3: providers[0]: lacks `protocol` or `preset`; write `protocol` (`talk` or `letters`) or the `preset` of a known vendor".to_owned()),
        ("id: a, protocol: talk, preset: acme", "c.yaml:2:36: providers[0].preset: does not stand beside `protocol`; write one of them: a preset has its protocol".to_owned()),
        ("id: a, protocol: takl", "c.yaml:2:22: providers[0].protocol: `takl` is no protocol that is known here; did you mean `talk`?".to_owned()),
        ("id: a, protocol: acme", "c.yaml:2:22: providers[0].protocol: `acme` is no protocol that is known here; it is a vendor: write `preset: acme`".to_owned()),
        ("id: a, preset: acmee", "c.yaml:2:20: providers[0].preset: `acmee` is no preset that is known here; did you mean `acme`?".to_owned()),
        ("id: a, preset: tenant, api_key: '${KEY}'", "c.yaml:2:3: providers[0]: lacks `base_url`: each account of `tenant` has its own; write the address as the vendor's own SDK takes it".to_owned()),
        ("id: a, preset: acme", "c.yaml:2:3: providers[0]: lacks a key: `api_key` is left out and the environment variable ACME_API_KEY is not set; set ACME_API_KEY, or write `api_key: ${NAME}` or `api_key: file:/path`".to_owned()),
        ("id: a, preset: home, base_url: home.example", "c.yaml:2:36: providers[0].base_url: is no absolute address; write it with its scheme, as in `https://host/path`".to_owned()),
        ("id: a, preset: home, key: '${KEY}'", "c.yaml:2:26: providers[0].key: is no key that is known here; did you mean `api_key`?".to_owned()),
        ("id: a, preset: home, models: []", "c.yaml:2:34: providers[0].models: does not stand here; write the top-level `models`, or ask for `provider/model`".to_owned()),
        ("preset: home, id: a, weight: 1", "c.yaml:2:26: providers[0].weight: is no key that is known here; known: `id`, `protocol`, `preset`, `base_url`, `api_key`, `headers`, `timeouts`, `proxy`, `http2`, `max_in_flight` or `adaptive_concurrency`".to_owned()),
        ("{preset: home, api_key: sk-hidden, id: a", key(&format!("a key does not belong into the configuration's text; {KEY}"))),
        ("{preset: home, api_key: '${NADA}', id: a", key("the environment variable NADA is not set; set NADA")),
        ("{preset: home, api_key: '${EMPTY}', id: a", key("the key in EMPTY is empty")),
        ("{preset: home, api_key: '${SPLIT}', id: a", key("the key in SPLIT has spaces, line breaks or characters that no header can carry")),
        ("{preset: home, api_key: 'file:key', id: a", key("the path of a key's file must be absolute; write `file:/path`")),
        ("{preset: home, api_key: 'file:/nowhere/key', id: a", key("the file /nowhere/key cannot be read: No such file or directory (os error 2)")),
        ("{preset: home, base_url: ftp://h, id: a", url("has the unknown scheme `ftp`; write `https` or `http`")),
        ("{preset: home, base_url: 'https://me:sk-hidden@h', id: a", url("must not hold a user or a password; write them as `api_key` or in `headers`")),
        ("{preset: home, base_url: 'https://h/?k=sk-hidden', id: a", url("must not have a query or a fragment; leave out what follows the path")),
        ("id: a, preset: home, proxy: 'socks5://p:1'", "c.yaml:2:33: providers[0].proxy: has the unknown scheme `socks5`; write `https` or `http`".to_owned()),
        ("id: a, preset: home, http2: 1.1", "c.yaml:2:33: providers[0].http2: `1.1` is no truth value; `true` or `false`".to_owned()),
        ("id: a, preset: home, proxy: 'http://p:1', http2: true", "c.yaml:2:54: providers[0].http2: does not go with `proxy`: through it each call has a connection of its own; leave out one of them".to_owned()),
        ("id: a, preset: home, headers: [x]", "c.yaml:2:35: providers[0].headers: must be a map; write `key: value` lines".to_owned()),
        ("id: a, preset: home, headers: { Host: x }", "c.yaml:2:43: providers[0].headers.Host: the server sets `host` itself; leave it out".to_owned()),
        ("id: a, preset: home, headers: { x y: x }", "c.yaml:2:42: providers[0].headers.x y: `x y` is no name of a header".to_owned()),
        ("id: a, preset: home, headers: { x: '${SPLIT}' }", "c.yaml:2:40: providers[0].headers.x: has line breaks or characters that no header can carry".to_owned()),
        ("id: a, preset: talk, headers: { authorization: x }", "c.yaml:2:3: providers[0]: has the header `authorization` and a key that goes into the same header; leave one of them out".to_owned()),
        ("id: a, preset: home, timeouts: { total: 1m }", "c.yaml:2:45: providers[0].timeouts.total: bounds the whole call, over all targets; write it in the top-level `timeouts`".to_owned()),
        ("id: a, preset: home, max_in_flight: 0", "c.yaml:2:41: providers[0].max_in_flight: must be above 0".to_owned()),
        ("id: a, preset: home, max_in_flight: many", "c.yaml:2:41: providers[0].max_in_flight: must be a whole number; 1 to 4294967295".to_owned()),
        ("id: a, preset: home, adaptive_concurrency: yes", "c.yaml:2:48: providers[0].adaptive_concurrency: `yes` is no truth value; `true` or `false`".to_owned()),
        ("id: a, preset: home, id: b", "c.yaml:2:26: providers[0].id: stands here a second time, first in line 2; leave one of them out".to_owned()),
        ("id: a, preset: home, headers: { x: y, x: z }", "c.yaml:2:43: providers[0].headers.x: stands here a second time, first in line 2; leave one of them out".to_owned()),
        ("id: a, preset: home, timeouts: { idle: 1h }", "c.yaml:2:36: providers[0].timeouts: `idle` (1h) is longer than `total` (10m); raise `total` or lower `idle`".to_owned()),
    ];
    for (entry, expected) in cases {
        let file = format!("providers:\n- {}{entry} }}", if entry.starts_with('{') { "" } else { "{ " });
        let told = told(&file);
        assert_eq!(told, expected, "{file}");
        assert!(!told.contains("sk-hid"), "{told}");
    }
    assert_eq!(
        told("providers: [{ id: a, preset: home }, { id: a, preset: home }]"),
        "c.yaml:1:44: providers[1].id: `a` stands here a second time; give each entry a name of its own"
    );
}

#[test]
fn each_rule_of_a_model_broken_once() {
    let cases = [
        ("{ targets: [{ provider: a, model: m }] }", "c.yaml:2:10: models[0]: lacks `id`"),
        (
            "{ id: x/y, targets: [{ provider: a, model: m }] }",
            "c.yaml:2:16: models[0].id: `x/y` is no name; a name has lower-case letters, digits, `.`, `_` and `-`, and begins with a letter or a digit",
        ),
        ("{ id: x }", "c.yaml:2:10: models[0]: lacks `targets`"),
        (
            "{ id: x, targets: [] }",
            "c.yaml:2:28: models[0].targets: has no target; write at least one `{ provider: ..., model: ... }`",
        ),
        ("{ id: x, targets: [{ model: m }] }", "c.yaml:2:29: models[0].targets[0]: lacks `provider`"),
        ("{ id: x, targets: [{ provider: a }] }", "c.yaml:2:29: models[0].targets[0]: lacks `model`"),
        (
            "{ id: x, targets: [{ provider: b, model: m }] }",
            "c.yaml:2:41: models[0].targets[0].provider: `b` is not the id of a provider; known: `a`",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m, weight: 0 }] }",
            "c.yaml:2:62: models[0].targets[0].weight: must be above 0",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m, priority: high }] }",
            "c.yaml:2:64: models[0].targets[0].priority: must be a whole number; 0 to 4294967295, lower is tried first",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m }, { provider: a, model: m }] }",
            "c.yaml:2:56: models[0].targets[1]: `a/m` stands here a second time; leave it out",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m }], price: { input: 3 } }",
            "c.yaml:2:64: models[0].price: lacks `output`",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m }], price: { input: 3, output: 1.0000001 } }",
            "c.yaml:2:84: models[0].price.output: is no price; US dollars per million tokens, as `3` or `0.075`, with at most 6 digits behind the point",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m }], price: { input: -3, output: 1 } }",
            "c.yaml:2:73: models[0].price.input: is no price; US dollars per million tokens, as `3` or `0.075`, with at most 6 digits behind the point",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m }], price: { input: 3, output: 1, cache_raed: 1 } }",
            "c.yaml:2:87: models[0].price.cache_raed: is no key that is known here; did you mean `cache_read`, `cache_write` or `cache_write_1h`?",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m, wait: 1 }] }",
            "c.yaml:2:54: models[0].targets[0].wait: is no key that is known here; known: `provider`, `model`, `priority` or `weight`",
        ),
        (
            "{ id: x, budget: { input: 3.0 }, targets: [{ provider: a, model: m }] }",
            "c.yaml:2:19: models[0].budget: is no key that is known here; known: `id`, `timeouts`, `targets`, `fallback_models`, `hedge`, `price` or `prompt_cache`",
        ),
        (
            "{ id: x, timeouts: { attempt: 20m }, targets: [{ provider: a, model: m }] }",
            "c.yaml:2:29: models[0].timeouts: `attempt` (20m) is longer than `total` (10m); raise `total` or lower `attempt`",
        ),
        (
            "{ id: x, targets: [{ provider: a, model: m }] }, { id: x, targets: [{ provider: a, model: m }] }",
            "c.yaml:2:65: models[1].id: `x` stands here a second time; give each entry a name of its own",
        ),
    ];
    for (models, expected) in cases {
        assert_eq!(told(&with_provider(&format!("models: [{models}]"))), expected, "{models}");
    }
    let near = with_provider("models: [{ id: smart, targets: [{ provider: a, model: m }] }]\ndefault_model: smort");
    assert_eq!(
        told(&near),
        "c.yaml:3:16: default_model: `smort` leads nowhere; did you mean `smart`?, or write `a/MODEL`"
    );
}

#[test]
fn a_file_without_a_provider_is_an_error() {
    const RIGHT: &str = "write at least one entry; without a file the keys in the environment are used";
    for (text, place, rule) in [
        ("", "c.yaml:1:1", "lacks `providers`"),
        ("workers: 1", "c.yaml:1:1", "lacks `providers`"),
        ("providers:", "c.yaml:1:10", "providers: is empty: there is no provider to ask"),
        ("providers: []", "c.yaml:1:12", "providers: is empty: there is no provider to ask"),
    ] {
        assert_eq!(told(text), format!("{place}: {rule}; {RIGHT}"), "{text}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let told = told(
        "lisen: x\nworkers: 0\nproviders:\n  - id: a\n    preset: acme\n  - id: b\n    presett: home\nmodels:\n  - id: x\n    targets: [{ provider: c, model: m }]\n",
    );
    let places: Vec<&str> = told.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        places,
        ["c.yaml:1:1:", "c.yaml:2:10:", "c.yaml:4:5:", "c.yaml:6:5:", "c.yaml:7:5:", "c.yaml:10:27:"],
        "{told}"
    );
}

#[test]
fn a_whole_file_is_read_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "  sk-file \n").unwrap();
    let text = format!(
        "listen: 0.0.0.0:1\nallow_anonymous: true\nadmin_listen: unix:/run/admin.sock\nops_listen: '[::1]:0'\ndefault_model: smart\n\
         providers:\n\
         \x20 - id: one\n    protocol: talk\n    http2: true\n\
         \x20 - id: two\n    preset: acme\n    base_url: https://proxy.example/acme/\n    api_key: file:{}\n    \
         headers: {{ x-team: blue, x-token: 't-${{KEY}}' }}\n    timeouts: {{ idle: 9s }}\n    proxy: http://me:pw@proxy:3128\n\
         models:\n  - id: smart\n    timeouts: {{ first_event: 8s }}\n    targets:\n      - {{ provider: two, model: m-2 }}\n      \
         - {{ provider: one, model: m-1, priority: 1, weight: ${{NUMBER}} }}\n\
         timeouts: {{ connect: 2s, total: 2m }}\nlimits: {{ max_request_bytes: 1MiB }}\nstream: {{ heartbeat: 5s }}\n\
         drain_delay: 0\ndefault_max_tokens: 100\nprovider_option_headers: [x-beta]\nworkers: 2\n\
         log: {{ format: json, level: 'info,completiond::pool=debug' }}\ntelemetry: {{ genai_semconv: legacy }}\n",
        key.display()
    );
    let config = parse(&text.replace("${NUMBER}", "'${NUMBER}'")).unwrap_or_else(|problems| panic!("{problems}"));

    assert_eq!(
        config.listeners().map(|(_, address)| address.to_string()),
        ["0.0.0.0:1", "unix:/run/admin.sock", "[::1]:0"]
    );
    assert_eq!(config.source, Source::File("c.yaml".into()));
    let [one, two] = config.providers.as_slice() else { panic!("{:?}", config.providers) };
    assert_eq!((one.vendor.as_str(), one.base_url.to_string().as_str()), ("talk", "https://api.talk.example/v1"));
    assert_eq!(one.api_key.as_ref().unwrap().expose_secret(), "sk-hidden");
    assert_eq!((one.http2, two.http2), (true, false));
    assert_eq!(one.key_origin.as_ref().unwrap().to_string(), "environment variable TALK_API_KEY");
    assert_eq!((two.vendor.as_str(), two.base_url.to_string().as_str()), ("acme", "https://proxy.example/acme"));
    assert_eq!(two.api_key.as_ref().unwrap().expose_secret(), "sk-file");
    assert_eq!(two.headers["x-token"].to_str().unwrap().trim(), "t- sk-hidden");
    assert_eq!(two.timeouts.idle, Duration::from_secs(9));
    assert_eq!(two.timeouts.connect, Duration::from_secs(2));
    let targets = &config.models[0].targets;
    assert_eq!(targets[0].timeouts.first_event, Duration::from_secs(8));
    assert_eq!(targets[0].timeouts.idle, Duration::from_secs(9));
    assert_eq!(targets[1].timeouts.idle, Duration::from_secs(30));
    assert_eq!((targets[1].priority, targets[1].weight), (1, 3));
    assert_eq!((config.total, config.shutdown_grace), (Duration::from_secs(120), Duration::from_secs(120)));
    assert_eq!((config.limits.max_request_bytes, config.limits.max_bytes_in_flight), (1 << 20, 512 << 20));
    assert_eq!((config.drain_delay, config.workers.get()), (Duration::ZERO, 2));
    assert_eq!(config.telemetry.genai_semconv, completiond::telemetry::GenAiNames::Legacy);

    let shown = format!("{config:?}");
    for hidden in ["sk-", "t- ", "pw@"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}

#[test]
fn a_key_goes_to_its_own_vendor_unless_the_file_says_otherwise() {
    let key = |entry: &str| {
        let config =
            parse(&format!("providers:\n- {{ id: a, {entry} }}")).unwrap_or_else(|problems| panic!("{problems}"));
        config.providers[0].api_key.as_ref().map(|key| key.expose_secret().to_owned())
    };
    assert_eq!(key("protocol: talk"), Some("sk-hidden".to_owned()));
    assert_eq!(key("protocol: talk, base_url: 'https://api.talk.example/v2'"), Some("sk-hidden".to_owned()));
    assert_eq!(key("protocol: talk, base_url: 'http://127.0.0.1:4000'"), None);
    assert_eq!(
        key("protocol: talk, base_url: 'http://127.0.0.1:4000', api_key: '${KEY}'"),
        Some("sk-hidden".to_owned())
    );
    // What a variable holds is a key, whatever it looks like.
    assert_eq!(key("preset: home, api_key: '${TRICK}'"), Some("file:/etc/hostname".to_owned()));
    assert_eq!(key("preset: home"), None);
}

#[test]
fn a_key_in_the_open_is_warned_of() {
    let warnings = |url: &str| {
        let text = format!("providers:\n- {{ id: a, protocol: talk, api_key: '${{KEY}}', base_url: '{url}' }}");
        parse(&text).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings("http://api.example"),
        ["providers[0].base_url: the key is sent over plain http to a host that is not private; write `https`"]
    );
    assert_eq!(
        parse("providers: [{ id: a, preset: simulator }]").unwrap().warnings[0].to_string(),
        "providers[0]: is the built-in simulator: its answers are made up"
    );
    assert!(warnings("http://10.0.0.1").is_empty());
    assert!(warnings("https://api.example").is_empty());
}

#[test]
fn a_key_file_is_bounded_and_text() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&str, &[u8], &str); 3] = [
        ("empty", b" \n", "is empty"),
        ("large", &[b'k'; 64 * 1024 + 1], "is larger than 64 KiB; it must hold the key alone"),
        ("binary", &[0xff, 0xfe], "is no text"),
    ];
    for (name, content, expected) in cases {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let told = told(&format!("providers:\n- {{ id: a, preset: home, api_key: 'file:{}' }}", path.display()));
        assert!(told.ends_with(expected), "{told}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let load = |path: &Path| Config::load(path, &Overrides::default(), &sources(&environment)).unwrap_err().to_string();
    assert_eq!(
        load(Path::new("/nowhere/c.yaml")),
        "/nowhere/c.yaml: the file cannot be read: No such file or directory (os error 2)"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    std::fs::write(&path, [0xff]).unwrap();
    assert!(load(&path).ends_with("the file cannot be read: it is not UTF-8"));
}

/// Files whose lists and maps stand in each other too deep, each with its shape.
fn nested() -> Vec<(String, String)> {
    type Nested = (&'static str, fn(usize) -> String);
    let shapes: [Nested; 6] = [
        ("[[", |levels| "[".repeat(levels)),
        ("[[ ]]", |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels))),
        ("{a: {a:", |levels| "{a: ".repeat(levels)),
        ("- - -", |levels| format!("{}x", "- ".repeat(levels))),
        ("? ? ?", |levels| format!("{}x", "? ".repeat(levels))),
        ("a:\n a:", |levels| (0..levels.min(1500)).map(|level| format!("{}a:\n", " ".repeat(level))).collect()),
    ];
    let deep = [25, 60, 300, 20_000];
    shapes.into_iter().flat_map(|(shape, of)| deep.map(|levels| (format!("{levels} {shape}"), of(levels)))).collect()
}

#[test]
fn what_is_nested_without_end_is_refused_with_its_place() {
    for (shape, nested) in nested() {
        let told = told(&nested);
        assert!(told.starts_with("c.yaml:") && told.contains("in each other deeper than 24 levels"), "{shape}: {told}");
        let mark = parse(&nested).unwrap_err().problems[0].mark;
        assert!(mark.is_some(), "{shape}: {told}");
    }
    let fits = format!("x: {}1{}", "[".repeat(23), "]".repeat(23));
    assert!(told(&with_provider(&fits)).contains("x: is no key that is known here"));
    // What stands for something nested is nested as well.
    let named = format!("a: &a {}1{}\nb: {}*a{}", "[".repeat(20), "]".repeat(20), "[".repeat(20), "]".repeat(20));
    assert!(told(&named).contains("in each other deeper than 24 levels"), "{}", told(&named));
}

#[test]
fn flags_overrule_the_file() {
    let overrides = Overrides {
        listen: Some("127.0.0.1:9".parse().unwrap()),
        default_drain_delay: Some(Duration::ZERO),
        ..Overrides::default()
    };
    let load = |more: &str| {
        Config::parse(&with_provider(more), Path::new("c.yaml"), &overrides, &sources(&environment)).unwrap()
    };
    let config = load("listen: 127.0.0.1:1\nops_listen: 127.0.0.1:2\ndrain_delay: 1s");
    assert_eq!(
        (config.listen.to_string(), config.ops_listen.to_string()),
        ("127.0.0.1:9".into(), "127.0.0.1:2".into())
    );
    assert_eq!(config.drain_delay, Duration::from_secs(1));
    assert_eq!(load("").drain_delay, Duration::ZERO);
}

#[test]
fn the_environment_alone_makes_a_pool() {
    let environment = |name: &str| match name {
        "LETTERS_API_KEY" | "ACME_API_KEY" | "TENANT_API_KEY" => Some("sk-1".to_owned()),
        "TALK_API_KEY" => Some(" ".to_owned()),
        _ => None,
    };
    let Discovered::Providers(config) = Config::discover(&Overrides::default(), &sources(&environment)).unwrap() else {
        panic!("nothing was found")
    };
    let ids: Vec<&str> = config.providers.iter().map(|provider| provider.id.as_str()).collect();
    assert_eq!(ids, ["letters", "acme"]);
    assert_eq!(config.default_model.unwrap().as_str(), "letters/first");
    assert_eq!(config.source, Source::Environment(vec!["LETTERS_API_KEY".into(), "ACME_API_KEY".into()]));
    assert_eq!(
        config.warnings[0].to_string(),
        "TENANT_API_KEY: is set, but each account of `tenant` has its own address; write a file with its `base_url` and name it with --config"
    );
}

#[test]
fn without_a_key_the_simulator_answers_on_this_machine_only() {
    let bare = |listen: &str| {
        let overrides = Overrides { listen: Some(listen.parse().unwrap()), ..Overrides::default() };
        match Config::discover(&overrides, &sources(&|_| None)).unwrap() {
            Discovered::Nothing(bare) => bare,
            Discovered::Providers(config) => panic!("{:?}", config.providers),
        }
    };
    for listen in ["127.0.0.1:0", "[::1]:1", "localhost:1", "unix:/run/c.sock"] {
        let config = bare(listen).with_simulator().unwrap();
        assert_eq!(config.source, Source::Simulator);
        assert_eq!(config.providers[0].base_url.scheme_str(), Some("simulator"));
        assert_eq!(config.default_model.unwrap().as_str(), "simulator");
    }
    assert_eq!(
        bare("0.0.0.0:50051").with_simulator().unwrap_err().to_string(),
        "listen: there is no provider, and 0.0.0.0:50051 can be reached from other machines; set the key of a provider \
         (`TALK_API_KEY`, `LETTERS_API_KEY` or `ACME_API_KEY`), or write a file and name it with --config; the simulator \
         answers on loopback addresses only"
    );
}

#[test]
fn what_runs_on_this_machine_is_taken_with_its_models() {
    let Discovered::Nothing(bare) = Config::discover(&Overrides::default(), &sources(&|_| None)).unwrap() else {
        panic!("something was found")
    };
    let models = [ModelId::new("tiny"), ModelId::new("large:8b")];
    let config = bare.with_local(&PRESETS[4], "http://127.0.0.1:11434/v1".parse().unwrap(), &models);
    assert_eq!(config.source, Source::Local(config.providers[0].id.clone()));
    assert_eq!(config.default_model.unwrap().as_str(), "tiny");
    assert_eq!(config.models[1].targets[0].model.as_str(), "large:8b");
}

#[test]
fn two_vendors_with_a_fallback_and_retries_are_a_whole_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("anthropic");
    std::fs::write(&key, "sk-1").unwrap();
    let file = "\
listen: 127.0.0.1:50051
admin_listen: 127.0.0.1:50052
ops_listen: 127.0.0.1:50053
default_model: smart
providers:                          # the pool: one entry is one account at one address
  - id: openai-main
    protocol: openai
    base_url: https://api.openai.com/v1
    api_key: ${OPENAI_API_KEY}
  - id: claude
    protocol: anthropic
    base_url: https://api.anthropic.com
    api_key: file:/run/secrets/anthropic
models:
  - id: smart
    targets:
      - { provider: claude, model: claude-sonnet-5-5, priority: 0, weight: 1 }
      - { provider: openai-main, model: gpt-6-sol, priority: 1 }
    fallback_models: [fast]
  - id: fast
    targets: [{ provider: openai-main, model: gpt-6-sol }]
timeouts: { connect: 5s, first_event: 30s, idle: 30s, attempt: 60s, total: 10m }
retry: { max_attempts: 4, base_delay: 500ms, max_delay: 30s }
limits: { max_request_bytes: 32MiB, max_bytes_in_flight: 512MiB }
drain_delay: 5s
shutdown_grace: 10m
"
    .replace("/run/secrets/anthropic", key.to_str().unwrap());
    let variable = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-2".to_owned());
    let config = Config::parse(&file, Path::new("c.yaml"), &Overrides::default(), &Sources::new(&variable))
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.models[0].fallback_models[0].as_str(), "fast");
    assert_eq!(config.retry, Retry::default());
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn the_documented_file_is_right_and_has_every_documented_key() {
    let text = include_str!("../docs/configuration.md");
    let file = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let variable = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| "sk-1".to_owned());
    let sources = Sources::new(&variable);
    let with_files = tls::with_files(file);
    let config = Config::parse(&with_files, Path::new("c.yaml"), &Overrides::default(), &sources);
    assert!(config.is_ok(), "{}", config.unwrap_err());

    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for key in rows.filter(|key| !key.starts_with("--")) {
        let word = key.rsplit('.').next().unwrap().trim_end_matches("[]");
        assert!(file.contains(&format!("{word}:")), "{key} is not in the file");
    }
}

#[test]
fn every_known_key_is_documented() {
    let text = include_str!("../docs/configuration.md");
    // An unknown key that is near to nothing is told all keys that are known in its place.
    let known = |file: &str| {
        let told = told(file);
        let list = told.lines().find_map(|line| line.split("known: ").nth(1)).unwrap_or_else(|| panic!("{told}"));
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let places = [
        ("", with_provider("zzzz: 1")),
        ("providers[].", "providers: [{ id: a, preset: home, zzzz: 1 }]".to_owned()),
        ("models[].", with_provider("models: [{ id: x, targets: [{ provider: a, model: m }], zzzz: 1 }]")),
        ("models[].targets[].", with_provider("models: [{ id: x, targets: [{ provider: a, model: m, zzzz: 1 }] }]")),
        (
            "models[].hedge.",
            with_provider("models: [{ id: x, targets: [{ provider: a, model: m }], hedge: { zzzz: 1 } }]"),
        ),
        ("tls.", with_provider("tls: { zzzz: 1 }")),
        ("admin_tls.", with_provider("admin_tls: { zzzz: 1 }")),
        ("connections.", with_provider("connections: { zzzz: 1 }")),
        ("callers[].", with_provider("callers: [{ name: a, zzzz: 1 }]")),
        ("callers[].limits.", with_provider("callers: [{ name: a, limits: { zzzz: 1 } }]")),
        ("callers_dir.", with_provider("callers_dir: { zzzz: 1 }")),
        ("issuers[].", with_provider("issuers: [{ name: a, zzzz: 1 }]")),
        ("issuers[].callers[].", with_provider("issuers: [{ name: a, callers: [{ zzzz: 1 }] }]")),
        ("issuers[].callers[].limits.", with_provider("issuers: [{ name: a, callers: [{ limits: { zzzz: 1 } }] }]")),
        ("timeouts.", with_provider("timeouts: { zzzz: 1 }")),
        ("retry.", with_provider("retry: { zzzz: 1 }")),
        ("limits.", with_provider("limits: { zzzz: 1 }")),
        ("stream.", with_provider("stream: { zzzz: 1 }")),
        ("log.", with_provider("log: { zzzz: 1 }")),
        ("telemetry.", with_provider("telemetry: { zzzz: 1 }")),
        ("simulator.", with_provider("simulator: { zzzz: 1 }")),
        ("usage.", with_provider("usage: { zzzz: 1 }")),
        ("completions.", with_provider("completions: { zzzz: 1 }")),
        ("cache.", with_provider("cache: { zzzz: 1 }")),
        ("prompt_cache.", with_provider("prompt_cache: { zzzz: 1 }")),
        (
            "models[].prompt_cache.",
            with_provider("models: [{ id: x, targets: [{ provider: a, model: m }], prompt_cache: { zzzz: 1 } }]"),
        ),
    ];
    for (prefix, file) in places {
        let keys = known(&file);
        assert!(!keys.is_empty());
        for key in keys.iter().map(|key| format!("{prefix}{key}")) {
            let maps = [
                "tls",
                "admin_tls",
                "connections",
                "callers[].limits",
                "issuers[].callers[].limits",
                "timeouts",
                "retry",
                "limits",
                "stream",
                "log",
                "telemetry",
                "simulator",
                "usage",
                "completions",
                "cache",
                "prompt_cache",
            ];
            let is_map = maps.contains(&key.as_str());
            assert!(is_map || text.contains(&format!("| `{key}` |")), "{key} has no line in docs/configuration.md");
        }
    }
}
