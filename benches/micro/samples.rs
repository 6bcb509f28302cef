//! What is asked and answered, in the words of the contract and of both protocols.

use completiond::proto::{
    CompleteRequest, ContentBlock, FunctionTool, Message, Role, Text, Tool, ToolCall, ToolResult, content_block, tool,
    tool_call,
};

use crate::Failure;

const SYSTEM: &str = "You answer in one paragraph, calmly, with what is known and what is not.";
const QUESTION: &str = "Why is the sky blue in the day and red when the sun sets? Say what light is made of, \
    what the air does to it, why that depends on the colour, and why the way through the air matters. ";
/// What is said, piece by piece.
const PIECE: &str = "light is scattered ";
/// How often an answer that comes whole says it.
const PIECES: usize = 64;
/// What a tool takes.
const PARAMETERS: &str = r#"{"type":"object","properties":{"city":{"type":"string","description":"Where."},"days":{"type":"integer","minimum":1,"maximum":14},"unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["city"],"additionalProperties":false}"#;

/// A system prompt and a question, together of about 1.2 KB.
pub(crate) fn prompt() -> CompleteRequest {
    CompleteRequest {
        model: "smart".to_owned(),
        system: SYSTEM.to_owned(),
        messages: vec![message(Role::User, vec![text(&QUESTION.repeat(6))])],
        max_tokens: Some(1024),
        temperature: Some(0.5),
        ..CompleteRequest::default()
    }
}

/// The same with three tools, of which the model has called two and has their results.
pub(crate) fn tools() -> CompleteRequest {
    let mut request = prompt();
    request.tools = ["weather", "forecast", "sunset"].into_iter().map(function).collect();
    request.messages.extend([
        message(Role::Assistant, vec![text("I will look."), call("1", "weather"), call("2", "sunset")]),
        message(Role::Tool, vec![result("1", "Clear, 21 degrees."), result("2", "At 19:42.")]),
    ]);
    request
}

fn function(name: &str) -> Tool {
    let function = FunctionTool {
        name: name.to_owned(),
        description: "What a place can expect, from a service that is asked once a day.".to_owned(),
        parameters_json: PARAMETERS.to_owned(),
        ..FunctionTool::default()
    };
    Tool { tool: Some(tool::Tool::Function(function)), ..Tool::default() }
}

fn message(role: Role, content: Vec<ContentBlock>) -> Message {
    Message { role: role.into(), content, ..Message::default() }
}

fn block(block: content_block::Block) -> ContentBlock {
    ContentBlock { block: Some(block), ..ContentBlock::default() }
}

fn text(text: &str) -> ContentBlock {
    block(content_block::Block::Text(Text { text: text.to_owned(), ..Text::default() }))
}

fn call(id: &str, name: &str) -> ContentBlock {
    let input = Some(tool_call::Input::ArgumentsJson(r#"{"city":"Graz","days":3,"unit":"celsius"}"#.to_owned()));
    let call = ToolCall { id: id.to_owned(), name: name.to_owned(), input, ..ToolCall::default() };
    block(content_block::Block::ToolCall(call))
}

fn result(id: &str, said: &str) -> ContentBlock {
    let result = ToolResult { tool_call_id: id.to_owned(), content: vec![text(said)], ..ToolResult::default() };
    block(content_block::Block::ToolResult(result))
}

/// How a provider answers.
#[derive(Clone, Copy)]
pub(crate) enum Wire {
    /// Chat completions.
    Chat,
    /// Messages.
    Messages,
}

impl Wire {
    /// What this vendor speaks.
    pub(crate) fn of(vendor: &str) -> Result<Self, Failure> {
        match vendor {
            "openai" => Ok(Self::Chat),
            "anthropic" => Ok(Self::Messages),
            _ => Err("a vendor of which there is no sample".into()),
        }
    }

    /// The body of an answer that comes whole, with about 1.2 KB of text.
    pub(crate) fn answer(self) -> Vec<u8> {
        let text = PIECE.repeat(PIECES);
        match self {
            Self::Chat => {
                let message = format!(r#"{{"role":"assistant","content":"{text}","refusal":null}}"#);
                format!(
                    r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"bench","choices":[{{"index":0,"message":{message},"logprobs":null,"finish_reason":"stop"}}],"usage":{CHAT_USAGE}}}"#
                )
            }
            Self::Messages => format!(
                r#"{{{MESSAGE},"content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":250,"output_tokens":192}}}}"#
            ),
        }
        .into_bytes()
    }

    /// An answer in so many pieces, as an event stream.
    pub(crate) fn stream(self, pieces: usize) -> Vec<u8> {
        let [beginning, piece, end] = match self {
            Self::Chat => chat_stream(),
            Self::Messages => messages_stream(),
        };
        format!("{beginning}{}{end}", piece.repeat(pieces)).into_bytes()
    }
}

const CHAT_USAGE: &str = r#"{"prompt_tokens":250,"completion_tokens":192,"total_tokens":442,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#;
const MESSAGE: &str = r#""id":"msg_1","type":"message","role":"assistant","model":"bench""#;

/// What stands before the first piece, a piece, and what stands behind the last.
fn chat_stream() -> [String; 3] {
    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"bench\",\"system_fingerprint\":\"fp_1\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
        )
    };
    let delta = |delta: &str, finish: &str| {
        let choice = format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#);
        chunk(&choice, "null")
    };
    let end = [delta("{}", r#""stop""#), chunk("", CHAT_USAGE), "data: [DONE]\n\n".to_owned()].concat();
    let beginning = delta(r#"{"role":"assistant","content":""}"#, "null");
    [beginning, delta(&format!(r#"{{"content":"{PIECE}"}}"#), "null"), end]
}

fn messages_stream() -> [String; 3] {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let usage = r#"{"input_tokens":250,"output_tokens":1}"#;
    let start =
        format!(r#","message":{{{MESSAGE},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{usage}}}"#);
    let text = format!(r#","index":0,"delta":{{"type":"text_delta","text":"{PIECE}"}}"#);
    let last = r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":192}"#;
    let beginning = [
        event("message_start", &start),
        event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
    ];
    let end = [event("content_block_stop", r#","index":0"#), event("message_delta", last), event("message_stop", "")];
    [beginning.concat(), event("content_block_delta", &text), end.concat()]
}
