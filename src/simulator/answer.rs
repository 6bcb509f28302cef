//! What is said: from a request and its directives to an answer, before any wire format has a say in it.
//!
//! The same request gets the same answer, ids included.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ask::{Ask, Format, Mode, Reasoning, Tool, ToolInput};
use super::directive::{Directives, Filter, MAX_TOKENS, directive_line};
use super::failure::Failure;
use super::prompt_cache::Share;
use super::schema;
use super::text::Text;

/// The name of the model that answers.
pub(super) const MODEL: &str = "simulator";
/// How many tokens of reasoning come where reasoning is asked for and nothing else is said.
const REASONING_TOKENS: u32 = 24;
const LABEL: &str = "This answer is simulated: no model was asked, and nothing in it is true.";

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Stands for the request in all ids.
    pub(super) id: String,
    pub(super) parts: Vec<Part>,
    pub(super) finish: Finish,
    /// The provider's word for the end, where the request asked for one.
    pub(super) finish_word: Option<String>,
    pub(super) usage: Option<Usage>,
    /// A streamed answer reports its usage where the wire format leaves that to the request.
    pub(super) usage_in_stream: bool,
    /// Each text token comes with its log probability and so many alternatives.
    pub(super) logprobs: Option<usize>,
}

/// A piece of an answer.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) kind: PartKind,
    pub(super) text: Text,
}

/// What a piece of an answer is; its text is the text or the call's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Reasoning,
    Text,
    Refusal,
    Call(Call),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// Its place among the answer's calls.
    pub(super) place: usize,
    /// It takes free text, not JSON.
    pub(super) free_text: bool,
}

/// Why an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    StopSequence(String),
    MaxTokens,
    Calls,
    Refusal,
    Filter,
}

/// What an answer used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Of the prompt, cached ones included.
    pub(super) input: u32,
    /// Of the prompt: what a cache had to do with it.
    pub(super) cached: Share,
    /// Of the answer, reasoning included.
    pub(super) output: u32,
    /// Of the answer: reasoning.
    pub(super) reasoning: u32,
}

