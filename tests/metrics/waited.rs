//! What a call waited for is not the gateway's own time. Both are measured by the same clock, so that a machine that is busy
//! makes the one longer and never the other shorter.

use std::time::Duration;

use crate::scraped::{Series, seen};
use crate::stage::{Stage, Wire, prompt};

/// How long the only call was, less what is told as the gateway's own, in seconds.
fn waited(series: &Series, method: &str) -> f64 {
    let of = |name: &str| {
        let mut found = series.iter().filter(|(key, _)| key.starts_with(name) && key.contains(method));
        *found.next().unwrap_or_else(|| panic!("no {name} in {series:?}")).1
    };
    let own = of("completiond_gateway_overhead_seconds_sum");
    assert!(own > 0.0, "something is always done");
    of("rpc_server_call_duration_seconds_sum") - own
}

fn is_counted(series: &Series) -> bool {
    series.keys().any(|key| key.starts_with("completiond_gateway_overhead_seconds_sum"))
}

#[tokio::test]
async fn waiting_for_a_provider_is_no_work_of_the_gateway() {
    // Before the head, behind it, between the events, and of an answer that comes whole.
    for script in ["head=300ms", "first_event=300ms", "tokens=4 pace=100ms"] {
        for method in ["Complete", "StreamComplete"] {
            let stage = Stage::with("").await;
            let wire = stage.wire().await;
            let mut request = prompt(&format!("sim: tokens=2 first_event=0ms pace=0ms {script}\nhello"));
            request.max_tokens = Some(100);
            let response = wire.send(method, &request, &[]).await.unwrap();
            crate::stage::Events::of(response).end().await.expect(tonic::Code::Ok, "", "");
            let waited = waited(&seen(&stage.running, is_counted).await, method);
            assert!(waited >= 0.295, "{script} of {method}: {waited}");
        }
    }
}

#[tokio::test]
async fn waiting_for_a_client_is_no_work_of_the_gateway() {
    let stage = Stage::with("").await;
    let wire = Wire::with_window(stage.address(), 200).await;
    // More than is gathered for one write, so that the end of the answer waits for the client as well.
    let mut events = wire.stream(&prompt("sim: tokens=3000 first_event=0ms pace=0ms\nhello"), &[]).await;
    events.next().await.unwrap();
    // What the client does meanwhile.
    tokio::time::sleep(Duration::from_millis(500)).await;
    events.end().await.expect(tonic::Code::Ok, "", "");
    let waited = waited(&seen(&stage.running, is_counted).await, "StreamComplete");
    assert!(waited >= 0.4, "{waited}");
}
