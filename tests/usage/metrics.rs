//! The same sums as metrics, as a Prometheus scrapes them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Server;
use crate::stage::{Wire, prompt, within};
use crate::total;

/// What the listener answers to a request in HTTP/1.1: the head, and the body.
async fn asked(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Every series by its name and labels; a line that is none fails.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn named<'a>(series: &'a BTreeMap<String, f64>, name: &'a str) -> impl Iterator<Item = (&'a String, f64)> {
    let is_of = move |key: &str| key.split('{').next() == Some(name);
    series.iter().filter(move |(key, _)| is_of(key)).map(|(key, value)| (key, *value))
}

/// The metrics, once they know this many calls.
async fn after(server: &Server, calls: f64) -> BTreeMap<String, f64> {
    within("the calls are counted", async {
        loop {
            let (_, text) = asked(server.ops, "GET", "/metrics").await;
            let series = series(&text);
            let counted: f64 = named(&series, "completiond_usage_calls_total").map(|(_, value)| value).sum();
            assert!(counted <= calls, "something was counted twice: {text}");
            if counted >= calls {
                return series;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// The answers cost this much: a token of the answer costs two millionths of a dollar.
const PRICED: &str = "
usage: { labels: [team] }
models: [{ id: m, targets: [{ provider: up, model: simulator }], price: { input: 0, output: 2.0 } }]";

#[tokio::test]
async fn a_scrape_shows_what_list_usage_shows() {
    let server = Server::start(PRICED, &[]);
    let wire = Wire::connect(server.public).await;
    let request = |team: &str, text: &str| {
        let mut request = prompt(text);
        request.model = "m".to_owned();
        request.labels = [("team".to_owned(), team.to_owned()), ("secret".to_owned(), "hidden".to_owned())].into();
        request
    };
    let answered = "sim: tokens=3 first_event=0ms pace=0ms\nhello";
    for team in ["red", "red", "blue \"1\""] {
        wire.complete(&request(team, answered), &[]).await.expect(tonic::Code::Ok, "", "");
    }
    wire.complete(&request("red", "sim: error=invalid"), &[]).await;
    let series = after(&server, 4.0).await;
    let sum = total(server.admin).await;
    let all = |name: &str| named(&series, name).map(|(_, value)| value).sum::<f64>();
    assert_eq!(all("completiond_usage_attempts_total"), f64::from(i32::try_from(sum.attempts).unwrap()));
    let tokens = i32::try_from(sum.input_tokens + sum.output_tokens).unwrap();
    assert_eq!(all("completiond_usage_tokens_total"), f64::from(tokens));
    assert!((all("completiond_usage_cost_usd_total") - sum.cost_usd.parse::<f64>().unwrap()).abs() < 1e-15);
    let of = |name, labels: &[&str]| {
        let fits = |key: &str| labels.iter().all(|label| key.contains(label));
        named(&series, name).filter(|(key, _)| fits(key)).map(|(_, value)| value).sum::<f64>()
    };
    let (red, blue) = (r#"completiond_label_team="red""#, r#"completiond_label_team="blue \"1\"""#);
    let (model, endpoint) = (r#"gen_ai_request_model="m""#, r#"completiond_endpoint="up/simulator""#);
    let cost = of("completiond_usage_cost_usd_total", &[red, model, endpoint, r#"completiond_cost_estimated="false""#]);
    assert!((cost - 12e-6).abs() < 1e-12, "{series:?}");
    assert_eq!(of("completiond_usage_calls_total", &[blue, r#"completiond_call_outcome="succeeded""#]), 1.0);
    assert_eq!(of("completiond_usage_calls_total", &[red, r#"completiond_call_outcome="failed""#]), 1.0);
    assert_eq!(of("completiond_usage_tokens_total", &[red, r#"completiond_token_type="output""#]), 6.0);
    assert!(series.keys().all(|key| !key.contains("hidden")), "a label that is not named is not shown");
}

#[tokio::test]
async fn whoever_gets_something_else_is_told_what_there_is() {
    let server = Server::start("", &[]);
    let (head, body) = asked(server.ops, "GET", "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("target_info{") && body.contains("service_name=\"completiond\""), "{body}");
    let (head, body) = asked(server.ops, "HEAD", "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
    let (head, _) = asked(server.ops, "POST", "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 405") && head.contains("allow: GET, HEAD"), "{head}");
    let (head, body) = asked(server.ops, "GET", "/").await;
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("/metrics"), "{head} {body}");
    for elsewhere in [server.public, server.admin] {
        let (_, body) = asked(elsewhere, "GET", "/metrics").await;
        assert!(!body.contains("completiond_"), "metrics are for the listener of probes alone");
    }
}

#[tokio::test]
async fn callers_cannot_make_metrics_grow_without_a_bound() {
    let server = Server::start("usage: { labels: [team] }", &[]);
    let wire = Wire::connect(server.public).await;
    for number in 0..2100 {
        let mut request = prompt("sim: tokens=1 first_event=0ms pace=0ms\nhello");
        request.labels = [("team".to_owned(), number.to_string())].into();
        wire.complete(&request, &[]).await;
    }
    let series = after(&server, 2100.0).await;
    let rest =
        named(&series, "completiond_usage_calls_total").find(|(key, _)| key.contains("team=\"(other)\"")).unwrap();
    assert_eq!(rest.1, 100.0);
    assert_eq!(named(&series, "completiond_usage_calls_total").count(), 2001);
    assert!(series.keys().all(|key| !key.contains("otel_metric_overflow")));
}
