//! What tells requests apart, field by field.

use std::time::Duration;

use super::*;
use crate::domain::{
    BlockKind, CacheBreakpoint, CacheMode, FunctionTool, Message, ModelName, OnDisconnect, PicoUsd, PromptCache,
    PromptCacheMode, ProviderOptions, Reasoning, RequestId, ResponseCache, ResponseFormat, Role, Tokens, Tool,
    ToolChoice, ToolChoiceMode, ToolKind, ToolResult, UnsupportedParameters, Vendor,
};

fn asked() -> Request {
    let result = ToolResult {
        tool_call_id: "1".to_owned(),
        name: "f".to_owned(),
        content: vec![Block::text("sunny")],
        is_error: false,
    };
    let turn = |role, block| Message { role, content: vec![block], state: None };
    let tool = FunctionTool {
        name: "f".to_owned(),
        description: String::new(),
        parameters: None,
        strict: None,
        provider_options: Default::default(),
    };
    Request {
        model: Some(ModelName::new("m")),
        system: vec![Block::text("be kind")],
        messages: vec![turn(Role::User, Block::text("hello")), turn(Role::Tool, BlockKind::ToolResult(result).into())],
        tools: vec![Tool { kind: ToolKind::Function(tool), cache_breakpoint: None }],
        ..Request::default()
    }
}

fn inner(request: &mut Request) -> &mut Block {
    let Some(BlockKind::ToolResult(result)) = request.messages.last_mut().map(|message| &mut message.content[0].kind)
    else {
        panic!("it is a result")
    };
    &mut result.content[0]
}

type Change = fn(&mut Request);

const BREAKPOINT: Option<CacheBreakpoint> = Some(CacheBreakpoint { ttl: None });

/// Another answer may be wanted.
const SHAPING: &[(&str, Change)] = &[
    ("model", |r| r.model = Some(ModelName::new("n"))),
    ("no model", |r| r.model = None),
    ("fallback_models", |r| r.fallback_models = vec![ModelName::new("n")]),
    ("system", |r| r.system = vec![Block::text("be short")]),
    ("more system", |r| r.system.push(Block::text(""))),
    ("messages", |r| r.messages[0].content = vec![Block::text("hello!")]),
    ("one text as two", |r| r.messages[0].content = vec![Block::text("hel"), Block::text("lo")]),
    ("role", |r| r.messages[0].role = Role::Assistant),
    ("tool result", |r| *inner(r) = Block::text("rainy")),
    ("block options", |r| r.messages[0].content[0].provider_options = [(Vendor::new("v"), "{}".to_owned())].into()),
    ("max_tokens", |r| r.max_tokens = Some(Tokens::new(5))),
    ("temperature", |r| r.sampling.temperature = Some(0.0)),
    ("top_p", |r| r.sampling.top_p = Some(0.5)),
    ("top_k", |r| r.sampling.top_k = Some(5)),
    ("frequency_penalty", |r| r.sampling.frequency_penalty = Some(0.5)),
    ("presence_penalty", |r| r.sampling.presence_penalty = Some(0.5)),
    ("seed", |r| r.sampling.seed = Some(0)),
    ("top_logprobs", |r| r.sampling.top_logprobs = Some(0)),
    ("stop_sequences", |r| r.stop_sequences = vec!["x".to_owned()]),
    ("tools", |r| r.tools.clear()),
    ("tool_choice", |r| r.tool_choice = Some(ToolChoice { mode: ToolChoiceMode::None, names: Vec::new() })),
    ("parallel_tool_calls", |r| r.parallel_tool_calls = Some(false)),
    ("response_format", |r| r.response_format = ResponseFormat::JsonObject),
    ("reasoning", |r| r.reasoning = Some(Reasoning::default())),
    ("service_tier", |r| r.service_tier = Some("flex".to_owned())),
    ("unsupported_parameters", |r| r.unsupported = UnsupportedParameters::Ignore),
    ("provider_options", |r| r.provider_options = [(Vendor::new("v"), ProviderOptions::default())].into()),
];

/// The same answer serves, though it is another call.
const CALLS: &[(&str, Change)] = &[
    ("max_cost", |r| r.max_cost = Some(PicoUsd::new(5))),
    ("conversation_id", |r| r.conversation_id = Some("c".to_owned())),
    ("restart_on_interruption", |r| r.restart_on_interruption = true),
    ("on_disconnect", |r| r.on_disconnect = OnDisconnect::Finish),
    ("cache mode", |r| r.cache.mode = CacheMode::Refresh),
    ("cache ttl", |r| r.cache = ResponseCache { ttl: Some(Duration::from_secs(5)), ..ResponseCache::default() }),
    ("prompt_cache", |r| r.prompt_cache = PromptCache { mode: PromptCacheMode::Automatic, ttl: None }),
    ("breakpoint in the system prompt", |r| r.system[0].cache_breakpoint = BREAKPOINT),
    ("breakpoint in a message", |r| r.messages[0].content[0].cache_breakpoint = BREAKPOINT),
    ("breakpoint in a result", |r| inner(r).cache_breakpoint = BREAKPOINT),
    ("breakpoint behind a tool", |r| r.tools[0].cache_breakpoint = BREAKPOINT),
];

/// Not even another call.
const NEITHER: &[(&str, Change)] = &[
    ("user", |r| r.user = Some("u".to_owned())),
    ("labels", |r| r.labels = [("team".to_owned(), "red".to_owned())].into()),
    ("request_id", |r| r.request_id = Some(RequestId::new(uuid::Uuid::nil()))),
];

fn keys(request: &Request) -> (AnswerKey, [u8; 32]) {
    (of_answer(request, "", &[]).unwrap(), of_call(request).unwrap())
}

#[test]
fn each_field_tells_apart_what_it_shall() {
    let (answer, call) = keys(&asked());
    for (changes, is_other_answer, is_other_call) in
        [(SHAPING, true, true), (CALLS, false, true), (NEITHER, false, false)]
    {
        for (field, change) in changes {
            let mut request = asked();
            change(&mut request);
            assert_ne!(request, asked(), "{field} is changed");
            let (other_answer, other_call) = keys(&request);
            assert_eq!((answer != other_answer, call != other_call), (is_other_answer, is_other_call), "{field}");
        }
    }
}

#[test]
fn no_two_changes_lead_to_the_same_answer() {
    let changed = SHAPING.iter().map(|(_, change)| {
        let mut request = asked();
        change(&mut request);
        keys(&request).0
    });
    let all: std::collections::HashSet<_> = changed.chain([keys(&asked()).0]).collect();
    assert_eq!(all.len(), SHAPING.len() + 1);
}

#[test]
fn two_callers_and_two_configurations_share_nothing() {
    let shape = |text: &str| [text.to_owned()];
    let key = |caller: &str, text: &str| of_answer(&asked(), caller, &shape(text)).unwrap();
    let all = [key("", "p/m"), key("a", "p/m"), key("b", "p/m"), key("a", "p/n"), key("ap", "/m")];
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}
