//! Answers as bytes: what comes out again, and what does not.

use super::*;
use crate::domain::{
    Answer, Block, BlockKind, CallId, Cost, CostSource, Finish, FinishReason, Message, ModelId, Origin, Outcome,
    PicoUsd, ProviderId, ReasoningText, RefusalDetail, Role, Tokens, ToolCall, ToolInput, Usage, UsageItem, UsageKind,
};

fn kept(text: &str) -> KeptAnswer {
    let call = ToolCall {
        id: "c".to_owned(),
        name: "f".to_owned(),
        input: ToolInput::Json("{}".to_owned()),
        incomplete: true,
        namespace: "n".to_owned(),
    };
    let reasoning = ReasoningText { text: "so".to_owned(), ..ReasoningText::default() };
    let content = vec![BlockKind::Reasoning(reasoning).into(), Block::text(text), BlockKind::ToolCall(call).into()];
    let usage = Usage::reported([
        UsageItem::tokens(UsageKind::Input, Tokens::new(200)),
        UsageItem::tokens(UsageKind::Output, Tokens::new(70_000)),
        UsageItem::calls("search", 2),
    ]);
    let refusal = Some(RefusalDetail { category: "c".to_owned(), explanation: "e".to_owned() });
    let finish = Finish { usage, refusal, ..Finish::new(FinishReason::ToolCalls, "tool_calls") };
    let end = Outcome {
        id: CallId::new(uuid::Uuid::nil()),
        model: ModelId::new("m"),
        provider: ProviderId::new("p"),
        finish,
        cost: Some(Cost { amount: PicoUsd::new(1_500_000_000), source: CostSource::Config, estimated: true }),
        attempts: Vec::new(),
        ignored_parameters: vec!["top_k".to_owned()],
        max_tokens: Tokens::new(8192),
        simulated: true,
        prompt_cache_ttl: None,
        origin: Origin::Missed,
        saved: None,
    };
    KeptAnswer::of(&Answer { message: Message { role: Role::Assistant, content, state: None }, end })
}

fn layout(answer: &KeptAnswer) -> String {
    postcard::to_stdvec(answer).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_packed_comes_out_again_and_smaller() {
    let answer = kept(&"the same again ".repeat(1000));
    let packed = pack(&answer).unwrap();
    assert!(packed.len() < 1000, "{}", packed.len());
    let unpacked = unpack(&packed).unwrap();
    assert_eq!(unpacked.answer, answer);
    assert!(unpacked.made.elapsed().unwrap() < Duration::from_secs(60));
}

#[test]
fn a_layout_has_one_version() {
    // Where this fails, what other processes have packed cannot be read any more: raise VERSION and put the new one here.
    let expected = concat!(
        "01030502736f00000000047465787400000000030163016600027b7d01016e000000016d0170040a746f6f6c5f63616c6c73000101",
        "630165000300000000c8010003000000f0a204000606736561726368000000020000000000000180bcc1960b01010105746f705f6b",
        "80400001",
    );
    assert_eq!((VERSION, layout(&kept("text")).as_str()), (1, expected));
}

#[test]
fn what_cannot_be_read_is_no_answer() {
    let packed = pack(&kept("text")).unwrap();
    (0..packed.len()).for_each(|end| assert_eq!(unpack(&packed[..end]), None, "cut at {end}"));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut other = packed.clone();
        change(&mut other);
        unpack(&other)
    };
    assert_eq!(with(&|bytes| bytes[0] = VERSION + 1), None, "another version");
    let rest = |plain: &[u8]| [&packed[..HEAD], &compress(plain).unwrap()].concat();
    let mut plain = postcard::to_stdvec(&kept("text")).unwrap();
    assert!(unpack(&rest(&plain)).is_some());
    plain.push(0);
    assert_eq!(unpack(&rest(&plain)), None, "something stands behind it");
    for index in HEAD..packed.len() {
        let changed = with(&|bytes| bytes[index] ^= 0x55);
        assert!(changed.is_none_or(|found| found.answer == kept("text")), "byte {index}");
    }
}

#[test]
fn what_becomes_too_large_is_no_answer() {
    let bomb = compress(&vec![0; MOST + 1]).unwrap();
    assert!(bomb.len() < MOST / 100);
    let head = pack(&kept("text")).unwrap();
    assert_eq!(unpack(&[&head[..HEAD], &bomb].concat()), None);
    assert_eq!(pack(&kept(&"x".repeat(MOST))), None);
}

#[test]
fn what_asks_for_more_memory_than_an_answer_may_have_is_none_of_ours() {
    let answer = kept("short");
    let with_window = |log: u32| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), LEVEL).unwrap();
        encoder.window_log(log).unwrap();
        std::io::Write::write_all(&mut encoder, &postcard::to_stdvec(&answer).unwrap()).unwrap();
        let head = pack(&answer).unwrap()[..HEAD].to_vec();
        [head, encoder.finish().unwrap()].concat()
    };
    assert_eq!(unpack(&with_window(20)).unwrap().answer, answer);
    assert_eq!(unpack(&with_window(27)), None);
}
