//! Flights with several readers, on a clock that is paused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream;

use super::*;
use crate::domain::{
    Block, CallId, Delta, Finish, FinishReason, ModelId, Origin, Outcome, ProviderId, Started, Tokens,
};
use crate::pipeline::Nothing;
use crate::telemetry::CallTrace;

const PIECES: usize = 4000;
const PIECE: usize = 1000;

fn outcome() -> Outcome {
    Outcome {
        id: CallId::new(uuid::Uuid::nil()),
        model: ModelId::new("m"),
        provider: ProviderId::new("p"),
        finish: Finish::new(FinishReason::Stop, "stop"),
        cost: None,
        attempts: Vec::new(),
        ignored_parameters: Vec::new(),
        max_tokens: Tokens::new(1),
        prompt_cache_ttl: None,
        simulated: false,
        origin: Origin::default(),
        saved: None,
    }
}

/// A long answer that counts what was taken of it.
fn long(taken: Arc<AtomicUsize>) -> impl Stream<Item = Result<Event, Error>> + Send + 'static {
    let begin = [
        Event::Started(Started::new(ProviderId::new("p"), ModelId::new("m"))),
        Event::BlockStarted { index: 0, block: Box::new(Block::text("")) },
    ];
    let end =
        [Event::BlockFinished { index: 0, state: None, incomplete: false }, Event::Completed(Box::new(outcome()))];
    let pieces = (0..PIECES).map(|_| Event::delta(0, Delta::Text("x".repeat(PIECE))));
    let all = begin.into_iter().chain(pieces).chain(end);
    stream::iter(all).map(move |event| {
        taken.fetch_add(1, Ordering::SeqCst);
        Ok(event)
    })
}

fn plan(stays: bool, landed: &Arc<AtomicUsize>) -> Plan {
    let landed = Arc::clone(landed);
    let until = Instant::now() + Duration::from_secs(60);
    let landed = Box::new(move |_: &Answer| {
        landed.fetch_add(1, Ordering::SeqCst);
        None
    });
    Plan { until, stays, maker: CallTrace::off().maker(), keep: Arc::new(Nothing), landed }
}

async fn rest(reader: Reader) -> Result<usize, Error> {
    let mut reader = reader.begun().await?;
    let mut bytes = 0;
    while let Some(event) = reader.next().await {
        if let Event::BlockDelta { delta: Delta::Text(text), .. } = event? {
            bytes += text.len();
        }
    }
    Ok(bytes)
}

/// Lets everything run that can.
async fn settled() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_made_no_faster_than_its_fastest_reader_takes_it() {
    let (taken, landed) = (Arc::<AtomicUsize>::default(), Arc::default());
    let making = {
        let taken = Arc::clone(&taken);
        async move { Ok(Reply::new(long(taken))) }
    };
    let (flight, slow) = launch(making, plan(false, &landed));
    let mut fast = flight.read().unwrap();
    settled().await;
    let ahead = taken.load(Ordering::SeqCst);
    assert!((AHEAD / PIECE..2 * AHEAD / PIECE).contains(&ahead), "{ahead}");
    for _ in 0..PIECES / 20 {
        fast.next().await.unwrap().unwrap();
    }
    settled().await;
    assert!(taken.load(Ordering::SeqCst) > ahead + AHEAD / PIECE, "the slow one holds nobody back");
    drop(fast);
    assert_eq!(rest(slow).await.unwrap(), PIECES * PIECE, "and gets all of it");
    assert_eq!(landed.load(Ordering::SeqCst), 1);
    assert!(flight.read().is_none(), "nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn when_nobody_reads_it_is_given_up_unless_it_stays() {
    for (stays, ends) in [(false, 0), (true, 1)] {
        let (taken, landed) = (Arc::<AtomicUsize>::default(), Arc::default());
        let making = {
            let taken = Arc::clone(&taken);
            async move { Ok(Reply::new(long(taken))) }
        };
        let (flight, reader) = launch(making, plan(stays, &landed));
        drop(reader);
        assert_eq!(flight.read().is_some(), stays, "one that is given up is joined by nobody");
        settled().await;
        assert_eq!(landed.load(Ordering::SeqCst), ends);
        assert_eq!(taken.load(Ordering::SeqCst) > PIECES, stays);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_beginning_is_everybodys() {
    let landed = Arc::default();
    let making = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(Error::new(Reason::ProviderUnavailable, "down"))
    };
    let (flight, one) = launch(making, plan(false, &landed));
    let other = flight.read().unwrap();
    let (one, other) = futures_util::future::join(rest(one), rest(other)).await;
    assert_eq!(one.unwrap_err().reason, Reason::ProviderUnavailable);
    assert_eq!(other.unwrap_err().reason, Reason::ProviderUnavailable);
    assert_eq!(landed.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_ends() {
    let landed = Arc::default();
    let (_, reader) = launch(std::future::pending(), plan(true, &landed));
    assert_eq!(rest(reader).await.unwrap_err().reason, Reason::DeadlineExceeded);
}

#[test]
fn readers_do_not_wait_for_a_runtime_that_has_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let landed = Arc::default();
    let makers = runtime();
    let (_, reader) = makers.block_on(async { launch(std::future::pending(), plan(false, &landed)) });
    drop(makers);
    assert_eq!(runtime().block_on(rest(reader)).unwrap_err().reason, Reason::ShuttingDown);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_a_moment_for_the_answer_to_be_kept_and_no_longer() {
    for (takes, told_after) in [(10, 10), (10_000, 50)] {
        let kept = Arc::<AtomicUsize>::default();
        let keeping = Arc::clone(&kept);
        let landed: Landed = Box::new(move |_| {
            Some(Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(takes)).await;
                keeping.fetch_add(1, Ordering::SeqCst);
            }))
        });
        let begun = Instant::now();
        let until = begun + Duration::from_secs(60);
        let making = async { Ok(Reply::new(long(Arc::default()))) };
        let (_, reader) = launch(
            making,
            Plan { until, stays: false, maker: CallTrace::off().maker(), keep: Arc::new(Nothing), landed },
        );
        assert_eq!(rest(reader).await.unwrap(), PIECES * PIECE);
        assert_eq!(begun.elapsed(), Duration::from_millis(told_after));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(kept.load(Ordering::SeqCst), 1, "it is kept though nobody reads it any more");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_whole_is_kept_though_its_readers_go_before_its_end_is_told() {
    let kept = Arc::<AtomicUsize>::default();
    let (begun, keeping) = (Arc::<AtomicUsize>::default(), Arc::clone(&kept));
    let beginning = Arc::clone(&begun);
    let landed: Landed = Box::new(move |_| {
        beginning.fetch_add(1, Ordering::SeqCst);
        Some(Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            keeping.fetch_add(1, Ordering::SeqCst);
        }))
    });
    let until = Instant::now() + Duration::from_secs(60);
    let making = async { Ok(Reply::new(long(Arc::default()))) };
    let (_, reader) =
        launch(making, Plan { until, stays: false, maker: CallTrace::off().maker(), keep: Arc::new(Nothing), landed });
    let mut reader = reader.begun().await.unwrap();
    while begun.load(Ordering::SeqCst) == 0 {
        reader.next().await.unwrap().unwrap();
    }
    drop(reader);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(kept.load(Ordering::SeqCst), 1);
}
