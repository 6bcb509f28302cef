//! Each rule of a request broken once: one violation, with its path and the rule.

use super::{block, call, message, result, rules, text, whole};
use crate::domain::Reason;
use crate::edge::grpc::convert::request;
use crate::proto::complete_request::reasoning::Amount;
use crate::proto::content_block::Block as Kind;
use crate::proto::media::Source;
use crate::proto::response_format::{Format, JsonSchemaFormat};
use crate::proto::tool::Tool as ToolOf;
use crate::proto::tool_call::Input;
use crate::proto::{self, CompleteRequest as Asked};

/// How a rule is broken, where that is, and the rule.
type Case = (fn(&mut Asked), &'static str, &'static str);

const NAME: &str = "must be 1 to 64 letters, digits, `_` and `-`";
const NOT_EMPTY: &str = "must not be empty";
const VENDOR: &str = "must be of a vendor: lower case letters, digits, `_`, `-` and `.`, at most 64";
const OBJECT: &str = "must be JSON text of an object, nested at most 127 deep; it is not at line 1 column ";
const STATE: &str = "must not be empty unless the block has provider_state";
const ADDRESS: &str = "must be a whole address such as https://host/path, s3:// or gs://; bytes go into data";
const MIME: &str = "must be a media type such as image/png; it may be empty only without data";
const TTL: &str = "must be a duration of 0 seconds or more, its nanoseconds 0 to 999999999";
const ASSISTANT: &str = "must stand in a ROLE_ASSISTANT message";
const SENT: &str = "must be what this server sent, unchanged: provider state was not made by this server";

#[test]
fn each_rule_about_parameters() {
    let cases: &[Case] = &[
        (|a| a.model = "a model".into(), "model", "must be at most 512 characters, none of them a space"),
        (|a| a.model = "m".repeat(513), "model", "must be at most 512 characters, none of them a space"),
        (|a| a.max_tokens = Some(0), "max_tokens", "must be at least 1"),
        (|a| a.temperature = Some(2.1), "temperature", "must be 0 to 2"),
        (|a| a.temperature = Some(f64::NAN), "temperature", "must be 0 to 2"),
        (|a| a.top_p = Some(0.0), "top_p", "must be above 0 and at most 1"),
        (|a| a.top_p = Some(f64::INFINITY), "top_p", "must be above 0 and at most 1"),
        (|a| a.top_k = Some(0), "top_k", "must be at least 1"),
        (|a| a.frequency_penalty = Some(-2.5), "frequency_penalty", "must be -2 to 2"),
        (|a| a.presence_penalty = Some(f64::NEG_INFINITY), "presence_penalty", "must be -2 to 2"),
        (|a| a.top_logprobs = Some(21), "top_logprobs", "must be 0 to 20"),
        (|a| a.top_logprobs = Some(-1), "top_logprobs", "must be 0 to 20"),
        (|a| a.stop_sequences = vec!["a".into(); 17], "stop_sequences", "must have at most 16 entries"),
        (|a| a.stop_sequences.push(String::new()), "stop_sequences[1]", NOT_EMPTY),
        (
            |a| a.unsupported_parameters = 9,
            "unsupported_parameters",
            "must be a value that this server knows; 9 is not",
        ),
        (|a| a.user = "u".repeat(513), "user", "must be at most 512 characters"),
        (|a| a.max_cost_pico_usd = Some(0), "max_cost_pico_usd", "must be at least 1"),
        (|a| a.labels = [(String::new(), "v".to_owned())].into(), "labels", "must have keys of 1 to 63 characters"),
        (
            |a| a.labels = [("k".to_owned(), "\u{e9}".repeat(257))].into(),
            "labels",
            "must have values of at most 256 characters",
        ),
        (|a| a.conversation_id = "\u{e9}".repeat(257), "conversation_id", "must be at most 256 characters"),
        (|a| a.fallback_models = vec!["m".into(); 9], "fallback_models", "must have at most 8 entries"),
        (|a| a.fallback_models[1].clear(), "fallback_models[1]", NOT_EMPTY),
        (
            |a| a.fallback_models[0] = "a model".into(),
            "fallback_models[0]",
            "must be at most 512 characters, none of them a space",
        ),
        (|a| amount(a, Amount::BudgetTokens(1023)), "reasoning.budget_tokens", "must be at least 1024"),
        (|a| amount(a, Amount::BudgetTokens(4096)), "reasoning.budget_tokens", "must be below max_tokens"),
        (|a| amount(a, Amount::Effort(99)), "reasoning.effort", "must be a value that this server knows; 99 is not"),
        (|a| schema(a).name = "a b".into(), "response_format.json_schema.name", NAME),
        (|a| schema(a).schema_json = String::new(), "response_format.json_schema.schema_json", OBJECT),
        (|a| schema(a).schema_json = "[]".into(), "response_format.json_schema.schema_json", OBJECT),
    ];
    check(cases);
}

