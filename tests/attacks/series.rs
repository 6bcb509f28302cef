//! Names that callers make up do not make metrics grow, in number or in length, and are no line of their own there.

use completiond::proto::CompleteRequest;
use futures_util::stream::StreamExt;

use crate::paper::measured;
use crate::server::{MIB, Server, ask, shown};
use crate::stage::Wire;

/// The calls, each with names that no other has.
const CALLS: u32 = 3000;
/// The most that a scrape may have, in bytes, whatever is asked.
const MOST: usize = 16 * MIB;

#[tokio::test]
async fn metrics_stay_small_whatever_names_are_made_up() {
    let server = Server::with("usage: { labels: [team, task, user] }").await;
    server.serves().await;
    let before = server.metrics().await.len();
    let wire = Wire::connect(server.public).await;
    let calls = futures_util::stream::iter(0..CALLS).map(|number| {
        let long = |most: usize| format!("{number}{}\u{1b}[2J\n\"}}\\", "\u{1f600}".repeat(most));
        let labels = ["team", "task", "user"].map(|key| (key.to_owned(), long(240))).into();
        let model = format!("up/{number}{}", "\u{1f600}".repeat(500));
        let asked = CompleteRequest { model, labels, ..ask("hello") };
        let wire = &wire;
        async move { wire.complete(&asked, &shown()).await }
    });
    let mut answers = calls.buffer_unordered(50);
    while let Some(end) = answers.next().await {
        end.expect(tonic::Code::Ok, "", "");
    }
    drop(answers);
    // The sums of usage are carried on once a second.
    let text = crate::stage::within("all are counted", async {
        loop {
            let text = server.metrics().await;
            let calls = text.lines().filter(|line| line.starts_with("completiond_usage_calls_total{"));
            let all: f64 = calls.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
            if all >= f64::from(CALLS) {
                break text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    })
    .await;
    assert!(text.len() < MOST, "{} bytes", text.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "a terminal would obey it");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let is_series = series.ends_with('}') || !series.contains('{');
        assert!(value.parse::<f64>().is_ok() && is_series, "{line}");
        assert!(line.len() < 1500, "{} bytes in {line}", line.len());
    }
    let told = format!(
        "{CALLS} calls, each with a name of 2000 bytes and three labels of 960: /metrics has {} KiB, {} before",
        text.len().div_ceil(1024),
        before.div_ceil(1024)
    );
    measured("metrics_stay_small_whatever_names_are_made_up", &told);
}
