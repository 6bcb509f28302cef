//! Answers as they go out: every field arrives, and the events of a stream fold to what the unary call answers.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::state;
use crate::domain::*;
use crate::edge::grpc::convert::{LedgerView, event, response};
use crate::proto::content_block::Block as Kind;
use crate::proto::stream_complete_response::block_delta::Delta as ProtoDelta;
use crate::proto::stream_complete_response::{BlockDelta, Event as ProtoEvent};
use crate::proto::tool_call::Input;
use crate::proto::{self, StreamCompleteResponse};

fn id() -> CallId {
    CallId::new(uuid::Uuid::from_u128(7))
}

fn used() -> Usage {
    let mut read = UsageItem::tokens(UsageKind::CacheRead, Tokens::new(30));
    read.modality = Modality::Audio;
    let mut write = UsageItem::tokens(UsageKind::CacheWrite, Tokens::new(4));
    write.cache_ttl = Some(Duration::from_secs(300));
    let mut other = UsageItem::tokens(UsageKind::RejectedPrediction, Tokens::new(5));
    other.model = Some(ModelId::new("m-2"));
    Usage::reported([
        UsageItem::tokens(UsageKind::Input, Tokens::new(200)),
        read,
        write,
        UsageItem::tokens(UsageKind::Output, Tokens::new(6000)),
        UsageItem::tokens(UsageKind::Reasoning, Tokens::new(70_000)),
        other,
        UsageItem::calls("search", 2),
    ])
}

fn paid() -> Cost {
    Cost { amount: PicoUsd::new(1_500_000_000), source: CostSource::Provider, estimated: false }
}

fn tried(outcome: AttemptOutcome) -> Attempt {
    Attempt {
        endpoint: Identity::new(ProviderId::new("main"), Vendor::new("acme"), ModelId::new("m-1")),
        outcome,
        duration: Some(Duration::from_millis(1500)),
        time_to_first_event: Some(Duration::from_millis(250)),
        usage: Some(used()),
        cost: Some(paid()),
    }
}

fn outcome() -> Outcome {
    let finish = Finish {
        stop_sequence: "END".into(),
        refusal: Some(RefusalDetail { category: "c".into(), explanation: "e".into() }),
        usage: used(),
        service_tier: "flex".into(),
        message_state: Some(state()),
        metadata: [("system_fingerprint".to_owned(), "fp".to_owned())].into(),
        ..Finish::new(FinishReason::StopSequence, "stop_sequence")
    };
    Outcome {
        id: id(),
        model: ModelId::new("m-1"),
        provider: ProviderId::new("main"),
        finish,
        cost: Some(paid()),
        attempts: vec![tried(AttemptOutcome::Failed(Reason::ProviderRateLimited)), tried(AttemptOutcome::Finished)],
        ignored_parameters: vec!["top_k".into()],
        max_tokens: Tokens::new(8192),
        prompt_cache_ttl: Some(Duration::from_secs(3600)),
        simulated: true,
        origin: Origin::default(),
        saved: None,
    }
}

fn answer(content: Vec<Block>) -> Answer {
    Answer { message: Message { role: Role::Assistant, content, state: None }, end: outcome() }
}

#[test]
fn the_outcome_arrives_whole() {
    let out = response(answer(vec![]), LedgerView::Full).outcome.unwrap();
    assert_eq!(out.id, "00000000-0000-0000-0000-000000000007");
    assert_eq!((out.model.as_str(), out.provider.as_str()), ("m-1", "main"));
    assert_eq!(out.finish_reason(), proto::FinishReason::StopSequence);
    assert_eq!((out.raw_finish_reason.as_str(), out.stop_sequence.as_str()), ("stop_sequence", "END"));
    assert_eq!(out.refusal, Some(proto::RefusalDetail { category: "c".into(), explanation: "e".into() }));
    assert_eq!(out.ignored_parameters, ["top_k"]);
    assert_eq!(out.prompt_cache_ttl, Some(prost_types::Duration { seconds: 3600, nanos: 0 }));
    assert_eq!((out.max_tokens, out.service_tier.as_str(), out.simulated), (8192, "flex", true));
    assert_eq!(out.message_state, state().to_bytes());
    assert_eq!(out.provider_metadata["system_fingerprint"], "fp");
    let cost = proto::Cost {
        pico_usd: 1_500_000_000,
        usd: "0.0015".into(),
        source: proto::CostSource::Provider.into(),
        price_version: String::new(),
        estimated: false,
    };
    assert_eq!(out.cost, Some(cost));
}

