//! What calls of this face leave in the metrics, and that none holds anything for a client that takes nothing.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::desk::{BOTH, Http, JSON, SSE, TEXT};
use crate::scraped::{lines, seen};
use crate::stage::{Stage, framed, prompt};

const SERVICE: &str = "completiond.v1.CompletionService";

#[tokio::test]
async fn calls_count_as_the_methods_that_they_are_with_the_system_that_they_came_by() {
    let stage = Stage::with("").await;
    let asked = "sim: tokens=2 first_event=0ms pace=0ms";
    for http in BOTH {
        assert_eq!(http.stream(&stage, &[TEXT], asked).await.end().await.status, 200);
        assert_eq!(http.stream(&stage, &[JSON], "{").await.end().await.status, 400);
        for method in ["Complete", "StreamComplete"] {
            let headers = [("content-type", "application/grpc-web+proto")];
            let path = format!("/{SERVICE}/{method}");
            let called =
                http.send(stage.address(), ("POST", &path), &headers, framed(&prompt(asked))).await.end().await;
            assert_eq!((called.status, called.broken), (200, None));
        }
        // What is no call is none here either.
        assert_eq!(http.send(stage.address(), ("GET", "/"), &[], "").await.end().await.status, 404);
    }
    let count = |method: &str, status: &str, system: &str| {
        format!(
            "rpc_server_call_duration_seconds_count{{rpc_method=\"{SERVICE}/{method}\",rpc_status_code=\"{status}\",\
             rpc_system_name=\"{system}\"}} 2"
        )
    };
    let expected = [
        count("Complete", "OK", "grpc"),
        count("StreamComplete", "INVALID_ARGUMENT", "http"),
        count("StreamComplete", "OK", "grpc"),
        count("StreamComplete", "OK", "http"),
    ];
    let counted = ["rpc_server_call_duration_seconds_count"];
    let series = seen(&stage.running, |series| lines(series, &counted) == expected).await;
    let overhead = lines(&series, &["completiond_gateway_overhead_seconds_count"]);
    assert!(overhead.iter().any(|line| line.ends_with("StreamComplete\"} 4")), "{overhead:?}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_neither_a_place_nor_its_upstream() {
    let stage = Stage::with("stream: { client_stall: 1s }").await;
    let script = "sim: tokens=200000 first_event=0ms pace=0ms";
    let asked = serde_json::json!({ "prompt": script, "max_tokens": 200_000 }).to_string();
    let head = format!(
        "POST /stream HTTP/1.1\r\nhost: server\r\ncontent-type: application/json\r\naccept: text/event-stream\r\n\
         content-length: {}\r\n\r\n{asked}",
        asked.len()
    );
    // The less the system takes in its place, the sooner it is full.
    let silent = TcpSocket::new_v4().unwrap();
    silent.set_recv_buffer_size(4096).unwrap();
    let mut silent = silent.connect(stage.address()).await.unwrap();
    silent.write_all(head.as_bytes()).await.unwrap();
    stage.upstream_is(|counts| counts.dropped == 1).await;
    stage.is_quiet().await;
    // Others are served meanwhile.
    let other = Http::One.stream(&stage, &[TEXT, SSE], "sim: tokens=1 first_event=0ms").await.end().await;
    assert_eq!(other.broken, None);
}
