//! How attempts end, and what they used by then.

use proptest::prelude::*;

use super::*;
use crate::credentials::Credentials;
use crate::domain::{
    FunctionTool, Message, ProviderId, ReasoningText, Role, Started, Text, Tool, ToolCall, ToolInput, ToolKind,
};
use crate::pool::{Account, ConcurrencyRule, Provider, Timeouts};
use crate::price::{Price, Prices, Rates};
use crate::protocol::vendor::preset;

/// What a token costs in these tests: of the prompt, and of the answer.
const RATES: (i64, i64) = (3, 15);

/// An endpoint with these prices for a token of the prompt and of the answer.
pub(in crate::pool) fn endpoint(rates: Option<(i64, i64)>) -> Endpoint {
    let preset = preset("openai").unwrap();
    let vendor = Vendor::new(preset.name);
    let provider = Arc::new(Provider {
        id: ProviderId::new("p"),
        vendor: vendor.clone(),
        telemetry_name: preset.telemetry_name,
        protocol: (preset.protocol)(),
        base_url: "http://localhost/v1".parse().unwrap(),
        credentials: Credentials::default(),
        headers: http::HeaderMap::new(),
        timeouts: Timeouts::default(),
        proxy: None,
        version: http::Version::HTTP_11,
        simulated: false,
        account: Arc::new(Account::new(ConcurrencyRule::default())),
        prices: Prices::built_in(),
    });
    let endpoint = Endpoint::known(&provider, ModelId::new("made-up"));
    match rates {
        None => endpoint,
        Some((input, output)) => {
            let [input, output] = [input, output].map(|rate| Some(PicoUsd::new(rate)));
            let price = Price { standard: Rates { input, output, ..Rates::default() }, ..Price::default() };
            endpoint.charged_by(Tariff::set(price, vendor, Prices::built_in()))
        }
    }
}

/// A prompt of 400 bytes: 100 tokens before anything was learned.
fn request() -> Request {
    let message = Message { role: Role::User, content: vec![Block::text("x".repeat(400))], state: None };
    Request { messages: vec![message], ..Request::default() }
}

fn sent() -> Departure {
    let departure = Departure::default();
    departure.mark();
    departure
}

fn meter() -> Meter {
    Meter::new(&endpoint(Some(RATES)), &request(), sent(), None)
}

/// The same at an endpoint whose answer is being made.
fn working() -> Meter {
    let mut meter = meter();
    meter.head(|| true);
    meter.accepted();
    meter
}

fn text(bytes: usize) -> Decoded {
    Event::delta(0, Delta::Text("x".repeat(bytes)))
}

fn reasoning(bytes: usize) -> Decoded {
    Event::delta(0, Delta::Reasoning("x".repeat(bytes)))
}

fn reported(input: u32, output: u32) -> Usage {
    Usage::reported([
        UsageItem::tokens(UsageKind::Input, Tokens::new(input)),
        UsageItem::tokens(UsageKind::Output, Tokens::new(output)),
    ])
}

fn told(input: u32, output: u32) -> Usage {
    reported(input, output).cut_short()
}

/// Source, prompt, answer, reasoning of it, and whether anything is estimated.
fn sums(usage: &Usage) -> (UsageSource, u32, u32, u32, bool) {
    let estimated = usage.items.iter().any(|item| item.estimated);
    (usage.source, usage.input().get(), usage.output().get(), usage.reasoning().get(), estimated)
}

const NOTHING: (UsageSource, u32, u32, u32, bool) = (UsageSource::None, 0, 0, 0, false);
const PROMPT: (UsageSource, u32, u32, u32, bool) = (UsageSource::Estimated, 100, 0, 0, true);

