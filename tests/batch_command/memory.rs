//! Memory, which does not grow with the batch.

use crate::desk::{Desk, Running, until};
use crate::stage::Stage;

/// The most memory that the command had while it ran, in KiB.
async fn most_memory(stage: &Stage, items: usize) -> u64 {
    let filler = "x".repeat(1_000);
    let desk = Desk::with((0..items).map(|number| {
        let prompt = format!("sim: tokens=3 pace=0ms first_event=0ms\n{filler}item {number}");
        serde_json::json!({ "custom_id": number.to_string(), "request": { "prompt": prompt } }).to_string()
    }));
    let mut running = Running::start(desk.command(stage.address(), &["--max-concurrency", "50"]));
    let status = format!("/proc/{}/status", running.id());
    let mut most = 0;
    until("the batch is done", || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        most = most.max(now.unwrap_or_default());
        running.has_ended()
    })
    .await;
    let done = running.end().await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(desk.names(), (0..items).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(stage.upstream.simulator().counts().borrow().most_open <= 50);
    most
}

#[tokio::test]
async fn ten_thousand_items_take_no_more_memory_than_a_thousand() {
    let stage = Stage::with("").await;
    let (few, many) = (most_memory(&stage, 1_000).await, most_memory(&stage, 10_000).await);
    println!("at most {few} KiB with 1,000 items, {many} KiB with 10,000");
    assert!(many * 4 <= few * 5, "{few} KiB with 1,000 items and {many} KiB with 10,000");
}
