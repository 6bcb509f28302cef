//! `issuers`, and the `tokens` of callers.

use std::time::Duration;

use completiond::callers::{IssuerSettings, KeysAt, TokenAlgorithm};

use super::{parse, told, with_provider};

const GOOD: &str =
    "name: corp, issuer: 'https://login.example', audiences: [completiond], jwks: 'https://login.example/keys'";

fn issuer(more: &str) -> String {
    with_provider(&format!("issuers: [{{ {GOOD}{more} }}]"))
}

#[expect(clippy::unwrap_used, reason = "a test says what it expects")]
fn read(text: &str) -> IssuerSettings {
    parse(text).unwrap().admitted.issuers.remove(0)
}

#[test]
fn each_rule_of_an_issuer_broken_once() {
    let at = |jwks: &str| GOOD.replace("https://login.example/keys", jwks);
    let cases = [
        ("issuer: x".to_owned(), "issuers[0]: lacks `name`"),
        (GOOD.replace("name: corp, ", ""), "issuers[0]: lacks `name`"),
        (GOOD.replace("corp", "'a:b'"), "issuers[0].name: `a:b` is no name"),
        (GOOD.replace("[completiond]", "[]"), "issuers[0].audiences: names no audience; write for whom its tokens are"),
        (GOOD.replace(", audiences: [completiond]", ""), "issuers[0]: lacks `audiences`"),
        (at("http://login.example/keys"), "issuers[0].jwks: is fetched in plain text"),
        (at("https://user:pw@login.example/keys"), "issuers[0].jwks: is no address of a host, without a user"),
        (at("ftp://login.example/keys"), "issuers[0].jwks: has a scheme that is not known here"),
        (at("file:keys.json"), "issuers[0].jwks: is no absolute path; write `https://host/path`, or `file:/path`"),
        (at("keys"), "issuers[0].jwks: is no address"),
        (format!("{GOOD}, algorithms: [none]"), "issuers[0].algorithms[0]: `none` is no signature; one of RS256, "),
        (
            format!("{GOOD}, algorithms: [HS256]"),
            "issuers[0].algorithms[0]: by `HS256` who checks a token could sign one",
        ),
        (
            format!("{GOOD}, algorithms: [ES512]"),
            "issuers[0].algorithms[0]: `ES512` is no algorithm that is known here",
        ),
        (format!("{GOOD}, algorithms: []"), "issuers[0].algorithms: names no algorithm"),
        (format!("{GOOD}, leeway: 6m"), "issuers[0].leeway: is longer than 5m"),
        (format!("{GOOD}, caller_claim: ''"), "issuers[0].caller_claim: is empty"),
        (format!("{GOOD}, refresh_interval: 0"), "issuers[0].refresh_interval: must be above 0"),
        (format!("{GOOD}, keep_keys: 0"), "issuers[0].keep_keys: must be above 0"),
        (
            format!("{GOOD}, callers: [{{}}, {{ claims: {{ a: b }} }}]"),
            "issuers[0].callers[1]: comes behind an entry that fits each token; write the one without `claims` last",
        ),
        (format!("{GOOD}, callers: [{{ models: ['a*b'] }}]"), "issuers[0].callers[0].models[0]: must be a name"),
        (format!("{GOOD}, callers: [{{ claims: {{ a: [b] }} }}]"), "issuers[0].callers[0].claims.a: is a list"),
        (format!("{GOOD}, key: x"), "issuers[0].key: is no key that is known here"),
    ];
    for (entry, expected) in cases {
        let told = told(&with_provider(&format!("issuers: [{{ {entry} }}]")));
        assert!(told.contains(expected), "{entry}: {told}");
    }
    let other = GOOD.replace("corp", "other");
    let twice = told(&with_provider(&format!("issuers: [{{ {GOOD} }}, {{ {other} }}]")));
    assert!(twice.contains("issuers[1].issuer: is that of another entry"), "{twice}");
    let named = told(&with_provider(&format!("issuers: [{{ {GOOD} }}, {{ {GOOD} }}]")));
    assert!(named.contains("issuers[1].name: `corp` stands here a second time"), "{named}");
}

#[test]
fn a_token_of_a_caller_names_an_issuer_that_there_is() {
    let caller = |tokens: &str| format!("{}\ncallers: [{{ name: a, tokens: [{tokens}] }}]", issuer(""));
    for (tokens, expected) in [
        ("search", "callers[0].tokens[0]: names no issuer; write the `name` of one of `issuers`, a colon"),
        ("'corp:'", "callers[0].tokens[0]: names no caller"),
        ("'login:search'", "callers[0].tokens[0]: `login` is none of `issuers`"),
        ("'corp:x', 'corp:x'", "callers[0].tokens[1]: stands here already, in c.yaml:"),
    ] {
        let told = told(&caller(tokens));
        assert!(told.contains(expected), "{tokens}: {told}");
    }
    let config = parse(&caller("'corp:auth0|a:b'")).unwrap();
    assert_eq!(config.admitted.callers[0].tokens, [("corp".to_owned(), "auth0|a:b".to_owned())]);
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = read(&issuer(""));
    assert_eq!(settings.algorithms, ["RS256", "ES256", "EdDSA"].map(|name| TokenAlgorithm::named(name).unwrap()));
    assert_eq!((settings.leeway, settings.keys.keep), (Duration::from_secs(30), Duration::from_secs(86_400)));
    assert_eq!(settings.keys.refresh_interval, Duration::from_secs(300));
    assert!(settings.templates.is_empty() && settings.models_claim.is_none());
    let file = read(&issuer("").replace("https://login.example/keys", "file:/run/keys.json"));
    assert_eq!(file.keys.refresh_interval, Duration::from_secs(10));
    assert_eq!(file.keys.at, KeysAt::File("/run/keys.json".into()));
    for near in ["http://127.0.0.1:8080/keys", "http://localhost/keys", "http://[::1]/keys"] {
        assert_eq!(read(&issuer("").replace("https://login.example/keys", near)).keys.at, KeysAt::Url(near.to_owned()));
    }
}