/// What is short, hexadecimal, and the same for the same bytes.
pub(super) fn tag(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

impl Answer {
    /// The answer to a request whose bytes have the tag `id`.
    ///
    /// # Errors
    /// A request that asks for what cannot be made.
    pub(super) fn of(ask: &Ask, directives: &Directives, id: String) -> Result<Self, Failure> {
        let shape = &directives.shape;
        let (mut parts, finish) = if shape.filter == Some(Filter::Prompt) {
            (Vec::new(), Finish::Filter)
        } else if shape.refuse {
            (vec![Part::new(PartKind::Refusal, "I will not do that: this refusal is simulated.")], Finish::Refusal)
        } else {
            content(ask, directives, &id)?
        };
        let think = shape.think.or((ask.reasoning != Reasoning::Off).then_some(REASONING_TOKENS));
        if let Some(tokens) = think.filter(|tokens| *tokens > 0 && shape.filter != Some(Filter::Prompt)) {
            let text = Text::long("This reasoning is simulated.", tokens, seed(ask));
            parts.insert(0, Part { kind: PartKind::Reasoning, text });
        }
        let mut answer = Self {
            id,
            parts,
            finish,
            finish_word: shape.finish.clone(),
            usage: None,
            usage_in_stream: ask.include_usage && !shape.no_usage,
            logprobs: ask.logprobs,
        };
        let (output, reasoning) = answer.bound(ask.max_tokens.unwrap_or(MAX_TOKENS), &ask.stop);
        if ask.reasoning == Reasoning::Hidden {
            answer.hide_reasoning();
        }
        let read = shape.cached.unwrap_or(0).min(ask.input_tokens);
        let cached = Share { read, ..Share::default() };
        let usage = Usage { input: ask.input_tokens, cached, output, reasoning };
        answer.usage = (!shape.no_usage).then_some(usage);
        Ok(answer)
    }

    /// The same answer to a prompt of which a cache has this share, where the request does not say another.
    pub(super) fn sparing(mut self, share: Share) -> Self {
        if let Some(usage) = self.usage.as_mut().filter(|usage| usage.cached == Share::default()) {
            usage.cached = share;
        }
        self
    }

    /// Ends the answer where its bounds do. How many tokens are left, and how many of them are reasoning.
    fn bound(&mut self, max_tokens: u32, stops: &[String]) -> (u32, u32) {
        let (mut output, mut reasoning) = (0, 0);
        for place in 0..self.parts.len() {
            let Some(part) = self.parts.get_mut(place) else { break };
            let stops = if part.kind == PartKind::Text { stops } else { &[] };
            let extent = part.text.bound(max_tokens - output, stops);
            output += extent.tokens;
            if part.kind == PartKind::Reasoning {
                reasoning += extent.tokens;
            }
            let ended_by = extent.stopped_by.map(Finish::StopSequence).or(extent.cut.then_some(Finish::MaxTokens));
            if let Some(finish) = ended_by {
                self.finish = finish;
                // A part of which nothing is left did not begin; one that was called did.
                let kept = if extent.tokens == 0 { place } else { place + 1 };
                self.parts.truncate(kept);
                break;
            }
        }
        (output, reasoning)
    }

    fn hide_reasoning(&mut self) {
        for part in &mut self.parts {
            if part.kind == PartKind::Reasoning {
                part.text = Text::default();
            }
        }
    }

    /// How many tokens the answer brings one by one.
    pub(super) fn paced_tokens(&self) -> u32 {
        self.parts.iter().map(|part| part.text.clone().bound(u32::MAX, &[]).tokens).sum()
    }
}

impl Part {
    fn new(kind: PartKind, text: impl Into<String>) -> Self {
        Self { kind, text: Text::given(text) }
    }
}

/// The answer itself, reasoning aside, and how it ends.
fn content(ask: &Ask, directives: &Directives, id: &str) -> Result<(Vec<Part>, Finish), Failure> {
    let calls = calls(ask, directives, id)?;
    if !calls.is_empty() {
        return Ok((calls, Finish::Calls));
    }
    let text = match &ask.format {
        Format::Schema(schema) => {
            let value = schema::instance(schema).ok_or_else(|| {
                Failure::rejected(
                    "the simulator can make no value for this JSON schema (pattern, not, if and the like)",
                )
            })?;
            Text::given(value.to_string())
        }
        Format::Object => Text::given(json!({ "simulated": true, "answer": LABEL }).to_string()),
        Format::Text => plain(ask, directives),
    };
    let finish = if directives.shape.filter.is_some() { Finish::Filter } else { Finish::Stop };
    Ok((vec![Part { kind: PartKind::Text, text }], finish))
}

/// A text that says what it is, and what was seen of the request.
fn plain(ask: &Ask, directives: &Directives) -> Text {
    let shape = &directives.shape;
    let words: Vec<&str> = ask.user_text.lines().filter(|line| directive_line(line).is_none()).collect();
    if shape.echo {
        return Text::given(words.join("\n"));
    }
    let seen = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("one {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let seen: Vec<String> =
        [seen(ask.images, "image"), seen(ask.documents, "document"), seen(ask.tool_results, "tool result")]
            .into_iter()
            .flatten()
            .collect();
    let mut text = LABEL.to_owned();
    if !seen.is_empty() {
        text.push_str(&format!(" It came with {}.", seen.join(" and ")));
    }
    let asked = words.join(" ");
    if let Some(shown) = shorten(asked.trim()) {
        text.push_str(&format!(" You wrote: \"{shown}\""));
    }
    match shape.tokens {
        Some(tokens) => Text::long(text, tokens, seed(ask)),
        None => Text::given(text),
    }
}

/// The beginning of what was asked; none: nothing was.
fn shorten(asked: &str) -> Option<String> {
    let shown: String = asked.chars().take(80).collect();
    match asked.len() {
        0 => None,
        all if all == shown.len() => Some(shown),
        _ => Some(format!("{}...", shown.trim_end())),
    }
}

/// The calls that the request demands or its directives ask for.
fn calls(ask: &Ask, directives: &Directives, id: &str) -> Result<Vec<Part>, Failure> {
    let shape = &directives.shape;
    let wanted = shape.tool.is_some() || shape.tools.is_some();
    let forced = ask.choice.mode == Mode::Required;
    // After results comes the answer that they were wanted for, unless the request itself demands another call.
    if !forced && (!wanted || ask.tool_results > 0 || ask.choice.mode == Mode::None) {
        return Ok(Vec::new());
    }
    let mut tools = ask.callable();
    if let Some(name) = shape.tool.as_deref().filter(|name| !name.is_empty()) {
        tools.retain(|tool| tool.name == name);
    }
    if tools.is_empty() {
        return Err(Failure::rejected("the simulator is to call a tool that the request does not have"));
    }
    let count = if ask.parallel { shape.tools.unwrap_or(1).max(1) } else { 1 };
    let count = usize::try_from(count).unwrap_or(1);
    let places = tools.iter().cycle().take(count).enumerate();
    Ok(places.map(|(place, tool)| call(tool, shape.args.as_ref(), id, place)).collect())
}

fn call(tool: &Tool, arguments: Option<&Value>, id: &str, place: usize) -> Part {
    let input = match (&tool.input, arguments) {
        (ToolInput::Text, _) => "simulated input".to_owned(),
        (ToolInput::Json(_), Some(arguments)) => arguments.to_string(),
        // A model's arguments need not follow the schema; where none are found that do, there are none.
        (ToolInput::Json(schema), None) => {
            schema::instance(schema).filter(Value::is_object).unwrap_or_else(|| json!({})).to_string()
        }
    };
    let kind = PartKind::Call(Call {
        id: tag(format!("{id} {place}").as_bytes()),
        name: tool.name.clone(),
        place,
        free_text: matches!(tool.input, ToolInput::Text),
    });
    Part::new(kind, input)
}

/// A number for made-up words: a streamed answer and a whole one say the same.
fn seed(ask: &Ask) -> u64 {
    ask.user_text.bytes().map(u64::from).sum()
}