#[test]
fn totals_hold_what_providers_fold_in_and_items_add_up() {
    let usage = response(answer(vec![]), LedgerView::Full).outcome.unwrap().usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (234, 76_005, 76_239));
    assert_eq!((usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens), (30, 4, 70_000));
    assert_eq!(usage.source(), proto::UsageSource::Provider);
    let is_call = |item: &&proto::UsageItem| item.kind() == proto::UsageKind::ServerToolCall;
    let tokens: i64 = usage.items.iter().filter(|item| !is_call(item)).map(|item| item.quantity).sum();
    assert_eq!(tokens, i64::from(usage.total_tokens));
    let call = usage.items.iter().find(is_call).unwrap();
    assert_eq!((call.tool.as_str(), call.quantity), ("search", 2));
    assert_eq!(usage.items[1].modality(), proto::Modality::Audio);
    assert_eq!(usage.items[2].cache_ttl, Some(prost_types::Duration { seconds: 300, nanos: 0 }));
    assert_eq!(usage.items[5].model, "m-2");
}

#[test]
fn the_ledger_names_endpoints_only_where_it_may() {
    for (view, endpoint) in [(LedgerView::Full, "main/m-1"), (LedgerView::WithoutEndpoints, "")] {
        let attempts = response(answer(vec![]), view).outcome.unwrap().attempts;
        let [failed, finished] = &attempts[..] else { panic!("two attempts") };
        assert_eq!((failed.endpoint.as_str(), failed.model.as_str()), (endpoint, "m-1"));
        assert_eq!(failed.outcome(), proto::AttemptOutcome::Failed);
        assert_eq!((failed.status, failed.reason.as_str()), (8, "PROVIDER_RATE_LIMITED"));
        assert_eq!(failed.duration, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
        assert_eq!(failed.time_to_first_event, Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }));
        assert!(failed.usage.is_some() && failed.cost.is_some());
        assert_eq!(finished.outcome(), proto::AttemptOutcome::Finished);
        assert_eq!((finished.status, finished.reason.as_str()), (0, ""));
    }
}

#[test]
fn every_reason_to_end_has_its_value() {
    use proto::FinishReason as Proto;
    for (reason, expected) in [
        (FinishReason::Stop, Proto::Stop),
        (FinishReason::StopSequence, Proto::StopSequence),
        (FinishReason::MaxTokens, Proto::MaxTokens),
        (FinishReason::ContextWindow, Proto::ContextWindow),
        (FinishReason::ToolCalls, Proto::ToolCalls),
        (FinishReason::ContentFilter, Proto::ContentFilter),
        (FinishReason::Refusal, Proto::Refusal),
        (FinishReason::Pause, Proto::Pause),
        (FinishReason::CostLimit, Proto::CostLimit),
        (FinishReason::Other, Proto::Other),
    ] {
        let mut answer = answer(vec![]);
        answer.end.finish.reason = reason;
        assert_eq!(response(answer, LedgerView::Full).outcome.unwrap().finish_reason(), expected);
    }
}

#[test]
fn the_text_of_an_answer_is_its_text_blocks_joined() {
    let reasoning = BlockKind::Reasoning(ReasoningText { text: "hm".into(), redacted: false }).into();
    let out = response(answer(vec![Block::text("a"), reasoning, Block::text("b")]), LedgerView::Full);
    assert_eq!(out.text, "ab");
}

#[test]
fn events_that_are_no_part_of_an_answer_arrive() {
    let kind = |happened| event(&id(), happened, 3, LedgerView::Full).event.unwrap();
    assert!(matches!(kind(Event::Heartbeat), ProtoEvent::Heartbeat(_)));
    let ProtoEvent::Usage(usage) = kind(Event::Usage(used())) else { panic!("not a usage") };
    assert_eq!(usage.total_tokens, 76_239);
    assert_eq!(event(&id(), Event::Heartbeat, 3, LedgerView::Full).sequence, 3);
    let by = Started::new(ProviderId::new("spare"), ModelId::new("m-2"));
    let ProtoEvent::Restarted(anew) = kind(Event::Restarted(Restarted { by, attempt: 2 })) else { panic!("not anew") };
    assert_eq!((anew.provider.as_str(), anew.model.as_str(), anew.attempt), ("spare", "m-2", 2));
}

