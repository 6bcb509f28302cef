//! An answer that breaks off after it has begun never looks complete.

use crate::desk::{BOTH, Ended, Http, SSE, TEXT, detail, told_reason};
use crate::stage::Stage;

/// What breaks an answer in its middle, and the reason that is told.
const FAULTS: [(&str, &str); 4] = [
    ("reset_after=20", "STREAM_INTERRUPTED"),
    ("cut_after=20", "STREAM_INTERRUPTED"),
    ("error_after=20", "PROVIDER_UNAVAILABLE"),
    ("no_end", "STREAM_INTERRUPTED"),
];

async fn broken(stage: &Stage, http: Http, fault: &str, headers: &[(&str, &str)]) -> Ended {
    let body = format!("sim: tokens=60 first_event=0ms pace=0ms {fault}");
    let ended = http.stream(stage, headers, body).await.end().await;
    assert_eq!(ended.status, 200, "{http:?} {fault}: it had begun: {ended:?}");
    ended
}

#[tokio::test]
async fn text_that_is_cut_ends_without_an_end() {
    let stage = Stage::with("retry: { max_attempts: 1 }").await;
    for http in BOTH {
        for (fault, _) in FAULTS {
            let ended = broken(&stage, http, fault, &[TEXT]).await;
            let told = ended.broken.as_deref().unwrap_or_else(|| panic!("{http:?} {fault}: it looks complete"));
            let is_shown = match http {
                Http::One => told.contains("IncompleteMessage") || told.contains("UnexpectedEof"),
                Http::Two => told.contains("INTERNAL_ERROR"),
            };
            assert!(is_shown, "{http:?} {fault}: {told}");
            assert!(!ended.body.is_empty(), "{http:?} {fault}: what came before it is there");
        }
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn an_event_stream_that_is_cut_says_why_and_ends_without_an_end() {
    let stage = Stage::with("retry: { max_attempts: 1 }").await;
    for http in BOTH {
        for (fault, reason) in FAULTS {
            let ended = broken(&stage, http, fault, &[TEXT, SSE]).await;
            assert!(ended.broken.is_some(), "{http:?} {fault}: it looks complete");
            let told = ended.events();
            let last = told.last().unwrap();
            assert_eq!((last.name.as_str(), last.id.as_str()), ("error", ""), "{http:?} {fault}: {told:?}");
            let error = &last.json()["error"];
            assert_eq!(told_reason(error), reason, "{http:?} {fault}: {error}");
            assert_eq!((&error["status"], &error["code"]), (&"UNAVAILABLE".into(), &503.into()), "{error}");
            assert_eq!(detail(error, "google.rpc.RequestInfo")["request_id"], ended.header("x-request-id"));
            assert!(detail(error, "completiond.v1.FailureDetail")["usage"].is_object(), "{error}");
            assert!(!told.iter().any(|event| event.name == "completed"), "{told:?}");
        }
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_server_that_stops_breaks_off_what_it_cannot_finish() {
    for http in BOTH {
        let stage = Stage::with("drain_delay: 0\nshutdown_grace: 0").await;
        let mut answer =
            http.stream(&stage, &[TEXT, SSE], "sim: tokens=60 first_event=0ms pace=0ms stall_after=20").await;
        answer.piece().await.unwrap();
        let stopped = tokio::spawn(stage.running.stop());
        let ended = answer.end().await;
        assert!(ended.broken.is_some(), "{ended:?}");
        assert_eq!(told_reason(&ended.events().last().unwrap().json()["error"]), "SHUTTING_DOWN");
        stopped.await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_begins_anew_is_told_in_an_event_stream() {
    let more = "models: [{ id: two, targets: [{ provider: up, model: 'simulator?reset_after=20' }], fallback_models: [three] }, \
                { id: three, targets: [{ provider: up, model: simulator }] }]";
    let stage = Stage::with(more).await;
    let body = serde_json::json!({
        "model": "two", "prompt": "sim: tokens=60 first_event=0ms pace=0ms", "restart_on_interruption": true,
    });
    for http in BOTH {
        let json = crate::desk::JSON;
        let ended = http.stream(&stage, &[json, SSE], body.to_string()).await.end().await;
        assert_eq!(ended.broken, None, "{ended:?}");
        let names: Vec<String> = ended.events().into_iter().map(|event| event.name).collect();
        assert!(names.iter().any(|name| name == "restarted"), "{names:?}");
        assert_eq!(names.last().unwrap(), "completed");
        let refused = http.stream(&stage, &[json], body.to_string()).await.end().await;
        refused.refuses(400, "INVALID_REQUEST", "restart_on_interruption", "text/event-stream");
    }
}
