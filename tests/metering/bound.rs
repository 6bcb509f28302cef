//! An answer that reaches the bound on its cost ends there, in order, and its upstream makes no more of it.

use completiond::domain::{
    Answer, BlockKind, Cost, Finish, FinishReason, Fold, FunctionTool, PicoUsd, Request, Terms, Tokens, Tool, ToolKind,
    UsageSource,
};
use completiond::pool::{Attempt, Commitment, Ledger, RetryBudget, Right, Timeouts, attempt};
use completiond::protocol::{Delivery, Order};
use completiond::telemetry::CallTrace;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::priced::{Place, RATES, request, transport};
use crate::stage::seen;
use crate::support::PROTOCOLS;

/// What an attempt with a bound leads to: the whole answer, and what the ledger says.
async fn bounded(
    place: &Place,
    request: &Request,
    spend: i64,
    commitment: Commitment,
) -> (Answer<Finish>, completiond::domain::Attempt) {
    let endpoint = &place.endpoint;
    let order = Order {
        request,
        identity: &endpoint.identity,
        facts: None,
        delivery: Delivery::Stream,
        max_tokens: Tokens::new(100_000),
        prompt_cache: request.prompt_cache,
    };
    let exchange = endpoint.provider.protocol.encode(&order).unwrap();
    let (transport, ledger, now) = (transport(), Ledger::default(), Instant::now());
    let (budget, trace) = (RetryBudget::full(now), CallTrace::off());
    let accepted = attempt(
        endpoint,
        exchange,
        request,
        Attempt {
            transport: transport.as_ref(),
            timeouts: Timeouts::default(),
            max_answer_bytes: 1 << 24,
            spend: Some(PicoUsd::new(spend)),
            lease: endpoint.health.lease(Delivery::Stream, Right::Standing, now).unwrap(),
            budget: &budget,
            ledger: &ledger,
            trace: &trace,
        },
    );
    let mut events = accepted.await.unwrap().commit(commitment, request).await.unwrap();
    let mut fold = Fold::default();
    while let Some(event) = events.next().await {
        fold.push(event.unwrap()).unwrap();
    }
    let [line]: [_; 1] = ledger.lines().try_into().unwrap();
    (fold.finish().unwrap(), line)
}

fn with_tool(prompt: &str) -> Request {
    let tool = FunctionTool {
        name: "record".into(),
        description: String::new(),
        parameters: Some("{\"type\":\"object\"}".into()),
        strict: None,
        provider_options: Default::default(),
    };
    let tools = vec![Tool { kind: ToolKind::Function(tool), cache_breakpoint: None }];
    Request { tools, ..request(prompt) }
}

const COMMITMENTS: [Commitment; 2] =
    [Commitment::WholeAnswer, Commitment::FirstBlock { commit_after: std::time::Duration::from_secs(10) }];

#[tokio::test]
async fn an_answer_that_reaches_its_bound_ends_there_in_order() {
    let arguments = format!("{{\"a\":\"{}\"}}", "x".repeat(3000));
    let prompts = [
        request("sim: tokens=2000 pace=1ms\nHello?"),
        request("sim: think=2000 tokens=5 pace=1ms\nHello?"),
        with_tool(&format!("sim: tool args={arguments} pace=1ms\nHello?")),
    ];
    for protocol in PROTOCOLS {
        for commitment in COMMITMENTS {
            for request in &prompts {
                let place = Place::start("p", protocol, Some(RATES)).await;
                let spend = 12_000;
                let (answer, line) = bounded(&place, request, spend, commitment).await;
                assert_eq!(answer.end.reason, FinishReason::CostLimit, "{protocol} {commitment:?}");
                let usage = &answer.end.usage;
                let source = if protocol == "anthropic" { UsageSource::Partial } else { UsageSource::Estimated };
                assert_eq!(usage.source, source);
                assert_eq!(Some(usage), line.usage.as_ref(), "the ledger says the same");
                let Cost { amount, estimated, .. } = line.cost.unwrap();
                // The piece that reaches the bound is made and paid for; it has few tokens.
                let most = spend + 4 * RATES[1];
                assert!((spend..most).contains(&amount.get()), "{protocol}: {amount:?} {usage:?}");
                assert!(estimated);
                let last = &answer.message.content.last().unwrap().kind;
                if let BlockKind::ToolCall(call) = last {
                    assert!(call.incomplete && !call.input.as_str().is_empty(), "{call:?}");
                }
                let counts = seen(place.upstream.simulator().counts(), |counts| counts.open == 0).await;
                assert_eq!((counts.finished, counts.dropped), (0, 1), "the upstream is told to stop");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_below_its_bound_is_as_without_one() {
    for protocol in PROTOCOLS {
        for commitment in COMMITMENTS {
            let place = Place::start("p", protocol, Some(RATES)).await;
            let (answer, line) = bounded(&place, &request("sim: tokens=100\nHello?"), 12_000, commitment).await;
            assert_eq!(answer.end.reason, FinishReason::Stop, "{protocol}");
            assert_eq!((answer.end.usage.source, answer.end.usage.output()), (UsageSource::Provider, Tokens::new(100)));
            let tariff = place.endpoint.tariff.as_ref().unwrap();
            assert_eq!(line.cost, tariff.cost(&answer.end.usage, &Terms::default(), std::time::SystemTime::now()));
        }
    }
}

#[tokio::test]
async fn a_prompt_that_costs_all_that_may_be_spent_gets_an_empty_answer() {
    for protocol in PROTOCOLS {
        for commitment in COMMITMENTS {
            let place = Place::start("p", protocol, Some(RATES)).await;
            let (answer, _) = bounded(&place, &request("sim: tokens=100 pace=1ms\nHello?"), 1, commitment).await;
            assert_eq!(answer.end.reason, FinishReason::CostLimit);
            let said: usize = answer.message.content.iter().map(completiond::domain::Block::text_bytes).sum();
            assert_eq!(said, 0, "{protocol}: {:?}", answer.message);
        }
    }
}
