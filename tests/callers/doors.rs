//! Who is let in, and where.

use completiond::proto::{CompleteRequest, GetPoolRequest, ListModelsRequest};
use tonic::Code;
use tonic_types::StatusExt;

use crate::desk::{callers, client, key, of, operator, shown};
use crate::stage::{Stage, prompt, within};

const TWO: &[(&str, &str)] = &[("search", ""), ("chief", ", admin: true")];

#[tokio::test]
async fn who_shows_no_known_key_is_told_how_to_and_asks_nobody() {
    let stage = Stage::with(&callers(TWO)).await;
    let wire = stage.wire().await;
    for (headers, words) in [
        (vec![], "send it as `authorization: Bearer KEY`"),
        (vec![("authorization", "Bearer guessed")], "not known here"),
        (vec![("authorization", "Basic c2VhcmNo")], "`Bearer` and a key"),
        (vec![("authorization", "Bearer a"), ("authorization", "Bearer b")], "more than once"),
    ] {
        for method in ["Complete", "StreamComplete", "ListModels", "NoSuchMethod"] {
            let sent = wire.send(method, &prompt("hello"), &headers);
            let end = crate::stage::Events::of(within("a head comes", sent).await.unwrap()).end().await;
            end.expect(Code::Unauthenticated, "CREDENTIALS_INVALID", words);
        }
    }
    assert_eq!(stage.upstream.received().len(), 0);
    wire.complete(&prompt("hello"), &[("authorization", &shown("search"))]).await.expect(Code::Ok, "", "");
}

#[tokio::test]
async fn a_refusal_says_that_trying_again_does_not_help() {
    let stage = Stage::with(&callers(TWO)).await;
    let status = client(&stage, None).list_models(ListModelsRequest::default()).await.unwrap_err();
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().domain, "completiond");
    assert!(!details.request_info().unwrap().request_id.is_empty());
}

#[tokio::test]
async fn health_is_told_to_whoever_asks_and_reflection_to_callers() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    let stage = Stage::with(&callers(TWO)).await;
    let address = format!("http://{}", stage.address());
    let channel = tonic::transport::Endpoint::try_from(address).unwrap().connect_lazy();
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap();
    let mut reflection = ServerReflectionClient::new(channel);
    let refused = reflection.server_reflection_info(tokio_stream::iter([])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn where_nobody_is_named_keys_are_not_looked_at() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    for header in ["Bearer anything", "nonsense"] {
        wire.complete(&prompt("hello"), &[("authorization", header)]).await.expect(Code::Ok, "", "");
    }
}

#[tokio::test]
async fn where_the_anonymous_may_call_a_bad_key_is_refused_all_the_same() {
    let stage = Stage::with(&format!("{}allow_anonymous: true", callers(TWO))).await;
    let wire = stage.wire().await;
    wire.complete(&prompt("hello"), &[]).await.expect(Code::Ok, "", "");
    let end = wire.complete(&prompt("hello"), &[("authorization", "Bearer guessed")]).await;
    end.expect(Code::Unauthenticated, "CREDENTIALS_INVALID", "not known");
}

#[tokio::test]
async fn operators_on_this_machine_need_no_key_and_others_need_one_that_may_administer() {
    let near = Stage::with(&callers(TWO)).await;
    operator(&near, None).get_pool(GetPoolRequest {}).await.unwrap();

    let open = |config: &mut completiond::config::Config| config.admin_listen = "0.0.0.0:0".parse().unwrap();
    let far = Stage::set("openai", &callers(TWO), open).await;
    let asked = |key| async { operator(&far, key).get_pool(GetPoolRequest {}).await.map(drop).map_err(|it| it.code()) };
    assert_eq!(asked(None).await, Err(Code::Unauthenticated));
    assert_eq!(asked(Some("guessed".to_owned())).await, Err(Code::Unauthenticated));
    assert_eq!(asked(Some(key("search"))).await, Err(Code::PermissionDenied));
    assert_eq!(asked(Some(key("chief"))).await, Ok(()));
    let told = operator(&far, Some(key("search"))).get_pool(GetPoolRequest {}).await.unwrap_err();
    let ways = ["`admin: true` lets it", "`callers`", "`callers_dir`", "the entry of its issuer's `callers` that fits"];
    assert!(ways.iter().all(|way| told.message().contains(way)), "{}", told.message());
}

#[tokio::test]
async fn a_refused_upload_is_not_held() {
    let stage = Stage::with(&callers(TWO)).await;
    let wire = stage.wire().await;
    let large = CompleteRequest { prompt: "x".repeat(8 << 20), ..prompt("") };
    let end = wire.complete(&large, &[("authorization", "Bearer guessed")]).await;
    end.expect(Code::Unauthenticated, "CREDENTIALS_INVALID", "");
    stage.is_quiet().await;
}

#[tokio::test]
async fn another_configuration_lets_others_in_and_those_who_are_in_finish() {
    let stage = Stage::with(&callers(TWO)).await;
    let mut running =
        of(&stage, "search").stream_complete(prompt("sim: tokens=20 first_event=0ms pace=20ms")).await.unwrap();
    let text = crate::stage::configuration(&stage.upstream.url(), "openai", &callers(&[("newcomer", "")]));
    stage.running.reloading.put_in_force(crate::stage::parsed(&text)).await.unwrap();
    let refused = of(&stage, "search").list_models(ListModelsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    of(&stage, "newcomer").list_models(ListModelsRequest::default()).await.unwrap();
    let mut last = None;
    while let Some(message) = running.get_mut().message().await.unwrap() {
        last = message.event;
    }
    assert!(matches!(last, Some(completiond::proto::stream_complete_response::Event::Completed(_))));
}
