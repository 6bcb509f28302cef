//! How much a caller may have in flight.

use completiond::proto::ListModelsRequest;
use tonic::Code;
use tonic_types::StatusExt;

use crate::desk::{callers, of, shown};
use crate::stage::{Stage, eventually, prompt};

#[tokio::test]
async fn calls_of_one_caller_beyond_its_limit_are_refused_and_those_of_others_are_not() {
    let stage = Stage::with(&callers(&[("search", ", limits: { in_flight: 2 }"), ("chat", "")])).await;
    let wire = stage.wire().await;
    let (search, chat) = (shown("search"), shown("chat"));
    let long = prompt("sim: tokens=1000 first_event=0ms pace=1s");
    let open = async || {
        let mut events = wire.stream(&long, &[("authorization", &search)]).await;
        events.next().await.unwrap();
        events
    };
    let (first, second) = (open().await, open().await);
    let end = wire.complete(&prompt("hello"), &[("authorization", &search)]).await;
    end.expect(Code::ResourceExhausted, "CALLER_LIMIT_EXCEEDED", "2 calls of this caller");
    wire.complete(&prompt("sim: tokens=1 first_event=0ms"), &[("authorization", &chat)]).await.expect(Code::Ok, "", "");
    let status = of(&stage, "search").list_models(ListModelsRequest::default()).await.unwrap_err();
    let details = status.get_error_details();
    let violation = details.quota_failure().unwrap().violations.first().unwrap();
    assert_eq!(violation.subject, "caller:search in_flight");
    assert!(details.retry_info().unwrap().retry_delay.is_some());
    drop(first);
    eventually("one of two has ended", || stage.running.admission.calls_in_flight() == 1).await;
    wire.complete(&prompt("sim: tokens=1 first_event=0ms"), &[("authorization", &search)]).await.expect(
        Code::Ok,
        "",
        "",
    );
    drop(second);
    stage.is_quiet().await;
}
