//! What `POST /stream` answers, and that it is what a gRPC call answers.

use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::{CompleteRequest, CompleteResponse, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::desk::{BOTH, JSON, SSE, TEXT, Told, WHOLE, caller, detail, told_reason};
use crate::fold::fold;
use crate::stage::{Stage, prompt, within};

const PROMPT: &str = "sim: tokens=30 think=5 first_event=0ms pace=0ms\nWhy is the sky blue?";

/// What the unary call answers.
async fn whole(stage: &Stage, request: CompleteRequest) -> CompleteResponse {
    let mut client = CompletionServiceClient::connect(format!("http://{}", stage.address())).await.unwrap();
    client.complete(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn text_is_what_the_unary_call_answers() {
    let stage = Stage::with("").await;
    let expected = whole(&stage, CompleteRequest { prompt: PROMPT.to_owned(), ..Default::default() }).await;
    assert!(expected.text.len() > 50, "{expected:?}");
    let json = serde_json::json!({ "prompt": PROMPT }).to_string();
    for http in BOTH {
        for (content_type, body) in
            [(TEXT, PROMPT), (JSON, json.as_str()), (("content-type", "application/x-www-form-urlencoded"), PROMPT)]
        {
            let answer = http.stream(&stage, &[content_type], body.to_owned()).await.end().await;
            assert_eq!((answer.status, &answer.broken), (200, &None), "{http:?} {content_type:?}: {answer:?}");
            assert_eq!(answer.text(), expected.text, "{http:?} {content_type:?}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!((answer.header("cache-control"), answer.header("x-accel-buffering")), ("no-store", "no"));
        }
    }
}

#[tokio::test]
async fn events_fold_to_what_the_unary_call_answers() {
    let stage = Stage::with("").await;
    let expected = whole(&stage, CompleteRequest { prompt: PROMPT.to_owned(), ..Default::default() }).await;
    for http in BOTH {
        let answer = http.stream(&stage, &[TEXT, SSE], PROMPT).await.end().await;
        assert_eq!((answer.status, &answer.broken), (200, &None), "{answer:?}");
        assert_eq!(answer.header("content-type"), "text/event-stream");
        let told = answer.events();
        for (place, event) in told.iter().enumerate() {
            assert_eq!(event.id, place.to_string(), "{event:?}");
            assert!(!event.json()[&event.name].is_null(), "the name is the kind of the event: {event:?}");
        }
        let id = told[0].json()["started"]["id"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("x-request-id"), id);
        assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        let folded = fold(&told.iter().map(Told::message).collect::<Vec<_>>()).unwrap();
        assert_eq!((&folded.text, &folded.message), (&expected.text, &expected.message));
        let ends = [&folded, &expected].map(|answer| {
            let outcome = answer.outcome.clone().unwrap();
            (outcome.finish_reason, outcome.usage, outcome.cost, outcome.provider, outcome.model)
        });
        assert_eq!(ends[0], ends[1]);
    }
}

#[tokio::test]
async fn json_is_the_whole_answer_of_the_unary_call_with_its_length() {
    let stage = Stage::with("").await;
    let expected = whole(&stage, CompleteRequest { prompt: PROMPT.to_owned(), ..Default::default() }).await;
    let body = serde_json::json!({ "prompt": PROMPT }).to_string();
    for http in BOTH {
        for (content_type, body) in [(TEXT, PROMPT), (JSON, body.as_str())] {
            let answer = http.stream(&stage, &[content_type, WHOLE], body.to_owned()).await.end().await;
            assert_eq!((answer.status, &answer.broken), (200, &None), "{answer:?}");
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("content-length"), answer.body.len().to_string());
            let told: CompleteResponse = json::read("CompleteResponse", answer.text()).unwrap();
            assert_eq!((&told.text, &told.message), (&expected.text, &expected.message));
            let ends = [&told, &expected].map(|answer| {
                let outcome = answer.outcome.clone().unwrap();
                (outcome.finish_reason, outcome.usage, outcome.cost, outcome.provider, outcome.model)
            });
            assert_eq!(ends[0], ends[1]);
            assert_eq!(told.outcome.unwrap().id, answer.header("x-request-id"));
        }
        let failed = http.stream(&stage, &[TEXT, WHOLE], "sim: error=400").await.end().await;
        failed.refuses(400, "PROVIDER_REJECTED", "", "");
    }
    // What breaks in the middle is an error like any other.
    let stage = Stage::with("retry: { max_attempts: 1 }").await;
    for http in BOTH {
        let cut = http.stream(&stage, &[TEXT, WHOLE], "sim: tokens=60 pace=0ms cut_after=20").await.end().await;
        assert_eq!((cut.status, told_reason(&cut.error()).as_str()), (503, "PROVIDER_UNAVAILABLE"));
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn an_answer_without_text_is_no_empty_body() {
    let stage = Stage::with("").await;
    for http in BOTH {
        for (script, reason, words) in [
            (
                "refuse",
                "REFUSAL",
                "the model refuses to answer, and says: I will not do that: this refusal is simulated.",
            ),
            ("filter=prompt", "CONTENT_FILTER", "a filter has ended the answer before any text"),
            ("refuse think=20", "REFUSAL", "the model refuses to answer, and says: "),
        ] {
            let asked = format!("sim: {script} first_event=0ms pace=0ms");
            let answer = http.stream(&stage, &[TEXT], asked.clone()).await.end().await;
            let error = answer.error();
            assert_eq!((answer.status, told_reason(&error).as_str()), (422, reason), "{error}");
            assert!(error["message"].as_str().unwrap().starts_with(words), "{error}");
            let outcome = detail(&error, "completiond.v1.CompletionOutcome");
            assert_eq!(
                (&outcome["finish_reason"], &outcome["id"]),
                (&format!("FINISH_REASON_{reason}").into(), &answer.header("x-request-id").into(),)
            );
            assert!(outcome["usage"].is_object(), "{error}");
            // Who takes all of an answer is answered.
            let events = http.stream(&stage, &[TEXT, SSE], asked.clone()).await.end().await;
            assert_eq!((events.status, &events.broken), (200, &None), "{events:?}");
            let whole = http.stream(&stage, &[TEXT, WHOLE], asked).await.end().await;
            assert!(whole.status == 200 && whole.text().contains(reason), "{whole:?}");
        }
        // What a filter ends in the middle does not look whole.
        let filtered =
            http.stream(&stage, &[TEXT], "sim: filter=answer tokens=60 first_event=0ms pace=0ms").await.end().await;
        assert!(filtered.status == 200 && filtered.broken.is_some() && !filtered.body.is_empty(), "{filtered:?}");
        let short =
            http.stream(&stage, &[JSON], r#"{"prompt": "sim: tokens=60 pace=0ms", "max_tokens": 5}"#).await.end().await;
        assert_eq!((short.status, &short.broken), (200, &None), "a bound is no refusal: {short:?}");
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn pieces_come_as_they_are_made() {
    let stage = Stage::with("").await;
    for http in BOTH {
        let body = "sim: tokens=50 first_event=0ms pace=0ms stall_after=20";
        let mut answer = http.stream(&stage, &[TEXT], body).await;
        assert_eq!(answer.status, 200);
        // Nothing more than this ever comes from upstream, and no end.
        assert!(!answer.piece().await.unwrap().unwrap().is_empty());
        drop(answer);
        stage.is_quiet().await;
    }
}

#[tokio::test]
async fn a_prompt_of_a_form_is_taken_as_it_stands_and_the_address_names_its_model() {
    let stage = Stage::with("").await;
    let typed = "prompt=a+b&c=%20%C3%BC = ü?";
    for http in BOTH {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let asked = ("POST", "/stream?model=up%2Fsimulator%3Fecho%26pace=0ms");
        let answer = http.send(stage.address(), asked, &headers, typed).await.end().await;
        assert_eq!(answer.text(), typed, "{answer:?}");
    }
}

#[tokio::test]
async fn a_silence_is_told_by_heartbeats_and_a_deadline_ends_it() {
    let stage = Stage::with("stream: { heartbeat: 50ms }\nretry: { max_attempts: 1 }").await;
    let stalled = "sim: tokens=50 first_event=0ms pace=0ms stall_after=20";
    for http in BOTH {
        let headers = [TEXT, SSE, ("grpc-timeout", "1500m")];
        let answer = http.stream(&stage, &headers, stalled).await.end().await;
        let told = answer.events();
        assert!(told.iter().any(|event| event.name == "heartbeat"), "{told:?}");
        let last = told.last().unwrap();
        assert_eq!((last.name.as_str(), &last.json()["error"]["status"]), ("error", &"DEADLINE_EXCEEDED".into()));
        assert!(answer.broken.is_some());
        let never_begun = http.stream(&stage, &[TEXT, ("grpc-timeout", "200m")], "sim: silence").await.end().await;
        never_begun.refuses(504, "DEADLINE_EXCEEDED", "", "");
        let unread = http.stream(&stage, &[TEXT, ("grpc-timeout", "soon")], "hello").await.end().await;
        unread.refuses(400, "INVALID_REQUEST", "grpc-timeout", "digits and a unit");
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_callers_trace_and_key_count_here_as_well() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let stage = Stage::with(&caller("the-key", ", labels: { team: pages }")).await;
    for http in BOTH {
        let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
        let headers = [TEXT, ("authorization", "Bearer the-key"), ("traceparent", &traceparent)];
        let answer = http.stream(&stage, &headers, "sim: tokens=1 first_event=0ms").await.end().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = stage.upstream.received();
        let passed_on = received.last().unwrap().headers.get("traceparent").unwrap().to_str().unwrap();
        assert!(passed_on.contains(TRACE), "{passed_on}");
    }
}

#[tokio::test]
async fn what_was_in_flight_is_given_back() {
    let stage = Stage::with("limits: { max_in_flight: 1 }").await;
    for http in BOTH {
        for _ in 0..3 {
            let answer = http.stream(&stage, &[TEXT], "sim: tokens=1 first_event=0ms").await.end().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            stage.is_quiet().await;
        }
        let open = http.stream(&stage, &[TEXT], "sim: tokens=9 first_event=0ms pace=0ms stall_after=5").await;
        let refused = http.stream(&stage, &[TEXT], "hello").await.end().await;
        refused.refuses(503, "OVERLOADED", "", "");
        assert_eq!(refused.header("retry-after"), "1");
        // It counts for gRPC as well.
        let end = stage.wire().await.complete(&prompt("hello"), &[]).await;
        end.expect(tonic::Code::Unavailable, "OVERLOADED", "too many calls");
        drop(open);
        stage.is_quiet().await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_stops_its_upstream() {
    let stage = Stage::with("").await;
    for http in BOTH {
        for (body, has_begun) in [("sim: tokens=1000 first_event=0ms pace=1s", true), ("sim: silence", false)] {
            let asked = http.stream(&stage, &[TEXT], body);
            if has_begun {
                let mut answer = asked.await;
                answer.piece().await.unwrap();
                drop(answer);
            } else {
                // Dropped as soon as it has reached the upstream.
                let mut asked = Box::pin(asked);
                let reached = stage.upstream_is(|counts| counts.open == 1);
                within("the upstream is asked", async {
                    tokio::select! {
                        _ = asked.as_mut() => panic!("it was answered"),
                        _ = reached => {}
                    }
                })
                .await;
                drop(asked);
            }
            stage.is_quiet().await;
        }
    }
}

#[tokio::test]
async fn a_client_of_http_1_that_closes_its_half_gets_what_is_made_at_once() {
    let stage = Stage::with("").await;
    for behind in ["", "\n"] {
        let mut client = TcpStream::connect(stage.address()).await.unwrap();
        client.write_all(format!("GET / HTTP/1.1\r\nhost: server\r\n\r\n{behind}").as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        within("the connection is closed", client.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404") && answer.trim_end().ends_with('}'), "{behind:?}: {answer}");
    }
}

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// It closes the connection.
    Closing,
    /// It says that it sends nothing more.
    Ending,
    /// It resets the connection.
    Resetting,
}

#[tokio::test]
async fn what_a_client_of_http_1_sends_behind_its_request_does_not_hide_that_it_goes_away() {
    let stage = Stage::with("limits: { max_in_flight: 1 }").await;
    for asked in ["sim: silence", "sim: tokens=1000 first_event=0ms pace=0ms stall_after=3"] {
        let head = "POST /stream HTTP/1.1\r\nhost: server\r\ncontent-type: text/plain\r\ncontent-length:";
        let request = format!("{head} {}\r\n\r\n{asked}", asked.len());
        for behind in ["\n".to_owned(), request.clone(), "x".repeat(30_000)] {
            for leaving in [Leaving::Closing, Leaving::Ending, Leaving::Resetting] {
                let mut client = TcpStream::connect(stage.address()).await.unwrap();
                client.write_all(request.as_bytes()).await.unwrap();
                stage.upstream_is(|counts| counts.open == 1).await;
                // Less than the system holds for a reader: the end of what has no room there is not sent.
                client.write_all(behind.as_bytes()).await.unwrap();
                match leaving {
                    Leaving::Closing => drop(client),
                    Leaving::Ending => client.shutdown().await.unwrap(),
                    Leaving::Resetting => {
                        client.set_zero_linger().unwrap();
                        drop(client);
                    }
                }
                stage.is_quiet().await;
            }
        }
    }
}
