//! The text that a Prometheus scrapes.

use std::collections::BTreeMap;

use completiond::app::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{tcp, within};

/// Series by their names and labels, without the scope's.
pub(crate) type Series = BTreeMap<String, f64>;

/// The text, as a scrape gets it.
pub(crate) async fn text(running: &Running) -> String {
    let mut connection = TcpStream::connect(tcp(&running.ops)).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// All series of a text.
pub(crate) fn series(text: &str) -> Series {
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(' '));
    let split = lines.filter_map(|line| line.rsplit_once(' '));
    split.filter_map(|(name, value)| Some((without_scope(name), value.parse().ok()?))).collect()
}

/// Each series has the scope that made it; here there is one.
fn without_scope(name: &str) -> String {
    let Some((name, labels)) = name.split_once('{') else { return name.to_owned() };
    let labels = labels.trim_end_matches('}').split("\",").map(|label| label.trim_end_matches('"'));
    let own = labels.filter(|label| !label.starts_with("otel_scope_"));
    let own: Vec<String> = own.map(|label| format!("{label}\"")).collect();
    format!("{name}{{{}}}", own.join(","))
}

/// The series of a text whose names begin so, once `is_there`.
pub(crate) async fn seen(running: &Running, is_there: impl Fn(&Series) -> bool) -> Series {
    let mut latest = Series::new();
    let looking = async {
        loop {
            latest = series(&text(running).await);
            if is_there(&latest) {
                return latest.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    within("the metrics are as they should be", looking).await
}

/// The counts of `series` by these names, as lines. Of a histogram: how often something was recorded.
pub(crate) fn lines(series: &Series, names: &[&str]) -> Vec<String> {
    let is_of = |key: &str| names.contains(&key.split('{').next().unwrap_or_default());
    series.iter().filter(|(key, _)| is_of(key)).map(|(key, value)| format!("{key} {value}")).collect()
}
