//! Plays the table: each misbehaviour of A, for every wire protocol, in every way to ask, beside a B that is well and
//! without one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tonic::Code;

use crate::misbehaviour::{End, Expected, Misbehaviour, TABLE};
use crate::pair::{Peer, Upstreams, configuration};
use crate::support::{PROTOCOLS, Server};
use crate::way::{Saw, Way};

/// How many rows are played at a time: their waits overlap, and their work does not make anything late.
const AT_A_TIME: usize = 3;
/// Pauses are short, and what is silent is given up soon; everything else is as it comes.
const SETTINGS: &str = "retry: { base_delay: 1ms }\n\
                        timeouts: { connect: 1s, first_event: 1s, idle: 1s, attempt: 1s }";

/// One call: how it was asked for and what came of it.
struct Played {
    way: Way,
    peer: Peer,
    saw: Saw,
    took: Duration,
    upstreams: Upstreams,
}

#[tokio::test]
async fn whatever_an_upstream_does_the_contract_says_what_becomes_of_the_call() {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let rows = PROTOCOLS.into_iter().flat_map(|protocol| TABLE.iter().map(move |row| (protocol, *row)));
    let playing: Vec<_> = rows
        .map(|(protocol, row)| {
            let places = Arc::clone(&places);
            tokio::spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                play(protocol, row).await
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for row in playing {
        wrong.extend(row.await.unwrap());
    }
    assert!(wrong.is_empty(), "{} calls went otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

/// Plays one row and says what went otherwise than the contract has it.
async fn play(protocol: &str, row: Misbehaviour) -> Vec<String> {
    let mut upstreams = Vec::new();
    let mut plays = Vec::new();
    for way in Way::ALL {
        for peer in [Peer::Equal, Peer::Next, Peer::None] {
            let two = Upstreams::start(upstreams.len(), peer).await;
            two.a.play(row.first.iter().copied());
            two.a.play_always(row.then);
            upstreams.push(two);
            plays.push((way, peer));
        }
    }
    let server = &Server::start(&configuration(protocol, &upstreams, SETTINGS, "")).await;
    let calls = plays.into_iter().zip(upstreams).map(|((way, peer), upstreams)| async move {
        let begun = Instant::now();
        let saw = way.ask(server, &upstreams.model()).await;
        Played { way, peer, saw, took: begun.elapsed(), upstreams }
    });
    let played = join_all(calls).await;
    println!("{protocol}: {}", row.name);
    played.iter().filter_map(|played| judge(protocol, &row, played)).collect()
}

/// Prints what came of a call, and says what is wrong with it.
fn judge(protocol: &str, row: &Misbehaviour, played: &Played) -> Option<String> {
    let Played { way, peer, saw, took, upstreams } = played;
    let [a, b] = upstreams.received();
    println!("    {way:<8?} B: {peer:<6?} {saw:<40} {:>5} ms   A {a}  B {b}", took.as_millis());
    let expected = row.expected(*way, *peer);
    let found = Expected { a, b, end: end(saw, upstreams) };
    let complaint = if found != expected {
        format!("{found:?} instead of {expected:?}")
    } else if saw.lines() != ledger(row, &expected, upstreams) {
        format!("the ledger is {:?}", saw.lines())
    } else {
        advice(row, &expected, saw)?
    };
    Some(format!("{protocol}, {}, {way:?}, B: {peer:?}: {complaint}", row.name))
}

fn end(saw: &Saw, upstreams: &Upstreams) -> End {
    // A complete answer that is not the right one fails here.
    saw.is_answer();
    let word = |reason: &str| {
        let told = TABLE.iter().flat_map(|row| [Some(row.reason), row.after_content]).flatten();
        told.into_iter().find(|known| *known == reason).unwrap_or_else(|| panic!("not expected at all: {saw:?}"))
    };
    match saw {
        Saw::Answer { outcome, .. } if upstreams.name_a().starts_with(&outcome.provider) => End::A,
        Saw::Answer { .. } => End::B,
        Saw::Refusal(failure) => End::Refused(word(&failure.reason)),
        Saw::Break { failure, .. } => End::Broken(word(&failure.reason)),
    }
}

/// The ledger that goes with what is expected.
fn ledger(row: &Misbehaviour, expected: &Expected, upstreams: &Upstreams) -> Vec<String> {
    let failures = expected.a - usize::from(expected.end == End::A);
    let mut lines = vec![format!("{} FAILED {}", upstreams.name_a(), row.reason); failures];
    match expected.end {
        End::A => lines.push(format!("{} FINISHED", upstreams.name_a())),
        End::B => lines.push(format!("{} FINISHED", upstreams.name_b())),
        End::Refused(_) | End::Broken(_) => {}
    }
    lines
}

/// What is wrong with the status: its code, and what it says about trying again.
fn advice(row: &Misbehaviour, expected: &Expected, saw: &Saw) -> Option<String> {
    let (Saw::Refusal(failure) | Saw::Break { failure, .. }) = saw else { return None };
    let code = match failure.reason.as_str() {
        "PROVIDER_RATE_LIMITED" => Code::ResourceExhausted,
        "PROVIDER_TIMEOUT" => Code::DeadlineExceeded,
        "PROVIDER_PROTOCOL_ERROR" => Code::Internal,
        _ => Code::Unavailable,
    };
    if failure.code != code {
        return Some(format!("{:?} instead of {code:?}", failure.code));
    }
    let End::Refused(_) = expected.end else { return None };
    let is_told = match (row.hint(), failure.retry_delay) {
        (Some(hint), Some(told)) => told <= hint && told + Duration::from_secs(5) > hint,
        (Some(_), None) => false,
        (None, told) => told.is_none() || code != Code::Internal,
    };
    let is_consistent = failure.retry_delay.is_some() == failure.pushback.as_ref().is_some_and(|wait| wait != "-1");
    (!is_told || !is_consistent).then(|| format!("told to wait {:?}, {:?}", failure.retry_delay, failure.pushback))
}