#[test]
fn before_an_answer_begins_what_was_accepted_counts_and_what_was_refused_does_not() {
    let unsent = Meter::new(&endpoint(None), &request(), Departure::default(), None);
    assert_eq!(sums(&unsent.cut(Usage::default())), NOTHING, "no connection was made");
    assert_eq!(sums(&unsent.failed(Reason::ProviderTimeout, Usage::default())), NOTHING);
    let silent = meter();
    assert_eq!(sums(&silent.cut(Usage::default())), PROMPT, "given up in silence");
    assert_eq!(sums(&silent.failed(Reason::ProviderTimeout, Usage::default())), PROMPT);
    assert_eq!(sums(&silent.failed(Reason::ProviderUnavailable, Usage::default())), PROMPT, "a lost connection");
    let mut refused = meter();
    refused.head(|| false);
    assert_eq!(sums(&refused.failed(Reason::ProviderTimeout, Usage::default())), NOTHING);
    assert_eq!(sums(&refused.cut(Usage::default())), NOTHING, "given up while its words were read");
    let mut headed = meter();
    headed.head(|| true);
    for (reason, expected) in [
        (Reason::StreamInterrupted, PROMPT),
        (Reason::ProviderTimeout, PROMPT),
        (Reason::ProviderRateLimited, NOTHING),
        (Reason::ProviderProtocolError, NOTHING),
    ] {
        assert_eq!(sums(&headed.failed(reason, Usage::default())), expected, "{reason}");
    }
}

#[test]
fn what_was_not_told_of_a_cut_answer_is_estimated() {
    use UsageSource::{Estimated, Partial};
    let with = |events: &[Decoded], told: Usage| {
        let mut meter = working();
        events.iter().for_each(|event| meter.observe(event));
        sums(&meter.cut(told))
    };
    let usage = |input, output| Event::Usage(told(input, output));
    assert_eq!(with(&[text(40)], Usage::default()), (Estimated, 100, 10, 0, true), "nothing was told");
    assert_eq!(with(&[text(40), reasoning(80)], Usage::default()), (Estimated, 100, 30, 20, true));
    assert_eq!(with(&[usage(7, 1), text(40)], told(7, 1)), (Partial, 7, 10, 0, true), "the beginning was told");
    assert_eq!(with(&[usage(7, 50), text(40)], told(7, 50)), (Partial, 7, 50, 0, false), "more was told than came");
    assert_eq!(with(&[usage(7, 5), reasoning(40)], told(7, 5)), (Partial, 7, 10, 5, true));
    assert_eq!(with(&[text(400), usage(7, 3)], told(7, 3)), (Partial, 7, 3, 0, false), "what was told is the truth");
    assert_eq!(with(&[text(40), usage(7, 0)], told(7, 0)), (Partial, 7, 10, 0, true), "only the prompt was told");
    assert_eq!(with(&[text(40), Event::Usage(Usage::default())], Usage::default()), (Estimated, 100, 10, 0, true));
    assert_eq!(with(&[text(400), usage(7, 3), text(4)], told(7, 3)), (Partial, 7, 4, 0, true));
    assert_eq!(
        with(&[usage(7, 1), text(400)], told(7, 3)),
        (Partial, 7, 3, 0, false),
        "told with no event, at the end"
    );
    assert_eq!(with(&[usage(0, 1), text(40)], told(0, 1)), (Partial, 100, 10, 0, true), "the prompt was not told");
}

#[test]
fn all_that_a_model_writes_counts_and_nothing_else() {
    let mut meter = working();
    let call = ToolCall {
        id: "an id that no model writes".into(),
        name: "name".into(),
        input: ToolInput::Json("{}".into()),
        incomplete: false,
        namespace: String::new(),
    };
    let whole = BlockKind::Text(Text { text: "12345678".into(), ..Text::default() });
    let thought = BlockKind::Reasoning(ReasoningText { text: "1234".into(), redacted: false });
    for (index, kind) in [(0, whole), (1, BlockKind::ToolCall(call)), (2, thought)] {
        meter.observe(&Event::BlockStarted { index, block: Box::new(kind.into()) });
    }
    meter.observe(&Event::delta(1, Delta::ToolInput("{\"a\":12345}".into())));
    meter.observe(&Event::delta(0, Delta::Citation(Box::default())));
    meter.observe(&Event::Heartbeat);
    assert_eq!(meter.said, Said { text: 8 + 6 + 11, reasoning: 4 });
}

