//! What a call costs is what all its attempts cost: those that failed, those that were overtaken, and those that were
//! begun anew.

use completiond::domain::{Attempt, AttemptOutcome, Outcome, UsageSource};
use completiond::proto;
use completiond::protocol::Delivery;
use completiond::route::Hedge;
use tonic::IntoRequest;

use crate::priced::{Pair, RATES, by_hand, request};
use crate::stage::seen;
use crate::support::{self, PROTOCOLS, Server, ask};

/// What the attempts cost one by one, each held against its usage.
fn costs(attempts: &[Attempt]) -> Vec<Option<i64>> {
    let cost = |attempt: &Attempt| {
        let cost = attempt.cost.as_ref().map(|cost| cost.amount.get());
        assert_eq!(cost, attempt.usage.as_ref().map(by_hand), "{attempt:?}");
        let is_estimated = attempt.usage.iter().flat_map(|usage| &usage.items).any(|item| item.estimated);
        assert_eq!(attempt.cost.as_ref().is_some_and(|cost| cost.estimated), is_estimated, "{attempt:?}");
        cost
    };
    attempts.iter().map(cost).collect()
}

/// The costs of a failed attempt and of the one that answered, which must be those of the call.
fn two(outcome: &Outcome) -> [Option<i64>; 2] {
    let costs: [Option<i64>; 2] = costs(&outcome.attempts).try_into().unwrap();
    let sum: i64 = costs.iter().flatten().sum();
    assert_eq!(outcome.cost.as_ref().map(|cost| cost.amount.get()), Some(sum), "{outcome:?}");
    costs
}

#[tokio::test]
async fn an_answer_that_was_begun_anew_costs_what_was_made_before_as_well() {
    for protocol in PROTOCOLS {
        let pair = Pair::start(protocol, Some(RATES), None).await;
        pair.first.upstream.play(["tokens=50 reset_after=30 pace=1ms"]);
        let mut request = request("Hello, and this is a prompt of some length?");
        request.restart_on_interruption = true;
        let outcome = pair.call(request, Delivery::Stream).await.unwrap();
        let [broken, whole] = two(&outcome);
        let usage = outcome.attempts[0].usage.as_ref().unwrap();
        let source = if protocol == "anthropic" { UsageSource::Partial } else { UsageSource::Estimated };
        assert_eq!(usage.source, source, "{protocol}");
        // Some of the frames say something else than words, and a word is no token of anybody.
        assert!((15..60).contains(&usage.output().get()), "{protocol}: {usage:?}");
        assert!(broken > Some(0) && whole > Some(0));
        assert!(outcome.cost.unwrap().estimated);
    }
}

#[tokio::test]
async fn what_was_refused_costs_nothing_and_what_was_lost_in_silence_its_prompt() {
    for protocol in PROTOCOLS {
        for delivery in [Delivery::Stream, Delivery::Whole] {
            for (script, is_charged) in [
                ("error=400", None),
                ("error=503", Some(false)),
                ("error_body_200", Some(false)),
                ("html", Some(false)),
                ("reset_before_head", Some(true)),
                ("cut_after=0", Some(true)),
            ] {
                let pair = Pair::start(protocol, Some(RATES), None).await;
                // It is asked again before the other one is, unless nobody is.
                pair.first.upstream.play_always(script);
                let called = pair.call(request("Hello?"), delivery).await;
                let Some(is_charged) = is_charged else {
                    assert!(called.is_err());
                    continue;
                };
                let outcome = called.unwrap();
                let costs = costs(&outcome.attempts);
                let (answered, failed) = costs.split_last().unwrap();
                assert!(!failed.is_empty(), "{protocol} {script}");
                assert!(failed.iter().all(|cost| cost.is_some() == is_charged), "{protocol} {script}: {costs:?}");
                let sum: i64 = costs.iter().flatten().sum();
                assert_eq!(outcome.cost.map(|cost| cost.amount.get()), Some(sum));
                assert!(answered.is_some());
            }
        }
    }
}