#[test]
fn each_rule_about_vendors_options() {
    let cases: &[Case] = &[
        (|a| rename(a, ""), "provider_options[\"\"]", VENDOR),
        (|a| rename(a, "Acme"), "provider_options[\"Acme\"]", VENDOR),
        (|a| body(a, "{"), "provider_options[\"acme\"].body_json", OBJECT),
        (|a| body(a, "[1]"), "provider_options[\"acme\"].body_json", OBJECT),
        (
            |a| body(a, "{\"a\":{\"b\":1,\"b\":2}}"),
            "provider_options[\"acme\"].body_json",
            "must have each key of an object once",
        ),
        (
            |a| body(a, r#"{"stream":true}"#),
            "provider_options[\"acme\"].body_json",
            "must not have the key `stream`, which this server sets",
        ),
        (
            |a| header(a, "authorization", "x"),
            "provider_options[\"acme\"].headers[\"authorization\"]",
            "must be a header that this server's configuration allows",
        ),
        (
            |a| header(a, "X-Beta", "a\nb"),
            "provider_options[\"acme\"].headers[\"X-Beta\"]",
            "must be the text of an HTTP header",
        ),
        (
            |a| header(a, "x-beta", "again"),
            "provider_options[\"acme\"].headers[\"x-beta\"]",
            "must be there once; upper and lower case are the same",
        ),
        (
            |a| drop(user(a, 0).provider_options.insert("acme".into(), "1".into())),
            "messages[0].content[0].provider_options[\"acme\"]",
            OBJECT,
        ),
        (
            |a| drop(function(a).provider_options.insert("acme".into(), String::new())),
            "tools[0].function.provider_options[\"acme\"]",
            OBJECT,
        ),
    ];
    check(cases);
}

#[test]
fn each_rule_about_tools() {
    let cases: &[Case] = &[
        (|a| a.tools[1].tool = None, "tools[1]", "must have a kind that this server knows"),
        (|a| function_named(a, ""), "tools[0].function.name", NAME),
        (|a| function_named(a, "a.b"), "tools[0].function.name", NAME),
        (|a| function_named(a, &"n".repeat(65)), "tools[0].function.name", NAME),
        (|a| custom(a).name = "weather".into(), "tools[1].custom.name", "must be unique among the tools"),
        (|a| function(a).parameters_json = "true".into(), "tools[0].function.parameters_json", OBJECT),
        (|a| grammar(a).syntax = "bnf".into(), "tools[1].custom.grammar.syntax", "must be `lark` or `regex`"),
        (|a| grammar(a).definition.clear(), "tools[1].custom.grammar.definition", NOT_EMPTY),
        (|a| provider_tool(a).vendor.clear(), "tools[2].provider_tool.vendor", VENDOR),
        (|a| provider_tool(a).json = "{]".into(), "tools[2].provider_tool.json", OBJECT),
        (|a| choice(a).mode = 7, "tool_choice.mode", "must be a value that this server knows; 7 is not"),
        (|a| choice(a).names[1] = "sun".into(), "tool_choice.names[1]", "must be the name of a tool in `tools`"),
        (|a| choice(a).names[1] = "weather".into(), "tool_choice.names[1]", "must be there once"),
        (
            |a| choice(a).mode = proto::ToolChoiceMode::None.into(),
            "tool_choice.names",
            "must be empty with TOOL_CHOICE_MODE_NONE",
        ),
        (|a| a.tools.clear(), "tool_choice", "must come with tools"),
        (|a| many_tools(a, 513), "tools", "must have at most 512 entries"),
        (|a| a.tools[2].cache_breakpoint = ttl(-1, 0), "tools[2].cache_breakpoint.ttl", TTL),
    ];
    check(cases);
}

#[test]
fn each_rule_about_the_cache_of_prompts() {
    const OFF: &str = "must not be set with OFF";
    let cases: &[Case] = &[
        (|a| prompt_cache(a).mode = 7, "prompt_cache.mode", "must be a value that this server knows; 7 is not"),
        (|a| prompt_cache(a).mode = proto::PromptCacheMode::Off.into(), "prompt_cache.ttl", OFF),
        (|a| lifetime(a).nanos = -1, "prompt_cache.ttl", TTL),
        (|a| lifetime(a).seconds = 0, "prompt_cache.ttl", "must be above 0; OFF marks nothing"),
    ];
    check(cases);
}

#[test]
fn each_rule_about_messages() {
    let cases: &[Case] = &[
        (
            |a| (a.messages, a.prompt) = (vec![], String::new()),
            "messages",
            "must have at least one message unless there is a prompt",
        ),
        (
            |a| a.messages = vec![message(proto::Role::User, vec![text("a")]); 10_001],
            "messages",
            "must have at most 10000 entries",
        ),
        (|a| a.messages[0].role = 0, "messages[0].role", "must be ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL"),
        (|a| a.messages[0].role = 5, "messages[0].role", "must be a value that this server knows; 5 is not"),
        (|a| a.messages[0].content.clear(), "messages[0].content", "must have at least one block"),
        (|a| a.messages[0].content = vec![text("a"); 10_001], "messages[0].content", "must have at most 10000 entries"),
        (|a| a.messages[1].provider_state = b"{}".to_vec(), "messages[1].provider_state", SENT),
        (|a| user(a, 0).block = None, "messages[0].content[0]", "must have a kind that this server knows"),
        (|a| *user(a, 0) = call("9", Input::Text("x".into())), "messages[0].content[0].tool_call", ASSISTANT),
        (|a| *user(a, 0) = answered(0), "messages[0].content[0].reasoning", ASSISTANT),
        (|a| *user(a, 0) = answered(4), "messages[0].content[0].refusal", ASSISTANT),
        (
            |a| *user(a, 0) = result("1", vec![]),
            "messages[0].content[0].tool_result",
            "must stand in a ROLE_TOOL message",
        ),
        (
            |a| a.messages[2].content.push(text("a")),
            "messages[2].content[2].text",
            "must be a tool result: a ROLE_TOOL message has nothing else",
        ),
        (
            |a| a.system_blocks.push(whole().messages[0].content[1].clone()),
            "system_blocks[1].image",
            "must be text: a system prompt has nothing else",
        ),
        (
            |a| result_of(a).content.push(result("1", vec![])),
            "messages[2].content[1].tool_result.content[1].tool_result",
            "must be text, an image or a document: a tool's result has nothing else",
        ),
        (
            |a| result_of(a).tool_call_id = "7".into(),
            "messages[2].content[1].tool_result.tool_call_id",
            "must be the id of a tool call earlier in the conversation",
        ),
        (
            |a| result_of(a).tool_call_id = "2".into(),
            "messages[2].content[1].tool_result.tool_call_id",
            "must be of a tool call that has no result yet",
        ),
    ];
    check(cases);
}

#[test]
fn a_result_stands_behind_its_call() {
    let found = violations(|a| a.messages.swap(1, 2));
    let rule = "must be the id of a tool call earlier in the conversation";
    let told = |index| (format!("messages[1].content[{index}].tool_result.tool_call_id"), rule.to_owned());
    assert_eq!(found, [told(0), told(1)]);
}

#[test]
fn each_rule_about_blocks() {
    let cases: &[Case] = &[
        (|a| *user(a, 0) = text(""), "messages[0].content[0].text.text", STATE),
        (|a| a.system_blocks[0] = text(""), "system_blocks[0].text.text", STATE),
        (|a| user(a, 0).provider_state = b"x".to_vec(), "messages[0].content[0].provider_state", SENT),
        (|a| user(a, 0).cache_breakpoint = ttl(0, -1), "messages[0].content[0].cache_breakpoint.ttl", TTL),
        (|a| user(a, 0).cache_breakpoint = ttl(i64::MAX, 0), "messages[0].content[0].cache_breakpoint.ttl", TTL),
        (|a| said(a).logprobs[0].logprob = f64::NAN, "messages[1].content[1].text.logprobs[0].logprob", FINITE),
        (
            |a| {
                let inner = said(a).logprobs[0].top[0].clone();
                said(a).logprobs[0].top[0].top.push(inner);
            },
            "messages[1].content[1].text.logprobs[0].top[0].top",
            "must be empty: alternatives have none",
        ),
        (
            |a| a.messages[1].content[0].provider_state.clear(),
            "messages[1].content[0].reasoning.redacted",
            "must come with the block's provider_state",
        ),
        (
            |a| a.messages[1].content[0] = block(Kind::Reasoning(proto::Reasoning::default())),
            "messages[1].content[0].reasoning.text",
            STATE,
        ),
        (|a| unanswered(a).id.clear(), "messages[1].content[3].tool_call.id", NOT_EMPTY),
        (|a| tool_call(a).name.clear(), "messages[1].content[3].tool_call.name", NOT_EMPTY),
        (|a| tool_call(a).input = None, "messages[1].content[3].tool_call", "must have arguments_json or text"),
        (
            |a| tool_call(a).input = Some(Input::ArgumentsJson(String::new())),
            "messages[1].content[3].tool_call.arguments_json",
            OBJECT,
        ),
        (
            |a| tool_call(a).incomplete = true,
            "messages[1].content[3].tool_call.incomplete",
            "must be false: a call that was cut short cannot be sent back",
        ),
        (|a| unanswered(a).id = "1".into(), "messages[1].content[3].tool_call.id", "must be unique in its message"),
        (|a| provider_block(a).vendor = "A B".into(), "messages[0].content[4].provider_block.vendor", VENDOR),
        (|a| provider_block(a).r#type.clear(), "messages[0].content[4].provider_block.type", NOT_EMPTY),
        (|a| provider_block(a).json = "\"x\"".into(), "messages[0].content[4].provider_block.json", OBJECT),
    ];
    check(cases);
}

const FINITE: &str = "must be a finite number";

#[test]
fn each_rule_about_media() {
    let none = "must have data, uri or file";
    let cases: &[Case] = &[
        (|a| image(a).media = None, "messages[0].content[1].image.media", none),
        (|a| media(a).source = None, "messages[0].content[1].image.media", none),
        (|a| media(a).mime_type.clear(), "messages[0].content[1].image.media.mime_type", MIME),
        (|a| media(a).mime_type = "png".into(), "messages[0].content[1].image.media.mime_type", MIME),
        (|a| source(a, Source::Data(Vec::new().into())), "messages[0].content[1].image.media.data", NOT_EMPTY),
        (|a| source(a, Source::Uri("a.png".into())), "messages[0].content[1].image.media.uri", ADDRESS),
        (|a| source(a, Source::Uri("data:image/png,AA".into())), "messages[0].content[1].image.media.uri", ADDRESS),
        (|a| file(a, "", "f"), "messages[0].content[1].image.media.file.provider", NOT_EMPTY),
        (|a| file(a, "p", ""), "messages[0].content[1].image.media.file.id", NOT_EMPTY),
        (|a| *user(a, 0) = block(Kind::Audio(proto::Audio::default())), "messages[0].content[0].audio.media", none),
        (
            |a| *user(a, 0) = block(Kind::Document(proto::Document::default())),
            "messages[0].content[0].document.media",
            none,
        ),
    ];
    check(cases);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let found = violations(|a| {
        a.temperature = Some(3.0);
        a.messages[0].role = 0;
        a.tools[1].tool = None;
    });
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["temperature", "messages[0].role", "tools[1]"]);
}

#[test]
fn a_request_that_is_all_wrong_is_not_told_without_end() {
    let asked = Asked { messages: vec![proto::Message::default(); 5000], ..Default::default() };
    let error = request(asked, &rules()).unwrap_err();
    assert_eq!(error.details.violations.len(), 20);
    assert!(error.message.ends_with("; and 4980 more"), "{error}");
}

#[test]
fn rules_never_quote_the_request() {
    let secret = "hunter2";
    let found = violations(|a| {
        a.model = "hunter2 hunter2".into();
        a.provider_options.get_mut("acme").unwrap().body_json = "{\"hunter2\"".into();
        choice(a).names.push("hunter2".into());
        tool_call(a).input = Some(Input::ArgumentsJson("{\"a\": hunter2}".into()));
        provider_block(a).json = "hunter2".into();
        source(a, Source::Uri("hunter2".into()));
    });
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(!format!("{found:?}").contains(secret), "{found:?}");
}

/// Breaks each rule in a request that is otherwise in order.
fn check(cases: &[Case]) {
    for (breaks, field, rule) in cases {
        let found = violations(*breaks);
        assert_eq!(found.len(), 1, "{field}: {found:?}");
        assert_eq!(found[0].0, *field);
        assert!(found[0].1.starts_with(rule), "{field}: {found:?}");
    }
}

fn violations(breaks: fn(&mut Asked)) -> Vec<(String, String)> {
    let mut asked = whole();
    breaks(&mut asked);
    let error = request(asked, &rules()).unwrap_err();
    assert_eq!(error.reason, Reason::InvalidRequest);
    error.details.violations.into_iter().map(|v| (v.field, v.rule.into_owned())).collect()
}

fn amount(asked: &mut Asked, amount: Amount) {
    asked.reasoning.as_mut().unwrap().amount = Some(amount);
}

fn schema(asked: &mut Asked) -> &mut JsonSchemaFormat {
    match asked.response_format.as_mut().unwrap().format.as_mut().unwrap() {
        Format::JsonSchema(schema) => schema,
        _ => panic!("no schema"),
    }
}

fn options(asked: &mut Asked) -> &mut proto::ProviderOptions {
    asked.provider_options.get_mut("acme").unwrap()
}

fn rename(asked: &mut Asked, name: &str) {
    let options = asked.provider_options.remove("acme").unwrap();
    asked.provider_options.insert(name.into(), options);
}

fn body(asked: &mut Asked, text: &str) {
    options(asked).body_json = text.into();
}

fn header(asked: &mut Asked, name: &str, value: &str) {
    options(asked).headers.insert(name.into(), value.into());
}

fn function(asked: &mut Asked) -> &mut proto::FunctionTool {
    let Some(ToolOf::Function(function)) = &mut asked.tools[0].tool else { panic!("no function") };
    function
}

fn function_named(asked: &mut Asked, name: &str) {
    function(asked).name = name.into();
    choice(asked).names[0] = "shell".into();
}

fn custom(asked: &mut Asked) -> &mut proto::CustomTool {
    let Some(ToolOf::Custom(custom)) = &mut asked.tools[1].tool else { panic!("no custom tool") };
    custom
}

fn grammar(asked: &mut Asked) -> &mut proto::custom_tool::Grammar {
    custom(asked).grammar.as_mut().unwrap()
}

fn provider_tool(asked: &mut Asked) -> &mut proto::ProviderTool {
    // Nothing can be chosen by a name that cannot be read.
    choice(asked).names.truncate(1);
    let Some(ToolOf::ProviderTool(tool)) = &mut asked.tools[2].tool else { panic!("no provider tool") };
    tool
}

fn choice(asked: &mut Asked) -> &mut proto::ToolChoice {
    asked.tool_choice.as_mut().unwrap()
}

fn many_tools(asked: &mut Asked, count: usize) {
    let custom = |index| proto::CustomTool { name: format!("t-{index}"), ..Default::default() };
    let tool = |index| proto::Tool { tool: Some(ToolOf::Custom(custom(index))), cache_breakpoint: None };
    asked.tools = (0..count).map(tool).collect();
    choice(asked).names.clear();
}

#[allow(clippy::unnecessary_wraps, reason = "the form in which the field takes it")]
fn ttl(seconds: i64, nanos: i32) -> Option<proto::CacheBreakpoint> {
    Some(proto::CacheBreakpoint { ttl: Some(prost_types::Duration { seconds, nanos }) })
}

fn prompt_cache(asked: &mut Asked) -> &mut proto::PromptCache {
    asked.prompt_cache.as_mut().unwrap()
}

fn lifetime(asked: &mut Asked) -> &mut prost_types::Duration {
    prompt_cache(asked).ttl.as_mut().unwrap()
}

fn user(asked: &mut Asked, index: usize) -> &mut proto::ContentBlock {
    &mut asked.messages[0].content[index]
}

fn answered(index: usize) -> proto::ContentBlock {
    whole().messages[1].content[index].clone()
}

fn said(asked: &mut Asked) -> &mut proto::Text {
    let Some(Kind::Text(text)) = &mut asked.messages[1].content[1].block else { panic!("no text") };
    text
}

fn tool_call(asked: &mut Asked) -> &mut proto::ToolCall {
    let Some(Kind::ToolCall(call)) = &mut asked.messages[1].content[3].block else { panic!("no call") };
    call
}

/// The same call, without the result that would be an orphan.
fn unanswered(asked: &mut Asked) -> &mut proto::ToolCall {
    asked.messages[2].content.remove(0);
    tool_call(asked)
}

fn result_of(asked: &mut Asked) -> &mut proto::ToolResult {
    let Some(Kind::ToolResult(result)) = &mut asked.messages[2].content[1].block else { panic!("no result") };
    result
}

fn provider_block(asked: &mut Asked) -> &mut proto::ProviderBlock {
    let Some(Kind::ProviderBlock(block)) = &mut asked.messages[0].content[4].block else { panic!("no such block") };
    block
}

fn image(asked: &mut Asked) -> &mut proto::Image {
    let Some(Kind::Image(image)) = &mut asked.messages[0].content[1].block else { panic!("no image") };
    image
}

fn media(asked: &mut Asked) -> &mut proto::Media {
    image(asked).media.as_mut().unwrap()
}

fn source(asked: &mut Asked, source: Source) {
    media(asked).source = Some(source);
}

fn file(asked: &mut Asked, provider: &str, id: &str) {
    source(asked, Source::File(proto::FileRef { provider: provider.into(), id: id.into() }));
}
