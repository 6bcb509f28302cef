//! Callers who show a token that somebody else has signed: whose word counts, what must be right about a token, and whom it
//! tells.

use completiond::proto::{
    CompleteRequest, GetCompletionRequest, GetPoolRequest, ListModelsRequest, ListUsageRequest, UsageDimension,
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::desk::{client, entry, key, operator};
use crate::issuer::{Issuer, Signer, encoded, from_now, with_secret};
use crate::stage::{Stage, prompt};

fn asked(model: &str) -> CompleteRequest {
    CompleteRequest { model: model.to_owned(), ..prompt("sim: tokens=4 first_event=0ms pace=0ms") }
}

async fn call(stage: &Stage, token: &str) -> Result<(), Status> {
    client(stage, Some(token.to_owned())).complete(asked("")).await.map(drop)
}

/// That a call with this token is refused, and what is said about it.
#[track_caller]
fn refused(what: &str, answer: Result<(), Status>, words: &str) {
    let status = answer.err().unwrap_or_else(|| panic!("{what}: it was let in"));
    assert_eq!((what, status.code()), (what, Code::Unauthenticated), "{status}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "CREDENTIALS_INVALID", "{what}");
    assert!(status.message().contains(words), "{what}: {:?} does not say {words:?}", status.message());
    assert_eq!(status.metadata().get("www-authenticate").unwrap(), r#"Bearer realm="completiond""#);
}

/// The names of all callers that have used something.
async fn users(stage: &Stage) -> Vec<String> {
    let request = ListUsageRequest { group_by: vec![UsageDimension::Caller.into()], ..Default::default() };
    let page = operator(stage, None).list_usage(request).await.unwrap().into_inner();
    page.records.into_iter().map(|record| record.caller).collect()
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_tells_a_caller_of_its_own() {
    for signer in [Signer::rsa(), Signer::ecdsa(), Signer::ed25519()] {
        let issuer = Issuer::with("corp", signer).await;
        let stage = Stage::with(&issuer.section()).await;
        for kind in [json!("JWT"), json!("at+jwt"), json!("application/at+JWT"), Value::Null] {
            let mut header = issuer.header();
            header["typ"] = kind;
            if header["typ"].is_null() {
                header.as_object_mut().unwrap().remove("typ");
            }
            call(&stage, &issuer.signer.token(&header, &issuer.claims("alice"))).await.unwrap();
        }
        call(&stage, &issuer.token_with("bob", json!({"aud": ["others", "completiond"]}))).await.unwrap();
        call(&stage, &issuer.token_with("bob", json!({"iat": null, "nbf": from_now(-1)}))).await.unwrap();
        // Where a token names no key, those that fit are tried.
        call(&stage, &issuer.signer.token(&json!({"alg": issuer.signer.algorithm()}), &issuer.claims("bob")))
            .await
            .unwrap();
        let mut users = users(&stage).await;
        users.sort();
        assert_eq!(users, ["corp:alice", "corp:bob"], "{}", issuer.signer.algorithm());
        assert_eq!(issuer.asked(), 1, "its keys were asked for once");
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_tells_nobody_and_is_told_why() {
    let issuer = Issuer::start("corp").await;
    let stage = Stage::with(&issuer.section()).await;
    call(&stage, &issuer.token("alice")).await.unwrap();
    for (other, words) in [
        (json!({"exp": from_now(-1)}), "has expired"),
        (json!({"exp": null}), "lacks a claim that is needed, or has one in another form: `exp`"),
        (json!({"exp": "tomorrow"}), "`exp`"),
        (json!({"exp": from_now(600), "nbf": from_now(60)}), "not valid yet"),
        (json!({"iat": from_now(60)}), "issued in the future"),
        (json!({"iat": "now"}), "`iat`"),
        (json!({"aud": "others"}), "for another audience"),
        (json!({"aud": ["others", "completion"]}), "for another audience"),
        (json!({"aud": null}), "`aud`"),
        (json!({"iss": "https://other.example"}), "issuer is not known"),
        (json!({"iss": "https://corp.example/"}), "issuer is not known"),
        (json!({"iss": ["https://corp.example", "https://other.example"]}), "`iss`"),
        (json!({"iss": null}), "lacks a claim that is needed, or has one in another form: `iss`"),
        (json!({"sub": null}), "does not name its caller"),
        (json!({"sub": ""}), "does not name its caller"),
        (json!({"sub": 7}), "does not name its caller"),
        (json!({"sub": "a b"}), "does not name its caller"),
        (json!({"sub": "a\nb"}), "does not name its caller"),
        (json!({"sub": "(other)"}), "does not name its caller"),
        (json!({"sub": "x".repeat(201)}), "does not name its caller"),
    ] {
        refused(&other.to_string(), call(&stage, &issuer.token_with("alice", other.clone())).await, words);
    }
    assert_eq!(users(&stage).await, ["corp:alice"]);
}

#[tokio::test]
async fn no_algorithm_and_no_key_but_the_issuers_own_signs_a_token() {
    let issuer = Issuer::with("corp", Signer::rsa()).await;
    let stage = Stage::with(&issuer.section()).await;
    let (claims, shown) = (issuer.claims("alice"), issuer.signer.shown("first"));
    let text = |header: &Value| format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    let hs256 = json!({"alg": "HS256", "typ": "JWT", "kid": "first"});
    for none in ["none", "None", "NONE", ""] {
        refused(
            none,
            call(&stage, &format!("{}.", text(&json!({"alg": none, "kid": "first"})))).await,
            "cannot be read",
        );
    }
    // The public key, in whatever form, taken for a secret that both sides know.
    for secret in [shown.to_string(), shown["n"].as_str().unwrap().to_owned(), String::new()] {
        let token = with_secret(secret.as_bytes(), &hs256, &claims);
        refused("HS256", call(&stage, &token).await, "an algorithm that its issuer may not use");
    }
    // A key of whoever asks, shown by the token itself in each way that there is.
    let own = Signer::rsa();
    let stranger = Signer::ed25519();
    let elsewhere = Issuer::with("elsewhere", Signer::ed25519()).await;
    let at = format!("http://{}/keys", elsewhere.address);
    for header in [
        json!({"alg": "EdDSA", "kid": "first", "jwk": stranger.shown("first")}),
        json!({"alg": "EdDSA", "kid": "first", "jku": at}),
        json!({"alg": "EdDSA", "kid": "first", "x5u": at}),
        json!({"alg": "EdDSA", "kid": "../../etc/passwd", "jwk": stranger.shown("x")}),
        json!({"alg": "EdDSA", "kid": "' OR '1'='1"}),
        json!({"alg": "EdDSA", "kid": "k".repeat(5000)}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "ES256", "kid": "first"}),
        json!({"alg": "RS256", "kid": "first"}),
        json!({"alg": "PS256", "kid": "first"}),
    ] {
        refused(&header.to_string(), call(&stage, &stranger.token(&header, &claims)).await, "the token");
    }
    assert_eq!(elsewhere.asked(), 0, "no address in a token is asked for anything");
    // What must be understood and is not, and what is for something else.
    let critical = json!({"alg": "RS256", "kid": "first", "crit": ["exp"], "exp": 1});
    refused("crit", call(&stage, &own.token(&critical, &claims)).await, "cannot be read");
    let logout = json!({"alg": "RS256", "kid": "first", "typ": "logout+jwt"});
    refused("typ", call(&stage, &own.token(&logout, &claims)).await, "of a type");
    // The same key may sign, when the token is as it should be.
    call(&stage, &own.token(&json!({"alg": "RS256", "kid": "first"}), &claims)).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_changed_on_its_way_is_refused() {
    let issuer = Issuer::start("corp").await;
    let stage = Stage::with(&issuer.section()).await;
    let token = issuer.token("alice");
    call(&stage, &token).await.unwrap();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let other = encoded(issuer.claims("mallory").to_string());
    let cut = &signature[..signature.len() - 2];
    for (what, changed, words) in [
        ("its claims", format!("{header}.{other}.{signature}"), "signature is not valid"),
        ("no signature", format!("{header}.{payload}."), "signature is not valid"),
        ("a shorter signature", format!("{header}.{payload}.{cut}"), "the token"),
        ("padding", format!("{header}.{payload}.{signature}="), "cannot be read"),
        ("another alphabet", format!("{header}.{payload}.+/{signature}"), "cannot be read"),
        ("nothing", "..".to_owned(), "cannot be read"),
        ("no JSON", format!("{}.{}.{signature}", encoded("{"), encoded("}")), "cannot be read"),
        (
            "a key that twice says who calls",
            {
                let twice = issuer.claims("alice").to_string().replace('}', ",\"aud\":\"others\"}");
                let text = format!("{header}.{}", encoded(twice));
                format!("{text}.{signature}")
            },
            "the token",
        ),
        ("four parts", format!("{token}.x"), "the key is not known"),
    ] {
        refused(what, call(&stage, &changed).await, words);
    }
    // The whole of it is one that is known, a piece more is not.
    refused("larger than any", call(&stage, &format!("{header}.{}.{signature}", "A".repeat(17_000))).await, "16 KiB");
    call(&stage, &token).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_good_ends_when_it_says_so() {
    let issuer = Issuer::start("corp").await;
    let stage = Stage::with(&issuer.section()).await;
    let token = issuer.token_with("alice", json!({"exp": from_now(3)}));
    call(&stage, &token).await.unwrap();
    let ended = async { while call(&stage, &token).await.is_ok() {} };
    crate::stage::within("it ends", ended).await;
    refused("over", call(&stage, &token).await, "has expired");
}

#[tokio::test]
async fn what_two_issuers_call_the_same_are_two_callers_and_none_is_that_of_the_configuration() {
    let (one, other) = (Issuer::start("one").await, Issuer::start("other").await);
    let own = "  - { name: alice, keys: [\"KEY\"], tokens: ['one:boss'] }\n"
        .replace("KEY", &completiond::callers::KeyHash::of(&key("alice")).to_string());
    let issuers = format!("{}{}", one.entry("one", ", callers: [{}]"), other.entry("other", ", callers: [{}]"));
    let stage = Stage::with(&format!("callers:\n{own}issuers:\n{issuers}")).await;
    let get = async |id: &str, token: String| {
        let by = GetCompletionRequest { id: id.to_owned(), ..Default::default() };
        client(&stage, Some(token)).get_completion(by).await.map(drop).map_err(|status| status.code())
    };
    let made = async |token: String| {
        client(&stage, Some(token)).complete(asked("")).await.unwrap().into_inner().outcome.unwrap().id
    };
    // Signed by one with what the other calls itself: each has keys of its own.
    let mixed = one.signer.token(&one.header(), &other.claims("alice"));
    refused("another's name", call(&stage, &mixed).await, "signature is not valid");
    let id = made(one.token("alice")).await;
    assert_eq!(get(&id, one.token_with("alice", json!({"jti": "another"}))).await, Ok(()));
    for token in [other.token("alice"), key("alice"), one.token("one:alice"), one.token("boss")] {
        assert_eq!(get(&id, token).await, Err(Code::NotFound));
    }
    // Only where an entry says so, a token is its caller's.
    let id = made(key("alice")).await;
    assert_eq!(get(&id, one.token("boss")).await, Ok(()));
    assert_eq!(get(&id, other.token("boss")).await, Err(Code::NotFound));
    made(other.token("alice")).await;
    let mut users = users(&stage).await;
    users.sort();
    assert_eq!(users, ["alice", "one:alice", "other:alice"]);
}

const MODELS: &str = "models:\n  - { id: smart, targets: [{ provider: up, model: simulator }] }\n  \
                      - { id: small, targets: [{ provider: up, model: simulator }] }\n";

#[tokio::test]
async fn claims_say_what_a_caller_may_do_and_the_first_entry_that_fits_counts() {
    let issuer = Issuer::start("corp").await;
    let entry = issuer.entry(
        "corp",
        ", callers: [\
           { claims: { 'realm.roles': staff, level: high }, models: ['*'], limits: { requests_per_minute: 3 } }, \
           { claims: { groups: readers }, models: [small], labels: { team: readers } } ]",
    );
    let stage = Stage::with(&format!("issuers:\n{entry}{MODELS}")).await;
    let ask = async |token: &str, model: &str| {
        client(&stage, Some(token.to_owned())).complete(asked(model)).await.map(drop).map_err(|status| status.code())
    };
    let staff =
        issuer.token_with("ann", json!({"realm": {"roles": ["x", "staff"]}, "level": "high", "groups": ["readers"]}));
    assert_eq!(ask(&staff, "smart").await, Ok(()));
    let reader = issuer.token_with("ben", json!({"realm": {"roles": ["staff"]}, "groups": "readers"}));
    assert_eq!((ask(&reader, "small").await, ask(&reader, "smart").await), (Ok(()), Err(Code::NotFound)));
    let listed = client(&stage, Some(reader)).list_models(ListModelsRequest::default()).await.unwrap().into_inner();
    assert!(listed.models.iter().all(|model| model.id == "small"), "{listed:?}");
    let nobody = issuer.token_with("cam", json!({"groups": ["writers"], "realm": "staff"}));
    refused("no entry", call(&stage, &nobody).await, "nothing says here what its caller may do");
    // Each caller has limits of its own, whatever token it shows.
    let another = issuer.token_with("ann", json!({"realm.roles": "staff", "level": "high", "jti": "2"}));
    assert_eq!((ask(&another, "smart").await, ask(&staff, "smart").await), (Ok(()), Ok(())));
    assert_eq!(ask(&another, "smart").await, Err(Code::ResourceExhausted));
    let dan = issuer.token_with("dan", json!({"realm.roles": "staff", "level": "high"}));
    assert_eq!(ask(&dan, "smart").await, Ok(()));
}

#[tokio::test]
async fn a_token_may_narrow_what_its_caller_asks_for_and_never_widens_it() {
    let issuer = Issuer::start("corp").await;
    let own = entry("search", ", models: [smart], tokens: ['corp:search']");
    let corp = issuer.entry("corp", ", models_claim: models, callers: [{ models: [smart, small] }]");
    let stage = Stage::with(&format!("callers:\n{own}issuers:\n{corp}{MODELS}")).await;
    let ask = async |sub: &str, models: Value, model: &str| {
        let token = issuer.token_with(sub, json!({ "models": models }));
        client(&stage, Some(token)).complete(asked(model)).await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(ask("ann", json!(["small", "up/*"]), "small").await, Ok(()));
    assert_eq!(ask("ann", json!("small other"), "small").await, Ok(()));
    for (models, model) in
        [(json!(["small", "up/*"]), "smart"), (json!(["up/*"]), "up/simulator"), (json!([]), "small")]
    {
        assert_eq!(ask("ann", models.clone(), model).await, Err(Code::NotFound), "{models} {model}");
    }
    assert_eq!(ask("ann", json!(["a*b", 7, "sm*"]), "small").await, Ok(()), "what is no pattern lets nothing in");
    assert_eq!(ask("search", json!(["*"]), "smart").await, Ok(()));
    assert_eq!(ask("search", json!(["*"]), "small").await, Err(Code::NotFound));
    refused("no claim", call(&stage, &issuer.token("ann")).await, "which models");
    refused("no list", call(&stage, &issuer.token_with("ann", json!({"models": 7}))).await, "which models");
}

#[tokio::test]
async fn who_has_no_entry_is_nobody_where_only_entries_count() {
    let issuer = Issuer::start("corp").await;
    let own = entry("search", ", tokens: ['corp:search']");
    let stage = Stage::with(&format!("callers:\n{own}issuers:\n{}", issuer.entry("corp", ""))).await;
    call(&stage, &issuer.token("search")).await.unwrap();
    refused("no entry", call(&stage, &issuer.token("other")).await, "nothing says here what its caller may do");
    assert_eq!(users(&stage).await, ["search"]);
}

#[tokio::test]
async fn a_token_may_let_an_operator_in() {
    let issuer = Issuer::start("corp").await;
    let callers = ", callers: [{ claims: { groups: operators }, admin: true }, {}]";
    let open = |config: &mut completiond::config::Config| config.admin_listen = "0.0.0.0:0".parse().unwrap();
    let stage = Stage::set("openai", &format!("issuers:\n{}", issuer.entry("corp", callers)), open).await;
    let get = async |token: String| {
        operator(&stage, Some(token)).get_pool(GetPoolRequest {}).await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(get(issuer.token_with("ann", json!({"groups": ["operators"]}))).await, Ok(()));
    assert_eq!(get(issuer.token("ann")).await, Err(Code::PermissionDenied));
    assert_eq!(get(issuer.token_with("ann", json!({"exp": 1}))).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn a_caller_that_a_token_tells_has_its_places_in_flight() {
    let issuer = Issuer::start("corp").await;
    let stage =
        Stage::with(&format!("issuers:\n{}", issuer.entry("corp", ", callers: [{ limits: { in_flight: 1 } }]"))).await;
    let long = prompt("sim: tokens=20000 first_event=0ms pace=20ms");
    let mut first = client(&stage, Some(issuer.token("ann")));
    let running = first.stream_complete(long).await.unwrap();
    // Another token of the same caller, and one of another.
    let another = issuer.token_with("ann", json!({"jti": "2"}));
    assert_eq!(call(&stage, &another).await.unwrap_err().code(), Code::ResourceExhausted);
    call(&stage, &issuer.token("ben")).await.unwrap();
    // What is in flight goes on counting when the configuration is read again.
    stage.running.reloading.reload().await.unwrap();
    assert_eq!(call(&stage, &another).await.unwrap_err().code(), Code::ResourceExhausted);
    drop(running);
    stage.is_quiet().await;
    call(&stage, &another).await.unwrap();
}
