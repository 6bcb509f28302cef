//! Over real sockets: the second turn reads what the first one wrote, and usage and cost say so.

use completiond::proto::{
    CacheBreakpoint, CompleteRequest, CompletionOutcome, ContentBlock, Message as Said, PromptCache as Wanted,
    PromptCacheMode as Mode, Role as By, UsageItem as Item, UsageKind as Kind, content_block,
};

use super::stage::{Events, Stage, Wire};

/// A model whose tokens have prices that tell lifetimes apart.
const PRICED: &str = "
models:
  - id: m
    targets: [{ provider: up, model: MODEL }]
    price: { input: 100.0, output: 1000.0, cache_read: 10.0, cache_write_5m: 125.0, cache_write_1h: 200.0, cache_write_30m: 130.0, cache_write_12h: 250.0 }
";

async fn stage(protocol: &str, settings: &str) -> Stage {
    let model = if protocol == "anthropic" { "claude-sonnet-5-5" } else { "gpt-6-sol" };
    Stage::speaking(protocol, &(PRICED.replace("MODEL", model) + settings)).await
}

fn message(by: By, text: &str) -> Said {
    let text = completiond::proto::Text { text: text.to_owned(), ..Default::default() };
    let block = ContentBlock { block: Some(content_block::Block::Text(text)), ..Default::default() };
    Said { role: by.into(), content: vec![block], ..Default::default() }
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn asked(turns: &[&str], ttl: Option<i64>) -> CompleteRequest {
    let by = [By::User, By::Assistant].into_iter().cycle();
    CompleteRequest {
        model: "m".to_owned(),
        system: "Be brief. ".repeat(400),
        messages: turns.iter().zip(by).map(|(text, by)| message(by, text)).collect(),
        max_tokens: Some(50),
        prompt_cache: Some(Wanted { mode: Mode::Automatic.into(), ttl: ttl.map(seconds) }),
        ..Default::default()
    }
}

async fn outcome(wire: &Wire, request: &CompleteRequest) -> CompletionOutcome {
    let mut events = Events::of(wire.send("StreamComplete", request, &[]).await.unwrap());
    let mut outcome = None;
    while let Some(event) = events.next().await {
        if let Some(completiond::proto::stream_complete_response::Event::Completed(end)) = event.event {
            outcome = Some(*end);
        }
    }
    outcome.unwrap()
}

fn quantity(outcome: &CompletionOutcome, kind: Kind, ttl: Option<i64>) -> i64 {
    let of = |item: &&Item| item.kind() == kind && (ttl.is_none() || item.cache_ttl == ttl.map(seconds));
    outcome.usage.as_ref().unwrap().items.iter().filter(of).map(|item| item.quantity).sum()
}

fn cost(outcome: &CompletionOutcome) -> i64 {
    outcome.cost.as_ref().unwrap().pico_usd
}

/// What it costs by hand: prices in dollars per million tokens are micro-dollars a token.
fn by_hand(outcome: &CompletionOutcome, write: i64) -> i64 {
    let tokens = |kind| quantity(outcome, kind, None);
    let micro = tokens(Kind::Input) * 100
        + tokens(Kind::CacheRead) * 10
        + tokens(Kind::CacheWrite) * write
        + (tokens(Kind::Output) + tokens(Kind::Reasoning)) * 1000;
    micro * 1_000_000
}

const FIRST: [&str; 1] = ["Why is the sky blue?"];
const SECOND: [&str; 3] = ["Why is the sky blue?", "It scatters.", "What does?"];

#[tokio::test]
async fn the_second_turn_reads_what_the_first_one_wrote() {
    for (protocol, ttl, asks, split, write) in [
        ("anthropic", None, 300, Some(300), 125),
        ("anthropic", Some(600), 3600, Some(3600), 200),
        // Chat Completions do not say for how long something was written; what was asked for is known.
        ("openai", None, 1800, None, 100),
        ("openai", Some(60), 1800, Some(1800), 130),
        ("openai", Some(3600), 43_200, Some(43_200), 250),
    ] {
        let stage = stage(protocol, "").await;
        let wire = stage.wire().await;
        let first = outcome(&wire, &asked(&FIRST, ttl)).await;
        assert_eq!(first.prompt_cache_ttl, Some(seconds(asks)), "{protocol}");
        let wrote = quantity(&first, Kind::CacheWrite, split);
        assert!(wrote > 1000 && quantity(&first, Kind::CacheRead, None) == 0, "{first:?}");
        assert_eq!(cost(&first), by_hand(&first, write), "{first:?}");
        let second = outcome(&wire, &asked(&SECOND, ttl)).await;
        assert_eq!(quantity(&second, Kind::CacheRead, None), wrote, "{protocol}: all of it is read");
        assert!((1..100).contains(&quantity(&second, Kind::CacheWrite, split)), "{second:?}");
        assert_eq!(cost(&second), by_hand(&second, write));
        // Another conversation shares the system prompt and nothing else.
        let other = outcome(&wire, &asked(&["What is rain?"], ttl)).await;
        let shared = quantity(&other, Kind::CacheRead, None);
        assert!(shared > 900 && shared < wrote, "{other:?}");
        assert!(cost(&second) < cost(&first) && cost(&other) < cost(&first));
    }
}

#[tokio::test]
async fn nothing_is_asked_for_where_nobody_wants_it() {
    let stage = stage("anthropic", "").await;
    let wire = stage.wire().await;
    for prompt_cache in [None, Some(Wanted::default()), Some(Wanted { mode: Mode::Off.into(), ttl: None })] {
        let off = outcome(&wire, &CompleteRequest { prompt_cache, ..asked(&FIRST, None) }).await;
        assert_eq!((off.prompt_cache_ttl, quantity(&off, Kind::CacheWrite, None)), (None, 0), "{off:?}");
    }
    let mut marked = CompleteRequest { prompt_cache: None, ..asked(&FIRST, None) };
    marked.messages[0].content[0].cache_breakpoint = Some(CacheBreakpoint { ttl: Some(seconds(3600)) });
    let explicit = outcome(&wire, &marked).await;
    assert_eq!(explicit.prompt_cache_ttl, Some(seconds(3600)));
    assert!(quantity(&explicit, Kind::CacheWrite, Some(3600)) > 1000);
}

#[tokio::test]
async fn the_configuration_says_what_holds_where_a_request_does_not() {
    let asks = |mode: Option<Mode>, ttl| CompleteRequest {
        prompt_cache: mode.map(|mode| Wanted { mode: mode.into(), ttl }),
        ..asked(&FIRST, None)
    };
    let all = stage("anthropic", "prompt_cache: { mode: automatic, ttl: 1h }").await;
    let wire = all.wire().await;
    let ttl = async |request: CompleteRequest| outcome(&wire, &request).await.prompt_cache_ttl.map(|ttl| ttl.seconds);
    assert_eq!(ttl(asks(None, None)).await, Some(3600));
    assert_eq!(ttl(asks(Some(Mode::Unspecified), Some(seconds(60)))).await, Some(300));
    assert_eq!(ttl(asks(Some(Mode::Automatic), None)).await, Some(3600));
    assert_eq!(ttl(asks(Some(Mode::Off), None)).await, None);
    let of_model = PRICED
        .replace("MODEL", "claude-sonnet-5-5")
        .replace("id: m\n", "id: m\n    prompt_cache: { mode: automatic }\n");
    let one = Stage::speaking("anthropic", &of_model).await;
    let wire = one.wire().await;
    let ttl = async |request: CompleteRequest| outcome(&wire, &request).await.prompt_cache_ttl.map(|ttl| ttl.seconds);
    assert_eq!(ttl(asks(None, None)).await, Some(300), "by the model's name");
    let direct = CompleteRequest { model: "up/claude-sonnet-5-5".to_owned(), ..asks(None, None) };
    assert_eq!(ttl(direct).await, Some(300), "whatever it is called by");
    let other = CompleteRequest { model: "up/claude-opus-5-5".to_owned(), ..asks(None, None) };
    assert_eq!(ttl(other).await, None, "and for no other");
}
