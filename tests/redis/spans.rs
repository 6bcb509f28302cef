//! Questions to a server that processes share, as spans of the calls that wait for them.

use completiond::proto::CompleteRequest;

use crate::answers::{QUICK, SHARED};
use crate::calls::{asked, whole};
use crate::process::Server;
use crate::receiver::Receiver;
use crate::servers::Redis;
use crate::stage::Wire;

#[tokio::test]
async fn what_is_looked_for_elsewhere_is_a_span_of_its_call() {
    let redis = Redis::start().await;
    let receiver = Receiver::start();
    let endpoint = receiver.url();
    let variables = [("REDIS_URL", redis.url()), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let settings = format!("{SHARED}\ncompletions: {{ redis_url: \"${{REDIS_URL}}\" }}");
    let server = Server::start(&settings, &[&variables[..], &[("OTEL_BSP_SCHEDULE_DELAY", "50")]].concat());
    let request_id = "0191e0a5-5d3c-7c3e-9c56-6f5f2f6d8a11".to_owned();
    let wire = Wire::connect(server.public).await;
    whole(&wire, &CompleteRequest { request_id, ..asked(QUICK) }).await;
    receiver.until("all spans have come", |got| got.spans().len() == 5).await;
    let spans = receiver.received().spans();
    let chat = spans.iter().find(|span| span.name.starts_with("chat")).unwrap();
    for name in ["completiond.cache.lookup", "completiond.replay.lookup"] {
        let lookup = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(lookup.parent_span_id, chat.span_id, "{name}");
    }
}