#[test]
fn the_prompt_is_all_that_a_model_reads() {
    let mut request = request();
    let function = FunctionTool {
        name: "name".into(),
        description: "does".into(),
        parameters: Some("{\"a\":1}".into()),
        strict: None,
        provider_options: Default::default(),
    };
    request.tools.push(Tool { kind: ToolKind::Function(function), cache_breakpoint: None });
    assert_eq!(request.prompt_bytes(), 400 + 4 + 4 + 7);
    assert!(request.is_plain());
}

fn finished(meter: &Meter, usage: Usage) -> Usage {
    let mut finish = Finish::new(FinishReason::Stop, "");
    finish.usage = usage;
    meter.finish(&mut finish);
    finish.usage
}

#[test]
fn an_answer_without_numbers_is_estimated_and_teaches_nothing() {
    let mut meter = working();
    meter.observe(&text(4000));
    let usage = finished(&meter, Usage::default());
    assert_eq!(sums(&usage), (UsageSource::Estimated, 100, 1000, 0, true));
    assert_eq!(meter.learned.of_answer(4000), Tokens::new(1000));
    let usage = finished(&meter, reported(7, 500));
    assert_eq!(sums(&usage), (UsageSource::Provider, 7, 500, 0, false), "the provider's own numbers stay");
    assert!(meter.learned.of_answer(4000) < Tokens::new(1000));
    assert!(meter.learned.of_prompt(400) < Tokens::new(100));
}

#[test]
fn only_numbers_that_are_all_about_what_was_seen_teach() {
    let teaches = |request: &Request, reasoned: usize, usage: Usage| {
        let mut meter = Meter::new(&endpoint(None), request, sent(), None);
        if reasoned > 0 {
            let thought = BlockKind::Reasoning(ReasoningText::default());
            meter.observe(&Event::BlockStarted { index: 0, block: Box::new(thought.into()) });
            meter.observe(&reasoning(reasoned));
        }
        meter.observe(&text(4000));
        finished(&meter, usage);
        let learned = &meter.learned;
        (learned.of_prompt(4000) != Tokens::new(1000), learned.of_answer(4000) != Tokens::new(1000))
    };
    assert_eq!(teaches(&request(), 0, reported(50, 500)), (true, true));
    let mut usage = reported(50, 500);
    usage.items.push(UsageItem::calls("web_search", 1));
    assert_eq!(teaches(&request(), 0, usage), (false, false), "results were read that were not seen here");
    let mut usage = reported(50, 500);
    usage.items[0].model = Some(ModelId::new("another"));
    assert_eq!(teaches(&request(), 0, usage), (false, false), "another model counts otherwise");
    assert_eq!(teaches(&request(), 40, reported(50, 500)), (true, false), "reasoning is among the tokens");
    let mut usage = reported(50, 500);
    usage.items.push(UsageItem::tokens(UsageKind::Reasoning, Tokens::new(9)));
    assert_eq!(teaches(&request(), 40, usage), (true, true));
    let mut pictured = request();
    pictured.messages[0].content.push(BlockKind::Reasoning(ReasoningText::default()).into());
    assert_eq!(teaches(&pictured, 0, reported(50, 500)), (false, true));
}

