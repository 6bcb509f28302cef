//! Counts, held against another implementation of the same tokenizers.

use super::*;
use crate::domain::{Block, BlockKind, FunctionTool, Image, Media, MediaSource, Tool, ToolKind};
use crate::domain::{Message, Role, TokenParts, Tokens};

const CORPUS: &[(&str, &str)] = &[
    ("prose", include_str!("../../tests/tokens/corpus/prose.txt")),
    ("code", include_str!("../../tests/tokens/corpus/code.txt")),
    ("cjk", include_str!("../../tests/tokens/corpus/cjk.txt")),
    ("emoji", include_str!("../../tests/tokens/corpus/emoji.txt")),
    ("data", include_str!("../../tests/tokens/corpus/data.json.txt")),
    ("whitespace", include_str!("../../tests/tokens/corpus/whitespace.txt")),
];

fn of_the_other(encoding: Encoding, text: &str) -> usize {
    match encoding {
        Encoding::O200kBase => tiktoken_rs::o200k_base_singleton(),
        Encoding::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
    }
    .encode_ordinary(text)
    .len()
}

#[test]
fn counts_are_those_of_another_implementation_to_the_token() {
    for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
        assert_eq!(encoding.count(""), 0);
        for (name, text) in CORPUS {
            assert_eq!(encoding.count(text), of_the_other(encoding, text), "{name} in {}", encoding.name());
            // Cut anywhere, for endings in the middle of words, spaces and marks.
            for (at, _) in text.char_indices().step_by(37) {
                let (left, right) = text.split_at(at);
                for piece in [left, right] {
                    assert_eq!(encoding.count(piece), of_the_other(encoding, piece), "{name} cut at {at}: {piece:?}");
                }
            }
        }
    }
}

#[test]
fn a_long_text_without_a_space_is_counted_too() {
    let text = "ab".repeat(1_500_000);
    let tokens = Encoding::O200kBase.count(&text);
    // A longest token of some bytes, and one at least for each 128.
    assert!((text.len() / 128..text.len()).contains(&tokens), "{tokens}");
}

fn said(text: &str) -> Message {
    Message { role: Role::User, content: vec![Block::text(text)], state: None }
}

fn whole(tokens: u32) -> Option<Envelope> {
    Some(Envelope { tokens: Tokens::new(tokens), is_whole: true })
}

#[tokio::test]
async fn the_parts_of_a_prompt_are_told_apart_and_add_up() {
    let function = FunctionTool {
        name: "weather".into(),
        description: "Tells the weather".into(),
        parameters: Some(r#"{"type":"object"}"#.into()),
        strict: None,
        provider_options: Default::default(),
    };
    let media = Media { source: MediaSource::Uri("https://example.com/a.png".into()), mime_type: String::new() };
    let mut message = said("What is the weather here?");
    message.content.push(BlockKind::Image(Image { media, detail: String::new() }).into());
    let request = Arc::new(Request {
        system: vec![Block::text("Be brief.")],
        messages: vec![message],
        tools: vec![Tool { kind: ToolKind::Function(function), cache_breakpoint: None }],
        ..Request::default()
    });
    let rule = rule("openai", "gpt-4o").unwrap();
    let count = count(&request, Some(rule), &Learned::default(), None).await;
    let [system, messages, weather, tells, schema] =
        ["Be brief.", "What is the weather here?", "weather", "Tells the weather", r#"{"type":"object"}"#]
            .map(|text| u32::try_from(of_the_other(Encoding::O200kBase, text)).unwrap());
    let parts = TokenParts {
        system: Tokens::new(system),
        tools: Tokens::new(weather + tells + schema + 10),
        messages: Tokens::new(messages),
        media: Tokens::new(1000),
        overhead: Tokens::new(11),
    };
    assert_eq!(count.parts, Some(parts));
    assert_eq!(count.input, parts.sum());
    assert_eq!((count.source, count.tokenizer), (CountSource::Estimated, Some("o200k_base")));
}

#[tokio::test]
async fn a_count_says_how_sure_it_is() {
    let request = Arc::new(Request { messages: vec![said(&"a".repeat(4000))], ..Request::default() });
    let learned = Learned::default();
    let exact = rule("openai", "gpt-4o");
    let sure = count(&request, exact, &learned, whole(7)).await;
    assert_eq!((sure.source, sure.tokenizer), (CountSource::Tokenizer, Some("o200k_base")));
    assert_eq!(count(&request, exact, &learned, None).await.source, CountSource::Estimated);
    let partly = Some(Envelope { tokens: Tokens::new(7), is_whole: false });
    assert_eq!(count(&request, exact, &learned, partly).await.source, CountSource::Estimated);
    let newest = count(&request, rule("openai", "gpt-6-sol"), &learned, whole(7)).await;
    assert_eq!((newest.source, newest.input), (CountSource::Estimated, sure.input));
    let unknown = count(&request, rule("gemini", "gemini-4-argon"), &learned, None).await;
    assert_eq!((unknown.source, unknown.tokenizer, unknown.input), (CountSource::Estimated, None, Tokens::new(1007)));
}

#[tokio::test]
async fn a_factor_makes_more_of_the_same_text_and_rounds_up() {
    let text = "Why is the sky blue?";
    let request = Arc::new(Request { messages: vec![said(text)], ..Request::default() });
    let tokens = of_the_other(Encoding::Cl100kBase, text);
    let count = count(&request, rule("anthropic", "claude-opus-4-6"), &Learned::default(), None).await;
    let expected = (tokens * 115).div_ceil(100);
    assert_eq!(count.parts.unwrap().messages, Tokens::new(u32::try_from(expected).unwrap()));
}
