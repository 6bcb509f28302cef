//! What became of a call, asked over real sockets: whatever way it ended, and whether or not its caller was told.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, OnceLock};

use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::stream_complete_response::Event;
use completiond::proto::{
    AttemptOutcome, CompleteRequest, Completion, CompletionOutcome, CompletionState as State, FailureDetail,
    FinishReason, GetCompletionRequest, UsageSource,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use stage::{Events, Stage, Wire, prompt, tcp, within};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A model whose tokens have a price.
const PRICED: &str = "models:\n  - id: priced\n    targets: [{ provider: up, model: simulator }]\n    \
                      price: { input: 3, output: 15 }\nretry: { max_attempts: 2, base_delay: 0 }\n";

/// A server, and a client that asks it what became of calls.
struct Desk {
    stage: Stage,
    client: CompletionServiceClient<Channel>,
}

impl Desk {
    async fn with(settings: &str) -> Self {
        Self::at(Stage::with(&format!("{PRICED}{settings}")).await)
    }

    fn at(stage: Stage) -> Self {
        let address = format!("http://{}", tcp(&stage.running.public));
        let client = CompletionServiceClient::new(Endpoint::try_from(address).unwrap().connect_lazy());
        Self { stage, client }
    }

    async fn ask(&self, id: &str) -> Result<Completion, Status> {
        let request = GetCompletionRequest { id: id.to_owned(), ..Default::default() };
        let answer = self.client.clone().get_completion(request).await?;
        Ok(answer.into_inner().completion.unwrap())
    }

    async fn found(&self, id: &str) -> Completion {
        let found = self.ask(id).await.unwrap_or_else(|status| panic!("{id}: {status}"));
        assert_eq!(found.id, id);
        found
    }

    /// What is first told of the call once it does not run any more.
    async fn ended(&self, id: &str) -> Completion {
        let asking = async {
            loop {
                let found = self.found(id).await;
                if found.state() != State::Running {
                    return found;
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        within("the call ends", asking).await
    }

    /// The id of the one unary call that is known here and as it is `wanted`.
    async fn unary(&self, wanted: impl Fn(&Completion) -> bool) -> String {
        let asking = async {
            loop {
                for id in started() {
                    if self.ask(&id).await.is_ok_and(|found| wanted(&found)) {
                        return id;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        within("the call is known", asking).await
    }
}

/// What the log says: a caller of `Complete` learns the call's id at its end only.
#[derive(Clone, Copy)]
struct Log;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn listen_to_the_log() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let subscriber =
            tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(|| Log).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The ids of the unary calls that have begun, at all servers of this process.
fn started() -> Vec<String> {
    let text = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
    // Most lines are of others, and reading them takes a while.
    let ours = text.lines().filter(|line| line.contains("call started") && line.contains("\"Complete\""));
    let lines = ours.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let fields = lines.map(|line| line["fields"].clone());
    let started = fields.filter(|fields| {
        fields["message"] == "call started" && fields.as_object().unwrap().values().any(|value| value == "Complete")
    });
    let id = |fields: serde_json::Value| {
        let values = fields.as_object().unwrap().values().filter_map(|value| value.as_str().map(str::to_owned));
        values.into_iter().find(|value| value.len() == 36)
    };
    started.filter_map(id).collect()
}

fn priced(directives: &str) -> CompleteRequest {
    CompleteRequest { model: "priced".to_owned(), ..prompt(&format!("sim: {directives}")) }
}

/// Begins a stream and returns it with the id of its call.
async fn begun(wire: &Wire, request: &CompleteRequest, headers: &[(&str, &str)]) -> (Events, String) {
    let mut events = wire.stream(request, headers).await;
    let Event::Started(started) = events.event().await else { panic!("an answer begins with its start") };
    (events, started.id)
}

/// How a call failed: the id, the status's message, and what is told beside.
fn failure(status: &Status) -> (String, FailureDetail) {
    let id = status.get_details_request_info().unwrap().request_id;
    let rich = completiond_status(status);
    (id, rich)
}

fn completiond_status(status: &Status) -> FailureDetail {
    let rich = tonic_types::pb::Status::decode(status.details()).unwrap();
    let detail = rich.details.iter().find(|any| any.type_url.ends_with("completiond.v1.FailureDetail")).unwrap();
    FailureDetail::decode(&*detail.value).unwrap()
}

/// The failure of a call over either rpc.
async fn failed(desk: &Desk, request: CompleteRequest, unary: bool) -> Status {
    let mut client = desk.client.clone();
    if unary {
        return client.complete(request).await.unwrap_err();
    }
    let mut events = match client.stream_complete(request).await {
        Ok(events) => events.into_inner(),
        Err(status) => return status,
    };
    loop {
        match events.message().await {
            Ok(event) => assert!(event.is_some(), "the call fails"),
            Err(status) => return status,
        }
    }
}

#[track_caller]
fn agrees(found: &Completion, outcome: &CompletionOutcome) {
    assert_eq!(found.state(), State::Succeeded);
    assert_eq!(found.finish_reason(), outcome.finish_reason());
    assert_eq!((&found.model, &found.provider), (&outcome.model, &outcome.provider));
    assert_eq!((&found.usage, &found.cost), (&outcome.usage, &outcome.cost));
    assert_eq!(found.attempts, outcome.attempts);
    assert_eq!(found.failure, None);
    let (came, ended) = (found.create_time.unwrap(), found.end_time.unwrap());
    assert!((came.seconds, came.nanos) <= (ended.seconds, ended.nanos));
    assert!(came.seconds > 1_700_000_000, "{came:?}");
}

#[tokio::test]
async fn a_call_that_succeeded_is_told_as_its_caller_was() {
    let desk = Desk::with("").await;
    // The first request of each call fails: the ledger has a line for it.
    for directives in ["tokens=20", "tokens=20 finish=length"] {
        desk.stage.upstream.play(["error=503"]);
        let answer = desk.client.clone().complete(priced(directives)).await.unwrap().into_inner();
        let outcome = answer.outcome.unwrap();
        let found = desk.found(&outcome.id).await;
        agrees(&found, &outcome);
        assert_eq!((found.attempts.len(), found.usage.unwrap().output_tokens), (2, 20));
        assert!(found.cost.unwrap().pico_usd > 0);

        desk.stage.upstream.play(["error=503"]);
        let wire = desk.stage.wire().await;
        let (mut events, id) = begun(&wire, &priced(directives), &[]).await;
        let told = events.all(1).await;
        let Some(Event::Completed(outcome)) = told.last() else { panic!("{told:?}") };
        assert_eq!(outcome.id, id);
        let found = desk.found(&id).await;
        agrees(&found, outcome);
        let wanted = if directives.contains("length") { FinishReason::MaxTokens } else { FinishReason::Stop };
        assert_eq!((found.finish_reason(), found.attempts.len()), (wanted, 2));
    }
}

#[tokio::test]
async fn a_call_that_failed_is_told_as_its_caller_was() {
    let desk = Desk::with("").await;
    for (directives, attempts) in [
        ("error=503", 2),
        ("error=400", 1),
        ("tokens=40 cut_after=20", 1),
        ("tokens=40 reset_after=20", 1),
        ("tokens=40 error_after=20", 1),
    ] {
        for unary in [true, false] {
            let status = failed(&desk, priced(directives), unary).await;
            let (id, detail) = failure(&status);
            let found = desk.found(&id).await;
            assert_eq!(found.state(), State::Failed, "{directives}");
            let failure = found.failure.as_ref().unwrap();
            assert_eq!((failure.code, failure.message.as_str()), (status.code().into(), status.message()));
            assert_eq!(failure.reason, status.get_details_error_info().unwrap().reason);
            assert_eq!((&found.attempts, &found.cost), (&detail.attempts, &detail.cost), "{directives}");
            // A whole answer that breaks is asked for once more.
            assert!(found.attempts.len() >= attempts, "{directives}: {:?}", found.attempts);
            assert_eq!(found.usage, found.attempts.last().unwrap().usage, "{directives}");
            assert_eq!((found.model.as_str(), found.provider.as_str()), ("simulator", "up"));
            assert_eq!((found.finish_reason(), found.end_time.is_some()), (FinishReason::Unspecified, true));
        }
    }
}

#[track_caller]
fn runs(found: &Completion, attempts: usize) {
    assert_eq!(found.state(), State::Running);
    assert_eq!((found.model.as_str(), found.provider.as_str()), ("simulator", "up"));
    assert_eq!((found.attempts.len(), &found.usage, &found.failure), (attempts, &None, &None));
    assert_eq!((found.end_time, found.finish_reason()), (None, FinishReason::Unspecified));
    assert!(found.create_time.is_some());
}

/// What a call has used is on record at the moment at which it has ended.
#[track_caller]
fn was_left(found: &Completion, attempts: usize) {
    assert_eq!(found.state(), State::Cancelled);
    assert_eq!((found.attempts.len(), &found.failure), (attempts, &None));
    let last = found.attempts.last().unwrap();
    assert_eq!(last.outcome(), AttemptOutcome::Dropped);
    let usage = found.usage.as_ref().unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(Some(usage), last.usage.as_ref());
    assert_ne!(usage.source(), UsageSource::None);
    assert!(usage.input_tokens > 0 && found.cost.as_ref().unwrap().pico_usd > 0, "{found:?}");
    assert!(found.end_time.is_some());
}

#[derive(Clone, Copy, Debug)]
enum Leaves {
    Resets,
    ClosesTheConnection,
}

#[tokio::test]
async fn a_stream_that_its_caller_leaves_is_known_while_it_runs_and_after_with_what_it_used() {
    let desk = Desk::with("").await;
    for leaves in [Leaves::Resets, Leaves::ClosesTheConnection] {
        for (directives, failed) in [("tokens=1000 pace=20ms", 0), ("tokens=100 stall_after=5", 1)] {
            desk.stage.upstream.play(vec!["error=503"; failed]);
            let wire = desk.stage.wire().await;
            let (events, id) = begun(&wire, &priced(directives), &[]).await;
            runs(&desk.found(&id).await, failed);
            match leaves {
                Leaves::Resets => drop(events),
                Leaves::ClosesTheConnection => drop(wire),
            }
            was_left(&desk.ended(&id).await, failed + 1);
        }
    }
}

#[tokio::test]
async fn a_unary_call_that_its_caller_leaves_is_known_while_it_runs_and_after_with_what_it_used() {
    listen_to_the_log();
    let desk = Desk::with("").await;
    for leaves in [Leaves::Resets, Leaves::ClosesTheConnection] {
        for (directives, failed) in [("silence", 0), ("tokens=1000 pace=1s", 1)] {
            desk.stage.upstream.play(vec!["error=503"; failed]);
            let wire = desk.stage.wire().await;
            let call = tokio::spawn(wire.send("Complete", &priced(directives), &[]));
            let id = desk.unary(|found| found.state() == State::Running).await;
            desk.stage.upstream_is(|counts| counts.open == 1).await;
            runs(&desk.found(&id).await, failed);
            match leaves {
                Leaves::Resets => call.abort(),
                Leaves::ClosesTheConnection => drop(wire),
            }
            was_left(&desk.ended(&id).await, failed + 1);
            call.abort();
        }
    }
}

#[tokio::test]
async fn a_deadline_is_a_failure_with_what_was_used_until_then() {
    listen_to_the_log();
    let desk = Desk::with("").await;
    let wire = desk.stage.wire().await;
    let in_time = [("grpc-timeout", "1500m")];
    let (mut events, id) = begun(&wire, &priced("tokens=1000 pace=20ms"), &in_time).await;
    events.all(1).await;
    events.status().expect(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "");
    passed(&desk.found(&id).await);

    let whole = wire.complete(&priced("tokens=1000 pace=20ms"), &in_time).await;
    whole.expect(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "");
    let id = desk.unary(|_| true).await;
    passed(&desk.found(&id).await);
}

#[track_caller]
fn passed(found: &Completion) {
    assert_eq!(found.state(), State::Failed);
    let failure = found.failure.as_ref().unwrap();
    assert_eq!((failure.code, failure.reason.as_str()), (Code::DeadlineExceeded.into(), "DEADLINE_EXCEEDED"));
    let last = found.attempts.last().unwrap();
    assert_eq!((last.outcome(), &last.usage), (AttemptOutcome::Dropped, &found.usage));
    assert!(found.cost.as_ref().unwrap().pico_usd > 0 && found.usage.is_some(), "{found:?}");
}

#[tokio::test]
async fn a_stream_that_its_client_does_not_take_has_ended_before_the_client_asks_how() {
    let desk = Desk::with("stream: { client_stall: 300ms }").await;
    for (headers, code, reason) in [
        (&[][..], Code::Aborted, "CLIENT_STALLED"),
        (&[("grpc-timeout", "250m")], Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    ] {
        let wire = Wire::with_window(desk.stage.address(), 600).await;
        let (events, id) = begun(&wire, &priced("tokens=200000"), headers).await;
        let found = desk.ended(&id).await;
        let told = |found: &Completion| {
            assert_eq!(found.state(), State::Failed);
            let failure = found.failure.as_ref().unwrap();
            assert_eq!((failure.code, failure.reason.as_str()), (code.into(), reason));
            assert_eq!(found.attempts.last().unwrap().outcome(), AttemptOutcome::Dropped);
            assert!(found.usage.is_some() && found.cost.is_some(), "{found:?}");
        };
        told(&found);
        // Going away changes nothing any more.
        drop((events, wire));
        desk.stage.is_quiet().await;
        told(&desk.found(&id).await);
    }
}

#[tokio::test]
async fn what_is_not_known_is_not_found_and_what_is_no_id_is_refused() {
    let desk = Desk::with("completions: { keep: 200ms }").await;
    let unknown = desk.ask("0199aaaa-0000-7000-8000-000000000000").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(unknown.get_details_error_info().unwrap().reason, "COMPLETION_NOT_FOUND");
    for text in ["", "x", "0199aaaa-0000-7000-8000", "0199aaaa-0000-7000-8000-00000000000g"] {
        let refused = desk.ask(text).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{text}");
        assert_eq!(refused.get_details_error_info().unwrap().reason, "INVALID_REQUEST");
        let violations = refused.get_details_bad_request().unwrap().field_violations;
        let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["id"], "{text}");
        assert_eq!(refused.message().contains("`request_id`"), text.is_empty(), "{}", refused.message());
    }
    // A call that has ended is forgotten after a while.
    let answer = desk.client.clone().complete(priced("tokens=1")).await.unwrap().into_inner();
    let id = answer.outcome.unwrap().id;
    let forgotten = async {
        while desk.ask(&id).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within("the call is forgotten", forgotten).await;
    // Each of the questions is a call of its own, of which nothing is kept.
    let (own, _) = failure(&desk.ask(&id).await.unwrap_err());
    assert_eq!(desk.ask(&own).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn callers_of_other_machines_do_not_see_which_endpoints_were_tried() {
    let everyone = |config: &mut completiond::config::Config| config.listen = "0.0.0.0:0".parse().unwrap();
    let desk = Desk::at(Stage::set("openai", PRICED, everyone).await);
    let outcome = desk.client.clone().complete(priced("tokens=1")).await.unwrap().into_inner().outcome.unwrap();
    let found = desk.found(&outcome.id).await;
    agrees(&found, &outcome);
    assert_eq!((found.attempts[0].endpoint.as_str(), found.attempts[0].model.as_str()), ("", "simulator"));
    let seen = Desk::with("").await;
    let outcome = seen.client.clone().complete(priced("tokens=1")).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(seen.found(&outcome.id).await.attempts[0].endpoint, "up/simulator");
}

#[tokio::test]
async fn ten_thousand_calls_stay_in_their_bound_and_a_call_that_runs_is_never_forgotten() {
    const CALLS: usize = 10_000;
    /// No call that has failed takes less than this, in bytes.
    const LEAST: usize = 200;
    let desk = Desk::with("completions: { max_bytes: 1MiB }\ntimeouts: { idle: 5m }").await;
    let wire = desk.stage.wire().await;
    let (events, running) = begun(&wire, &priced("tokens=100 stall_after=5"), &[]).await;
    let nowhere = CompleteRequest { model: "nowhere".to_owned(), ..prompt("hello") };
    let mut ids = Vec::with_capacity(CALLS);
    for _ in 0..CALLS / 100 {
        // Streams, as other tests look for unary calls in the log of all.
        let calls = (0..100).map(|_| failed(&desk, nowhere.clone(), false));
        let ended: Vec<Status> = calls.collect::<FuturesUnordered<_>>().collect().await;
        ids.extend(ended.iter().map(|status| failure(status).0));
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), CALLS);
    let mut kept = Vec::with_capacity(CALLS);
    for hundred in ids.chunks(100) {
        let mut asked = hundred.iter().map(|id| desk.ask(id)).collect::<FuturesUnordered<_>>();
        let mut known = 0;
        while let Some(answer) = asked.next().await {
            known += usize::from(answer.is_ok());
        }
        kept.push(known);
    }
    let known: usize = kept.iter().sum();
    assert!(known > 500 && known * LEAST <= 1 << 20, "{known} calls are known");
    assert_eq!((kept[0], *kept.last().unwrap()), (0, 100), "those that ended first go first: {kept:?}");
    runs(&desk.found(&running).await, 0);
    drop(events);
    was_left(&desk.ended(&running).await, 1);
}