#[test]
fn an_answer_that_begins_anew_folds_to_what_came_after() {
    let by = || Started::new(ProviderId::new("spare"), ModelId::new("m-2"));
    let begun = |text: &str| Event::BlockStarted { index: 0, block: Box::new(Block::text(text)) };
    let whole = answer(vec![Block::text("anew")]);
    let happened = [
        Event::Started(by()),
        begun("void"),
        Event::Restarted(Restarted { by: by(), attempt: 2 }),
        begun("anew"),
        Event::BlockFinished { index: 0, state: None, incomplete: false },
        Event::Completed(Box::new(whole.end.clone())),
    ];
    let mut client = Client::default();
    for (happened, sequence) in happened.into_iter().zip(0..) {
        client.take(event(&id(), happened, sequence, LedgerView::Full));
    }
    assert_eq!(client.response(), response(whole, LedgerView::Full));
}

/// Folds events as a client does that knows nothing but the contract.
#[derive(Default)]
struct Client {
    sequence: i64,
    id: String,
    content: Vec<proto::ContentBlock>,
    outcome: Option<proto::CompletionOutcome>,
}

impl Client {
    fn take(&mut self, message: StreamCompleteResponse) {
        assert_eq!(message.sequence, self.sequence, "no gaps");
        assert!(self.outcome.is_none(), "completed is the last");
        self.sequence += 1;
        match message.event.unwrap() {
            ProtoEvent::Started(started) => self.id = started.id,
            ProtoEvent::BlockStarted(begun) => {
                assert_eq!(usize::try_from(begun.index), Ok(self.content.len()));
                self.content.push(begun.block.unwrap());
            }
            ProtoEvent::BlockDelta(delta) => {
                let block = self.content.get_mut(usize::try_from(delta.index).unwrap()).unwrap();
                grow(block.block.as_mut().unwrap(), delta);
            }
            ProtoEvent::BlockFinished(finished) => {
                let block = self.content.get_mut(usize::try_from(finished.index).unwrap()).unwrap();
                if !finished.provider_state.is_empty() {
                    block.provider_state = finished.provider_state;
                }
                if let Some(Kind::ToolCall(call)) = &mut block.block {
                    call.incomplete = finished.incomplete;
                }
            }
            ProtoEvent::Completed(outcome) => self.outcome = Some(*outcome),
            ProtoEvent::Restarted(_) => self.content.clear(),
            ProtoEvent::Usage(_) | ProtoEvent::Heartbeat(_) => {}
        }
    }

    fn response(self) -> proto::CompleteResponse {
        let outcome = self.outcome.unwrap();
        assert_eq!(outcome.id, self.id);
        let text = |block: &proto::ContentBlock| match &block.block {
            Some(Kind::Text(text)) => text.text.clone(),
            _ => String::new(),
        };
        let text = self.content.iter().map(text).collect();
        let provider_state = outcome.message_state.clone();
        let message = proto::Message { role: proto::Role::Assistant.into(), content: self.content, provider_state };
        proto::CompleteResponse { outcome: Some(Box::new(outcome)), message: Some(message), text }
    }
}

fn grow(kind: &mut Kind, delta: BlockDelta) {
    match (kind, delta.delta.unwrap()) {
        (Kind::Text(text), ProtoDelta::Text(more)) => {
            text.text.push_str(&more);
            text.logprobs.extend(delta.logprobs);
        }
        (Kind::Text(text), ProtoDelta::Citation(citation)) => text.citations.push(citation),
        (Kind::Refusal(refusal), ProtoDelta::Text(more)) => refusal.text.push_str(&more),
        (Kind::Reasoning(reasoning), ProtoDelta::Reasoning(more)) => reasoning.text.push_str(&more),
        (Kind::Audio(audio), ProtoDelta::Text(more)) => audio.transcript.push_str(&more),
        (Kind::Audio(audio), ProtoDelta::Audio(more)) => {
            let Some(proto::media::Source::Data(data)) = &mut audio.media.as_mut().unwrap().source else {
                panic!("an audio block has data")
            };
            *data = [&data[..], &more].concat().into();
        }
        (Kind::ToolCall(call), ProtoDelta::ToolInput(more)) => match call.input.as_mut().unwrap() {
            Input::ArgumentsJson(text) | Input::Text(text) => text.push_str(&more),
        },
        (_, delta) => panic!("{delta:?} does not fit its block"),
    }
}

