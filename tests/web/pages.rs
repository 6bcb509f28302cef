//! Which pages may call, and what browsers are told about it.

use crate::desk::{BOTH, Http, SSE, TEXT, caller};
use crate::stage::{Stage, prompt, tcp};

const APP: &str = "https://app.example";
const LISTED: &str = "web: { origins: ['https://app.example', 'http://localhost:5173'] }";
const ASKED: [(&str, &str); 2] = [
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type,grpc-timeout,x-grpc-web,x-team"),
];

#[tokio::test]
async fn a_page_that_is_not_listed_is_refused_before_anything_is_asked() {
    for settings in ["", LISTED] {
        let stage = Stage::with(settings).await;
        for http in BOTH {
            for origin in ["https://evil.example", "null", "http://app.example"] {
                for headers in [
                    // What a browser sends of any page without asking first.
                    vec![TEXT, ("origin", origin)],
                    vec![TEXT, SSE, ("origin", origin)],
                    vec![("content-type", "application/grpc-web+proto"), ("origin", origin)],
                ] {
                    let answer = http.stream(&stage, &headers, "hello").await.end().await;
                    answer.refuses(403, "PERMISSION_DENIED", "", "");
                    assert_eq!(answer.header("access-control-allow-origin"), "");
                }
                let headers = [&[("origin", origin)], &ASKED[..]].concat();
                let preflight = http.send(stage.address(), ("OPTIONS", "/stream"), &headers, "").await.end().await;
                preflight.refuses(403, "PERMISSION_DENIED", "", "");
                assert_eq!(preflight.header("access-control-allow-origin"), "");
            }
        }
        assert_eq!(stage.upstream.received().len(), 0);
    }
}

#[tokio::test]
async fn a_listed_page_is_told_that_it_may_call_without_a_key() {
    let stage = Stage::with(&format!("{}{LISTED}", caller("the-key", ""))).await;
    for http in BOTH {
        for path in ["/stream", "/completiond.v1.CompletionService/StreamComplete"] {
            let headers = [&[("origin", APP)], &ASKED[..]].concat();
            let preflight = http.send(stage.address(), ("OPTIONS", path), &headers, "").await.end().await;
            assert_eq!(preflight.status, 200, "{preflight:?}");
            assert_eq!(preflight.header("access-control-allow-origin"), APP);
            assert_eq!(preflight.header("access-control-allow-credentials"), "true");
            assert_eq!(preflight.header("access-control-allow-methods"), "POST");
            assert_eq!(preflight.header("access-control-allow-headers"), ASKED[1].1);
            assert_eq!(preflight.header("access-control-max-age"), "7200");
        }
    }
    assert_eq!(stage.running.admission.calls_in_flight(), 0);
}

#[tokio::test]
async fn what_a_listed_page_gets_is_for_it_to_see_refusals_among_it() {
    let stage = Stage::with(&format!("{}{LISTED}", caller("the-key", ""))).await;
    for http in BOTH {
        for (key, status) in [("Bearer the-key", 200), ("Bearer guessed", 401)] {
            let headers = [TEXT, ("origin", APP), ("authorization", key)];
            let answer = http.stream(&stage, &headers, "sim: tokens=1 first_event=0ms").await.end().await;
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), APP);
            assert!(answer.headers.get_all("vary").iter().any(|vary| vary.to_str().unwrap().contains("origin")));
            let exposed = answer.header("access-control-expose-headers");
            for name in [
                "grpc-status",
                "grpc-message",
                "grpc-status-details-bin",
                "grpc-retry-pushback-ms",
                "retry-after",
                "x-request-id",
            ] {
                assert!(exposed.contains(name), "{name} is not in {exposed}");
            }
        }
    }
}

#[tokio::test]
async fn a_star_lets_every_page_call_with_a_key_and_without_its_cookies() {
    let stage = Stage::with(&format!("{}web: {{ origins: ['*'] }}", caller("the-key", ""))).await;
    for http in BOTH {
        let origin = ("origin", "https://anyone.example");
        let headers = [&[origin], &ASKED[..]].concat();
        let preflight = http.send(stage.address(), ("OPTIONS", "/stream"), &headers, "").await.end().await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, "*"));
        assert_eq!(preflight.header("access-control-allow-credentials"), "");
        let headers = [TEXT, origin, ("authorization", "Bearer the-key")];
        let answer = http.stream(&stage, &headers, "sim: tokens=1 first_event=0ms").await.end().await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"));
        let unknown = http.stream(&stage, &[TEXT, origin], "hello").await.end().await;
        assert_eq!((unknown.status, unknown.header("access-control-allow-origin")), (401, "*"));
    }
}

#[tokio::test]
async fn grpc_from_a_proxy_that_passes_an_origin_on_is_served() {
    let stage = Stage::with("").await;
    let headers = [("origin", "https://anyone.example")];
    let end = stage.wire().await.complete(&prompt("sim: tokens=1 first_event=0ms"), &headers).await;
    end.expect(tonic::Code::Ok, "", "");
}

#[tokio::test]
async fn a_page_whose_name_was_led_here_is_refused_though_it_asks_nobody_and_says_that_it_speaks_grpc() {
    for (settings, status) in [("", 403), (LISTED, 200)] {
        let stage = Stage::with(settings).await;
        let headers = [("content-type", "application/grpc"), ("te", "trailers"), ("origin", APP)];
        let target = ("POST", "/completiond.v1.CompletionService/ListModels");
        let answer = Http::One.send(stage.address(), target, &headers, vec![0; 5]).await.end().await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn no_page_calls_the_rpcs_of_operators_whatever_is_listed() {
    let stage = Stage::with(LISTED).await;
    let target = ("POST", "/completiond.v1.AdminService/GetPool");
    for http in BOTH {
        for content_type in ["text/plain", "application/grpc"] {
            let headers = [("content-type", content_type), ("origin", APP)];
            let answer = http.send(tcp(&stage.running.admin), target, &headers, vec![0; 5]).await.end().await;
            answer.refuses(403, "PERMISSION_DENIED", "", "");
        }
        let answer = http.send(tcp(&stage.running.admin), target, &[("content-type", "application/grpc")], vec![0; 5]);
        assert_eq!(answer.await.end().await.status, 200, "who is no page");
    }
}
