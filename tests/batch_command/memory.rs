//! Memory, which does not grow with the batch.

use crate::desk::{Desk, Running, requests, until};
use crate::stage::Stage;

const AT_A_TIME: usize = 50;

/// The most memory that the command had while it ran, in KiB. It is killed when the upstream has had each of these
/// numbers of requests, and goes on.
async fn most_memory(items: usize, kills: &[usize]) -> u64 {
    let stage = Stage::with("").await;
    let filler = "x".repeat(1_000);
    let desk = Desk::with((0..items).map(|number| {
        let prompt = format!("sim: tokens=3 pace=0ms first_event=0ms\n{filler}item {number}");
        serde_json::json!({ "custom_id": number.to_string(), "request": { "prompt": prompt } }).to_string()
    }));
    let mut most = 0;
    for kill in kills.iter().copied().chain([usize::MAX]) {
        let mut running = Running::start(desk.command(stage.address(), &["--max-concurrency", "50"]));
        let status = format!("/proc/{}/status", running.id());
        until("the batch is done, or killed", || {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            most = most.max(now.unwrap_or_default());
            running.has_ended() || requests(&stage.upstream) >= kill
        })
        .await;
        if kill < usize::MAX {
            running.signal("KILL");
            running.end().await;
            stage.is_quiet().await;
            continue;
        }
        let done = running.end().await;
        assert_eq!(done.code, 0, "{}", done.err);
    }
    assert_eq!(desk.names(), (0..items).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(stage.upstream.simulator().counts().borrow().most_open <= AT_A_TIME);
    let asked = requests(&stage.upstream);
    assert!((items..=items + AT_A_TIME * kills.len()).contains(&asked), "{items} items were asked {asked} times");
    most
}

#[tokio::test]
async fn ten_thousand_items_take_no_more_memory_than_a_thousand() {
    let (few, many) = (most_memory(1_000, &[]).await, most_memory(10_000, &[4_000]).await);
    println!("at most {few} KiB with 1,000 items, {many} KiB with 10,000");
    assert!(many * 4 <= few * 5, "{few} KiB with 1,000 items and {many} KiB with 10,000");
}