#[test]
fn a_cost_is_the_providers_own_or_by_the_tariff_or_not_known() {
    let usage = reported(10, 2);
    let pico = |cost: Option<Cost>| cost.map(|cost| (cost.amount.get(), cost.estimated));
    let terms = Terms::default();
    assert_eq!(pico(meter().cost(&usage, &terms, None)), Some((60, false)));
    assert_eq!(pico(meter().cost(&usage, &terms, Some(PicoUsd::new(5)))), Some((5, false)));
    assert_eq!(meter().cost(&Usage::default(), &terms, None), None);
    let estimated = working().cut(Usage::default());
    assert_eq!(pico(meter().cost(&estimated, &terms, None)), Some((300, true)));
    let unpriced = Meter::new(&endpoint(None), &request(), sent(), None);
    assert_eq!(unpriced.cost(&usage, &terms, None), None);
}

#[test]
fn the_lack_of_a_price_is_told_once_for_each_model_and_not_for_ever_more() {
    let identity = |model: &str| Identity::new(ProviderId::new("p"), Vendor::new("nobody"), ModelId::new(model));
    assert!(is_news(&identity("a")));
    assert!(!is_news(&identity("a")));
    let told = (0..5000).filter(|number| is_news(&identity(&number.to_string()))).count();
    assert!(told < MOST_UNPRICED, "{told}");
}

fn started() -> Decoded {
    Event::Started(Started::new(ProviderId::new("p"), ModelId::new("who answers")))
}

fn opened() -> Decoded {
    Event::BlockStarted { index: 0, block: Box::new(Block::text("")) }
}

/// An answer whose attempt may cost so much, in texts of these many bytes: how many were taken, and the end.
fn bounded(spend: i64, pieces: &[usize]) -> Option<(usize, Vec<Decoded>)> {
    bounded_events(spend, &pieces.iter().copied().map(text).collect::<Vec<_>>())
}

fn bounded_events(spend: i64, pieces: &[Decoded]) -> Option<(usize, Vec<Decoded>)> {
    let mut meter = Meter::new(&endpoint(Some(RATES)), &request(), sent(), Some(PicoUsd::new(spend)));
    meter.head(|| true);
    meter.accepted();
    assert!(!meter.is_due(), "nothing can end that has not begun");
    meter.observe(&started());
    meter.observe(&opened());
    for (place, piece) in pieces.iter().enumerate() {
        meter.observe(piece);
        if meter.is_due()
            && let Some(ends) = meter.end_at_bound(Usage::default(), &Terms::default())
        {
            return Some((place + 1, ends));
        }
    }
    None
}

#[test]
fn an_answer_ends_when_it_costs_what_it_may() {
    // The prompt is 300; ten bytes more are two tokens and a half, of which each is 15.
    let (taken, ends) = bounded(300 + 10 * 15, &[10; 20]).unwrap();
    assert_eq!(taken, 4, "40 bytes are 10 tokens");
    let [Event::BlockFinished { index: 0, incomplete: false, .. }, Event::Completed(finish)] = &ends[..] else {
        panic!("{ends:?}")
    };
    assert_eq!(finish.reason, FinishReason::CostLimit);
    assert_eq!(finish.model, Some(ModelId::new("who answers")));
    assert!(bounded(300 + 10 * 15, &[10; 3]).is_none());
    assert_eq!(bounded(1, &[1; 3]).map(|(taken, _)| taken), Some(1), "the prompt alone is too dear");
    assert!(bounded(i64::MAX, &[1000; 10]).is_none());
    assert_eq!(
        bounded(300 + 174 * 15, &[47, 646]).map(|(taken, _)| taken),
        Some(2),
        "a token that began is a whole one"
    );
}

#[test]
fn what_the_provider_tells_counts_for_the_bound_when_it_is_more() {
    let mut meter = Meter::new(&endpoint(Some(RATES)), &request(), sent(), Some(PicoUsd::new(10_000)));
    meter.observe(&started());
    assert!(meter.is_due());
    assert_eq!(meter.end_at_bound(Usage::default(), &Terms::default()), None);
    assert!(!meter.is_due());
    let dear = told(4000, 1);
    meter.observe(&Event::Usage(dear.clone()));
    assert!(meter.is_due());
    assert!(meter.end_at_bound(dear, &Terms::default()).is_some());
}

