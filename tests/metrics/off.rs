//! Where the standard variable turns all of it off.

use completiond::telemetry::Guard;

use crate::scraped::text;
use crate::stage::{Wire, configuration, parsed, prompt, tcp};

#[tokio::test]
async fn where_everything_is_off_calls_are_answered_and_nothing_is_counted() {
    let guard = Guard::start(|name| (name == "OTEL_SDK_DISABLED").then(|| "true".to_owned())).unwrap();
    let config = parsed(&configuration("simulator://local", "openai", "drain_delay: 0\nshutdown_grace: 1s"));
    let running = completiond::app::start(&config, guard.instruments()).await.unwrap();
    let end = Wire::connect(tcp(&running.public)).await.complete(&prompt("sim: tokens=1 first_event=0ms"), &[]).await;
    end.expect(tonic::Code::Ok, "", "");
    assert_eq!(text(&running).await, "# OTEL_SDK_DISABLED is true: nothing is counted\n");
    running.stop().await;
}