#[tokio::test]
async fn an_attempt_without_a_connection_costs_nothing() {
    let pair = Pair::start("openai", Some(RATES), None).await;
    pair.first.upstream.stop().await;
    let outcome = pair.call(request("Hello?"), Delivery::Stream).await.unwrap();
    let costs = costs(&outcome.attempts);
    assert!(costs.len() > 1 && costs[..costs.len() - 1].iter().all(Option::is_none), "{costs:?}");
    assert!(!outcome.cost.unwrap().estimated);
}

#[tokio::test]
async fn an_answer_that_was_overtaken_is_paid_for() {
    for protocol in PROTOCOLS {
        let pair = Pair::start(protocol, Some(RATES), Some(Hedge { max_share: 1.0, ..Hedge::default() })).await;
        for _ in 0..20 {
            pair.call(request("Hello?"), Delivery::Stream).await.unwrap();
        }
        pair.first.upstream.play_always("head=1m");
        let outcome = pair.call(request("Hello?"), Delivery::Stream).await.unwrap();
        two(&outcome);
        let loser = outcome.attempts.iter().find(|attempt| attempt.outcome == AttemptOutcome::Dropped).unwrap();
        let usage = loser.usage.as_ref().unwrap();
        assert_eq!((usage.source, usage.output().get()), (UsageSource::Estimated, 0));
        assert!(usage.input().get() > 0);
        seen(pair.first.upstream.simulator().counts(), |counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn a_part_of_a_cost_is_not_told_as_the_cost() {
    let pair = Pair::start("openai", None, None).await;
    pair.first.upstream.play(["cut_after=0", "cut_after=0", ""]);
    let outcome = pair.call(request("Hello?"), Delivery::Stream).await.unwrap();
    assert!(outcome.attempts[0].usage.is_some() && outcome.attempts[0].cost.is_none());
    assert_eq!(outcome.cost, None);
}

#[tokio::test]
async fn an_answer_without_usage_is_estimated() {
    for protocol in PROTOCOLS {
        for delivery in [Delivery::Stream, Delivery::Whole] {
            let pair = Pair::start(protocol, Some(RATES), None).await;
            let outcome = pair.call(request("sim: no_usage tokens=200\nHello?"), delivery).await.unwrap();
            let usage = &outcome.finish.usage;
            assert_eq!(usage.source, UsageSource::Estimated, "{protocol} {delivery:?}");
            assert!(usage.input().get() > 0 && usage.output().get() > 100, "{usage:?}");
            assert_eq!(costs(&outcome.attempts), [Some(by_hand(usage))]);
            assert!(outcome.cost.unwrap().estimated);
        }
    }
}

#[tokio::test]
async fn a_call_whose_deadline_passes_in_mid_answer_tells_what_it_used() {
    for protocol in PROTOCOLS {
        let upstream =
            completiond::simulator::Upstream::start(completiond::simulator::Simulator::default()).await.unwrap();
        upstream.play_always("tokens=200 stall_after=100");
        let yaml = format!("providers:\n{}", support::provider("up", protocol, &upstream.url()));
        let server = Server::start(&yaml).await;
        let mut asked = ask("up/made-up", "Hello?").into_request();
        asked.set_timeout(std::time::Duration::from_secs(1));
        let streamed = server.stream(asked).await.unwrap();
        let failure = streamed.failure.unwrap();
        assert_eq!(failure.reason, "DEADLINE_EXCEEDED");
        let detail = failure.failure.unwrap();
        assert_eq!(detail.attempts.len(), 1, "{detail:?}");
        assert_eq!(detail.attempts[0].outcome(), proto::AttemptOutcome::Dropped);
        assert_eq!(detail.usage, detail.attempts[0].usage);
        assert!(detail.usage.unwrap().output_tokens > 50);
    }
}