#[test]
fn terms_that_have_no_price_do_not_lift_the_bound() {
    let mut meter = Meter::new(&endpoint(Some((1, 100))), &request(), sent(), Some(PicoUsd::new(50_000)));
    let terms = Terms { service_tier: "made-up".into(), ..Terms::default() };
    meter.accepted();
    meter.observe(&started());
    meter.observe(&opened());
    assert_eq!(meter.end_at_bound(Usage::default(), &terms), None);
    meter.observe(&text(100_000));
    assert!(meter.is_due());
    assert!(meter.end_at_bound(Usage::default(), &terms).is_some());
}

#[test]
fn calls_that_are_open_are_incomplete_when_the_bound_is_reached() {
    let mut meter = Meter::new(&endpoint(Some(RATES)), &request(), sent(), Some(PicoUsd::new(1)));
    meter.observe(&started());
    for index in 0..3 {
        let call = ToolCall {
            id: String::new(),
            name: "f".into(),
            input: ToolInput::Json(String::new()),
            incomplete: false,
            namespace: String::new(),
        };
        meter.observe(&Event::BlockStarted { index, block: Box::new(BlockKind::ToolCall(call).into()) });
    }
    meter.observe(&Event::BlockFinished { index: 1, state: None, incomplete: false });
    let ends = meter.end_at_bound(Usage::default(), &Terms::default()).unwrap();
    let finished: Vec<_> = ends
        .iter()
        .filter_map(|event| match event {
            Event::BlockFinished { index, incomplete, .. } => Some((*index, *incomplete)),
            _ => None,
        })
        .collect();
    assert_eq!(finished, [(0, true), (2, true)]);
}

/// Something that comes of an answer.
fn event() -> impl Strategy<Value = Decoded> {
    prop_oneof![
        4 => (1_usize..200).prop_map(text),
        2 => (1_usize..200).prop_map(reasoning),
        1 => (0_u32..50, 0_u32..200).prop_map(|(input, output)| Event::Usage(told(input, output))),
    ]
}

proptest! {
    #[test]
    fn an_estimate_only_adds_to_what_was_told_and_never_shrinks(events in prop::collection::vec(event(), 0..40)) {
        let mut meter = working();
        let (mut last, mut before) = (Usage::default(), Tokens::ZERO);
        for event in &events {
            meter.observe(event);
            if let Event::Usage(usage) = event {
                last = usage.clone();
                // Numbers that came later may be lower than an estimate was.
                before = Tokens::ZERO;
            }
            let used = meter.cut(last.clone());
            prop_assert!(used.items.starts_with(&last.items));
            prop_assert!(used.items[last.items.len()..].iter().all(|item| item.estimated));
            prop_assert!(used.input() > Tokens::ZERO && used.output() >= before.max(last.output()));
            prop_assert_eq!(used.source == UsageSource::Estimated, last.is_unknown());
            before = used.output();
        }
    }

    #[test]
    fn a_bound_ends_an_answer_with_the_piece_that_reaches_it(
        spend in 1_i64..20_000,
        pieces in prop::collection::vec((1_usize..100, any::<bool>()), 1..100),
    ) {
        let cost = |pieces: &[(usize, bool)]| {
            let of = |kind| pieces.iter().filter(|(_, is)| *is == kind).map(|(bytes, _)| bytes).sum::<usize>();
            let tokens = of(true).div_ceil(4) + of(false).div_ceil(4);
            100 * RATES.0 + i64::try_from(tokens).unwrap() * RATES.1
        };
        let reached = (1..=pieces.len()).find(|taken| cost(&pieces[..*taken]) >= spend);
        let events = pieces.iter().map(|(bytes, is_text)| if *is_text { text(*bytes) } else { reasoning(*bytes) });
        let events: Vec<Decoded> = events.collect();
        prop_assert_eq!(bounded_events(spend, &events).map(|(taken, _)| taken), reached);
    }
}
