//! Answers that are being made for several callers at once.

use completiond::proto::{CacheStatus, CompleteRequest};
use futures_util::future::join_all;

use crate::stage::{Events, Stage, Wire, within};
use crate::{CACHED, asked, folded, status, upstream, whole};

#[tokio::test]
async fn a_hundred_that_ask_the_same_are_one_request_upstream() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let request = asked("tokens=20 first_event=300ms pace=5ms");
    let streams = join_all((0..50).map(|_| async { folded(wire.stream(&request, &[]).await).await.unwrap() }));
    let wholes = join_all((0..50).map(|_| whole(&wire, &request)));
    let (streams, wholes) = within("all are answered", futures_util::future::join(streams, wholes)).await;
    let wholes = wholes.into_iter().map(|answer| (answer.text, *answer.outcome.unwrap()));
    let all: Vec<_> = streams.into_iter().chain(wholes).collect();
    assert_eq!(upstream(&stage), 1);
    assert!(all.iter().all(|(text, _)| *text == all[0].0 && !text.is_empty()));
    let payers = all.iter().filter(|(_, outcome)| outcome.cost.as_ref().unwrap().pico_usd > 0).count();
    assert_eq!(payers, 1, "it is billed once");
    let joined = all.iter().filter(|(_, outcome)| status(outcome) == CacheStatus::Coalesced).count();
    assert_eq!(joined, 99);
    stage.is_quiet().await;
}

#[tokio::test]
async fn who_samples_gets_samples() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let request = CompleteRequest { temperature: Some(1.0), ..asked("tokens=3 first_event=50ms pace=0ms") };
    join_all((0..20).map(|_| whole(&wire, &request))).await;
    assert_eq!(upstream(&stage), 20);
}

#[tokio::test]
async fn the_first_reader_goes_and_the_others_finish() {
    for header in [&[][..], &[("grpc-timeout", "300m")]] {
        let stage = Stage::with(CACHED).await;
        let (first, others) = (stage.wire().await, stage.wire().await);
        let request = asked("tokens=40 first_event=50ms pace=25ms");
        let mut leader = first.stream(&request, header).await;
        leader.next().await.unwrap();
        let readers = join_all((0..5).map(|_| others.stream(&request, &[]))).await;
        match header {
            [] => drop(leader),
            _ => assert!(folded(leader).await.is_err(), "its deadline is its own"),
        }
        for reader in readers {
            let (text, outcome) = folded(reader).await.unwrap();
            assert!(!text.is_empty());
            assert_eq!(status(&outcome), CacheStatus::Coalesced);
        }
        assert_eq!(upstream(&stage), 1);
        stage.is_quiet().await;
    }
}

#[tokio::test]
async fn when_the_last_reader_goes_the_upstream_is_told() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let request = asked("tokens=100000 first_event=0ms pace=10ms");
    let mut readers: Vec<Events> = join_all((0..3).map(|_| wire.stream(&request, &[]))).await;
    for reader in &mut readers {
        reader.next().await.unwrap();
    }
    stage.upstream_is(|counts| counts.open == 1).await;
    drop(readers);
    stage.is_quiet().await;
    assert_eq!(upstream(&stage), 1);
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_back() {
    let stage = Stage::with(CACHED).await;
    let (slow, fast) = (Wire::with_window(stage.address(), 1024).await, stage.wire().await);
    let request = asked("tokens=100000 first_event=0ms pace=0ms");
    let idle = slow.stream(&request, &[]).await;
    let (text, _) = within("the fast one is done", folded(fast.stream(&request, &[]).await)).await.unwrap();
    let (late, outcome) = folded(idle).await.unwrap();
    assert_eq!(late, text);
    assert!(text.len() > 100_000 && outcome.usage.is_some());
    assert_eq!(upstream(&stage), 1);
}

#[tokio::test]
async fn all_are_told_when_it_fails() {
    let stage = Stage::with(&format!("{CACHED}\nretry: {{ max_attempts: 1 }}")).await;
    let wire = stage.wire().await;
    let request = asked("tokens=30 cut_after=20 first_event=100ms pace=5ms");
    let ends = join_all((0..10).map(|_| async { folded(wire.stream(&request, &[]).await).await })).await;
    for end in ends {
        assert_eq!(end.unwrap_err().reason, "STREAM_INTERRUPTED");
    }
    assert_eq!(upstream(&stage), 1);
    stage.is_quiet().await;
}

#[tokio::test]
async fn what_ends_another_call_early_or_begins_it_anew_is_not_joined() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let request = asked("tokens=5 first_event=400ms pace=5ms");
    let alike = [
        request.clone(),
        CompleteRequest { max_cost_pico_usd: Some(1_000_000_000_000), ..request.clone() },
        CompleteRequest { restart_on_interruption: true, ..request },
    ];
    let twice = alike.iter().chain(&alike);
    let all = join_all(twice.map(|request| async { folded(wire.stream(request, &[]).await).await.unwrap().1 })).await;
    let made = all.iter().filter(|outcome| status(outcome) == CacheStatus::Miss).count();
    assert_eq!((made, upstream(&stage)), (3, 3), "each kind is made once");
    // An answer that is complete is the same for all of them.
    for request in &alike {
        assert_eq!(status(&whole(&wire, request).await.outcome.unwrap()), CacheStatus::Hit);
    }
    stage.is_quiet().await;
}