fn text() -> impl Strategy<Value = Block> {
    let logprob = (".{0,3}", -9.0..0.0).prop_map(|(token, logprob)| {
        let top = vec![TokenLogprob { token: "x".into(), bytes: vec![255], logprob: -3.0, top: vec![] }];
        TokenLogprob { bytes: token.clone().into_bytes(), token, logprob, top }
    });
    let citation = ".{0,3}".prop_map(|title| Citation { title, text_start: Some(3), ..Citation::default() });
    // Log probabilities come with their text.
    (".{1,20}", vec(citation, 0..3), vec(logprob, 0..3))
        .prop_map(|(text, citations, logprobs)| BlockKind::Text(Text { text, citations, logprobs }).into())
}

fn call() -> impl Strategy<Value = Block> {
    let input = prop_oneof![".{0,20}".prop_map(ToolInput::Json), ".{0,20}".prop_map(ToolInput::Text)];
    (input, any::<bool>()).prop_map(|(input, incomplete)| {
        let (id, name, namespace) = ("1".into(), "f".into(), "n".into());
        BlockKind::ToolCall(ToolCall { id, name, input, incomplete, namespace }).into()
    })
}

fn other() -> impl Strategy<Value = Block> {
    let media = |source| Media { source, mime_type: "audio/wav".into() };
    let inline = move || vec(any::<u8>(), 0..9).prop_map(move |bytes| media(MediaSource::Inline(bytes.into())));
    prop_oneof![
        (".{0,20}", any::<bool>()).prop_map(|(text, redacted)| BlockKind::Reasoning(ReasoningText { text, redacted })),
        ".{0,20}".prop_map(|text| BlockKind::Refusal(Refusal { text, category: "c".into() })),
        (inline(), ".{0,9}").prop_map(|(media, transcript)| BlockKind::Audio(Audio { media, transcript })),
        inline().prop_map(|media| BlockKind::Image(Image { media, detail: "d".into() })),
        Just(BlockKind::Provider(ProviderBlock { vendor: Vendor::new("acme"), kind: "k".into(), json: "{}".into() })),
    ]
    .prop_map(Block::from)
}

fn block() -> impl Strategy<Value = Block> {
    (prop_oneof![text(), call(), other()], any::<bool>())
        .prop_map(|(block, has_state)| if has_state { block.with_state(state()) } else { block })
}

/// The same events with texts cut in two, as an upstream might.
fn cut_in_two(events: Vec<Event>) -> Vec<Event> {
    let mut pieces = Vec::new();
    for event in events {
        match event {
            Event::BlockDelta { index, delta: Delta::Text(text), logprobs } => {
                let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
                let (head, tail) = text.split_at(middle);
                pieces.push(Event::delta(index, Delta::Text(head.to_owned())));
                pieces.push(Event::BlockDelta { index, delta: Delta::Text(tail.to_owned()), logprobs });
                pieces.push(Event::Heartbeat);
            }
            event => pieces.push(event),
        }
    }
    pieces
}

proptest! {
    #[test]
    fn the_events_of_a_stream_fold_to_the_whole_answer(content in vec(block(), 0..6)) {
        let answer = answer(content);
        let started = Started::new(ProviderId::new("main"), ModelId::new("m-1"));
        let mut client = Client::default();
        for (sequence, happened) in (0..).zip(cut_in_two(answer.clone().into_events(started))) {
            client.take(event(&id(), happened, sequence, LedgerView::Full));
        }
        prop_assert_eq!(client.response(), response(answer, LedgerView::Full));
    }
}

proptest! {
    #[test]
    fn an_answer_that_was_kept_is_the_same_answer(content in vec(block(), 0..6)) {
        let answer = answer(content);
        let bytes = postcard::to_stdvec(&KeptAnswer::of(&answer)).unwrap();
        let kept: KeptAnswer = postcard::from_bytes(&bytes).unwrap();
        let mut fold = Fold::default();
        for event in kept.events(id(), Origin::Hit) {
            prop_assert_eq!(fold.push(event), Ok(()));
        }
        let again = fold.finish().unwrap();
        prop_assert_eq!(&again.message.content, &answer.message.content);
        prop_assert_eq!(&again.end.finish, &answer.end.finish);
        prop_assert_eq!(again.end.saved.map(|saved| saved.usage), Some(answer.end.finish.usage));
        prop_assert_eq!(again.end.origin, Origin::Hit);
        prop_assert!(again.end.attempts.is_empty());
    }
}
