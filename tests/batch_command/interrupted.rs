//! Batches that are interrupted, and go on.

use std::collections::BTreeMap;

use crate::desk::{Desk, Running, asked, item, requests, until};
use crate::stage::Stage;

const ITEMS: usize = 160;
const AT_A_TIME: usize = 6;

fn desk() -> Desk {
    Desk::with((1..=ITEMS).map(|number| item(number, 20)))
}

/// The items that have a result by now, with how often they were asked.
fn finished(desk: &Desk, stage: &Stage) -> BTreeMap<usize, usize> {
    let asked = asked(&stage.upstream);
    desk.kept().into_iter().map(|line| usize::try_from(line).unwrap()).map(|line| (line, asked[&line])).collect()
}

/// Every item was asked, none that had a result again, and no more than may run at a time twice for each interruption.
fn check(desk: &Desk, stage: &Stage, finished: &BTreeMap<usize, usize>, interruptions: usize) {
    assert_eq!(desk.names(), (1..=ITEMS).map(|number| format!("n{number}")).collect::<Vec<_>>());
    assert!(desk.results().iter().all(|result| result.get("response").is_some()));
    let asked = asked(&stage.upstream);
    assert_eq!(asked.len(), ITEMS, "none is lost");
    for (number, times) in finished {
        assert_eq!(asked[number], *times, "item {number} had a result and was asked again");
    }
    let again: usize = asked.values().map(|times| times - 1).sum();
    assert!(again <= AT_A_TIME * interruptions, "{again} were asked again");
}

#[tokio::test]
async fn a_batch_that_is_killed_goes_on_where_it_was() {
    let (stage, desk) = (Stage::with("").await, desk());
    let concurrency = AT_A_TIME.to_string();
    let arguments = ["--max-concurrency", concurrency.as_str()];
    let mut had_results = BTreeMap::new();
    for stop in [40, 90] {
        let running = Running::start(desk.command(stage.address(), &arguments));
        until("it is on its way", || requests(&stage.upstream) >= stop).await;
        running.signal("KILL");
        running.end().await;
        assert!(!desk.output().exists(), "the output is there only when it is whole");
        stage.is_quiet().await;
        let finished = finished(&desk, &stage);
        assert!(finished.len() > had_results.len());
        for (line, times) in finished {
            had_results.entry(line).or_insert(times);
        }
    }
    let done = desk.batch(stage.address(), &arguments).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.err.contains(&format!("{} of {ITEMS} items have a result already", had_results.len())),
        "{}",
        done.err
    );
    check(&desk, &stage, &had_results, 2);
}

#[tokio::test]
async fn a_signal_ends_it_in_order_and_it_says_how_to_go_on() {
    for signal in ["INT", "TERM", "HUP"] {
        let (stage, desk) = (Stage::with("").await, desk());
        let concurrency = AT_A_TIME.to_string();
        let arguments = ["--max-concurrency", concurrency.as_str()];
        let running = Running::start(desk.command(stage.address(), &arguments));
        until("it is on its way", || requests(&stage.upstream) >= 50).await;
        running.signal(signal);
        let done = running.end().await;
        assert_eq!(done.code, 130, "{}", done.err);
        let finished = finished(&desk, &stage);
        let told = format!("{} results are kept in {}", finished.len(), desk.journal().display());
        assert!(done.err.contains(&told) && done.err.contains("goes on from there"), "{}", done.err);
        // What ran is not paid for further.
        stage.is_quiet().await;
        assert_eq!(desk.batch(stage.address(), &arguments).await.code, 0);
        check(&desk, &stage, &finished, 1);
    }
}

#[tokio::test]
async fn what_was_torn_off_the_journal_is_asked_again_and_nothing_else() {
    let (stage, desk) = (Stage::with("").await, desk());
    let running = Running::start(desk.command(stage.address(), &[]));
    until("it is on its way", || desk.kept().len() >= 20).await;
    running.signal("KILL");
    running.end().await;
    stage.is_quiet().await;
    let whole = std::fs::read(desk.journal()).unwrap();
    std::fs::write(desk.journal(), &whole[..whole.len() - 7]).unwrap();
    let finished = finished(&desk, &stage);
    let done = desk.batch(stage.address(), &[]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    check(&desk, &stage, &finished, 2);
}

#[tokio::test]
async fn an_interrupted_batch_goes_on_only_with_the_same_input_and_settings() {
    let (stage, desk) = (Stage::with("").await, desk());
    let running = Running::start(desk.command(stage.address(), &[]));
    until("the first results are kept", || desk.kept().len() >= 5).await;
    // While it runs it belongs to nobody else.
    let done = desk.batch(stage.address(), &[]).await;
    assert_eq!(done.code, 1);
    assert!(done.err.contains("belongs to a batch that runs right now"), "{}", done.err);
    running.signal("KILL");
    running.end().await;

    let done = desk.batch(stage.address(), &["--model", "up/other"]).await;
    assert_eq!(done.code, 2);
    assert!(done.err.contains("was begun without --model"), "{}", done.err);
    assert!(done.err.contains(&format!("delete {}", desk.journal().display())), "{}", done.err);

    let asked = requests(&stage.upstream);
    desk.write((1..=ITEMS).map(|number| item(number + 1, 20)));
    let done = desk.batch(stage.address(), &[]).await;
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("the input was changed since. Put the old input back to go on, or delete"),
        "{}",
        done.err
    );
    assert_eq!(requests(&stage.upstream), asked, "nothing was asked");

    desk.write((1..=ITEMS).map(|number| item(number, 20)));
    assert_eq!(desk.batch(stage.address(), &[]).await.code, 0);
}
