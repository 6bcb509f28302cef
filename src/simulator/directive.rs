//! The small language in which a request asks the simulator for shapes and failures; docs/simulator.md describes it.
//!
//! Directives are words, `name` or `name=value`. They stand behind a `?` in the model's name, joined by `&`, or in
//! lines of the last user message that begin with `sim:`. A word that is not known is refused, never ignored.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::advice::{Advice, LIMIT, RetryAfter};
use super::failure::{Failure, Kind};

/// The most tokens of an answer.
pub(super) const MAX_TOKENS: u32 = 200_000;
/// The most calls in an answer.
const MAX_CALLS: u32 = 128;
/// The longest wait between two tokens.
const MAX_PACE: Duration = Duration::from_secs(60);
/// The longest of all other waits.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// The longest wait that is asked for, in seconds or, where it is said in them, in milliseconds.
const MAX_SECONDS: u32 = 1_000_000;
/// The longest word that is read.
const MAX_WORD_BYTES: usize = 4096;

/// What a request asks for beside its answer. Nothing set: a plain answer at the simulator's own pace.
#[derive(Clone, Debug, Default)]
pub(super) struct Directives {
    pub(super) shape: Shape,
    pub(super) timing: Timing,
    /// What comes in place of an answer.
    pub(super) instead: Option<Instead>,
    /// What happens in the middle of the answer.
    pub(super) fault: Option<Fault>,
    /// How the answer ends.
    pub(super) end: End,
    /// The kind that `error_after` and `error_body_200` report.
    pub(super) kind: Option<Kind>,
    /// What the headers say about trying again and about rate limits.
    pub(super) advice: Advice,
}

/// What the answer is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub(super) tokens: Option<u32>,
    pub(super) think: Option<u32>,
    pub(super) echo: bool,
    /// A tool is to be called; empty: the first one.
    pub(super) tool: Option<String>,
    pub(super) tools: Option<u32>,
    pub(super) args: Option<Value>,
    pub(super) refuse: bool,
    pub(super) filter: Option<Filter>,
    /// The provider's word for the end.
    pub(super) finish: Option<String>,
    pub(super) cached: Option<u32>,
    pub(super) no_usage: bool,
}

/// What a filter stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// The prompt: nothing is said.
    Prompt,
    /// The answer: it breaks off.
    Answer,
}

/// When things come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// Between two tokens.
    pub(super) pace: Option<Duration>,
    /// From the request to the response's head.
    pub(super) head: Option<Duration>,
    /// From the head to the first frame.
    pub(super) first_event: Option<Duration>,
    /// Between keep-alives, whenever nothing else comes.
    pub(super) ping: Option<Duration>,
    /// Into pieces of how many bytes the body is cut.
    pub(super) split: Option<usize>,
}

/// What comes in place of an answer.
#[derive(Clone, Debug)]
pub(super) enum Instead {
    /// An error in the wire format's shape.
    Error(Failure),
    /// An error in the wire format's shape under status 200.
    ErrorBody200,
    /// A status with an empty body.
    Status(StatusCode),
    /// A page of HTML, as a proxy in between would send.
    Html(StatusCode),
    /// Nothing, ever.
    Silence,
    /// The connection is lost before the head.
    ResetBeforeHead,
    /// No connection is made.
    ConnectRefused,
    /// No connection is made within its time.
    ConnectTimeout,
}

/// What happens in the middle of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// After so many frames.
    pub(super) after: u32,
    pub(super) kind: FaultKind,
}

/// What happens in the middle of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The bytes end as if they were complete.
    Cut,
    /// The connection is lost.
    Reset,
    /// Nothing more comes.
    Stall,
    /// A frame that is not JSON.
    Malformed,
    /// An error in the wire format's shape, then the end.
    Error,
    /// A line without an end.
    Endless,
}

/// How the answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// As the wire format has it.
    #[default]
    Whole,
    /// Without what makes it complete.
    Unfinished,
    /// Without the `[DONE]` that follows what makes it complete.
    Unmarked,
}

/// A directive: its name, what follows `=`, and what it does.
struct Known {
    name: &'static str,
    apply: fn(&mut Directives, &str) -> Result<(), String>,
}

macro_rules! known {
    ($($name:literal => |$directives:ident, $value:ident| $body:expr;)*) => {
        &[$(Known {
            name: $name,
            apply: |$directives: &mut Directives, $value: &str| { $body; Ok(()) },
        }),*]
    };
}

const KNOWN: &[Known] = known! {
    "tokens" => |d, v| d.shape.tokens = Some(count(v, MAX_TOKENS)?);
    "think" => |d, v| d.shape.think = Some(count(v, MAX_TOKENS)?);
    "echo" => |d, v| d.shape.echo = flag(v)?;
    "tool" => |d, v| d.shape.tool = Some(v.to_owned());
    "tools" => |d, v| d.shape.tools = Some(count(v, MAX_CALLS)?);
    "args" => |d, v| d.shape.args = Some(object(v)?);
    "refuse" => |d, v| d.shape.refuse = flag(v)?;
    "filter" => |d, v| d.shape.filter = Some(filter(v)?);
    "finish" => |d, v| d.shape.finish = Some(word(v)?);
    "cached" => |d, v| d.shape.cached = Some(count(v, 10_000_000)?);
    "no_usage" => |d, v| d.shape.no_usage = flag(v)?;
    "pace" => |d, v| d.timing.pace = Some(wait(v, MAX_PACE)?);
    "head" => |d, v| d.timing.head = Some(wait(v, MAX_WAIT)?);
    "first_event" => |d, v| d.timing.first_event = Some(wait(v, MAX_WAIT)?);
    "ping" => |d, v| d.timing.ping = Some(wait(v, MAX_WAIT)?.max(Duration::from_millis(1)));
    "split" => |d, v| d.timing.split = Some(usize::try_from(count(v, 65_536)?.max(1)).unwrap_or(1));
    "error" => |d, v| d.instead = Some(Instead::Error(failure(v)?));
    "error_body_200" => |d, v| d.instead = flag(v)?.then_some(Instead::ErrorBody200);
    "status" => |d, v| d.instead = Some(Instead::Status(status(v)?));
    "html" => |d, v| d.instead = Some(Instead::Html(if v.is_empty() { StatusCode::BAD_GATEWAY } else { status(v)? }));
    "silence" => |d, v| d.instead = flag(v)?.then_some(Instead::Silence);
    "reset_before_head" => |d, v| d.instead = flag(v)?.then_some(Instead::ResetBeforeHead);
    "connect_refused" => |d, v| d.instead = flag(v)?.then_some(Instead::ConnectRefused);
    "connect_timeout" => |d, v| d.instead = flag(v)?.then_some(Instead::ConnectTimeout);
    "cut_after" => |d, v| d.fault = Some(fault(FaultKind::Cut, v)?);
    "reset_after" => |d, v| d.fault = Some(fault(FaultKind::Reset, v)?);
    "stall_after" => |d, v| d.fault = Some(fault(FaultKind::Stall, v)?);
    "malformed_after" => |d, v| d.fault = Some(fault(FaultKind::Malformed, v)?);
    "error_after" => |d, v| d.fault = Some(fault(FaultKind::Error, v)?);
    "endless_after" => |d, v| d.fault = Some(fault(FaultKind::Endless, v)?);
    "no_end" => |d, v| if flag(v)? { d.end = End::Unfinished };
    "no_done" => |d, v| if flag(v)? { d.end = End::Unmarked };
    "type" => |d, v| d.kind = Some(kind(v)?);
    "retry_after" => |d, v| d.advice.retry_after = Some(retry_after(v)?);
    "retry_after_ms" => |d, v| d.advice.retry_after_ms = Some(count(v, MAX_SECONDS)?);
    "no_retry" => |d, v| d.advice.no_retry = flag(v)?;
    "left" => |d, v| d.advice.left = Some(count(v, LIMIT)?);
};

/// The names of all directives.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name)
}

impl Directives {
    /// Reads the directives of a request and, ahead of them, those of a script; the later of two wins.
    ///
    /// # Errors
    /// What is wrong with which word, and what would be right.
    pub(super) fn of(script: &str, model: &str, user_text: &str) -> Result<Self, String> {
        let mut directives = Self::default();
        let behind_model = model.split_once('?').map_or("", |(_, words)| words);
        let lines = user_text.lines().filter_map(directive_line).flat_map(str::split_whitespace);
        for word in script.split_whitespace().chain(behind_model.split('&')).chain(lines) {
            directives.take(word)?;
        }
        Ok(directives)
    }

    fn take(&mut self, directive: &str) -> Result<(), String> {
        if directive.is_empty() {
            return Ok(());
        }
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let Some(known) = KNOWN.iter().find(|known| known.name == name && directive.len() <= MAX_WORD_BYTES) else {
            let all: Vec<_> = names().collect();
            let shown: String = name.chars().take(40).collect();
            return Err(format!("the simulator knows no directive {shown:?}; it knows {}", all.join(", ")));
        };
        (known.apply)(self, value).map_err(|rule| format!("the simulator's directive {name} takes {rule}"))
    }
}

/// What a line asks for, when it is a line of directives.
pub(super) fn directive_line(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("sim:")
}

fn count(value: &str, most: u32) -> Result<u32, String> {
    let counted = value.parse().ok().filter(|count| *count <= most);
    counted.ok_or_else(|| format!("a number from 0 to {most}"))
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("no value".to_owned()),
    }
}

fn object(value: &str) -> Result<Value, String> {
    let parsed: Option<Value> = serde_json::from_str(value).ok();
    parsed.filter(Value::is_object).ok_or_else(|| "a JSON object without white space".to_owned())
}

fn filter(value: &str) -> Result<Filter, String> {
    match value {
        "" | "answer" => Ok(Filter::Answer),
        "prompt" => Ok(Filter::Prompt),
        _ => Err("answer or prompt".to_owned()),
    }
}

fn word(value: &str) -> Result<String, String> {
    let fits = (1..=40).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if fits { Ok(value.to_owned()) } else { Err("a word of at most 40 of a-z and _".to_owned()) }
}

fn wait(value: &str, longest: Duration) -> Result<Duration, String> {
    let parse = |digits: &str, unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_millis);
    let parsed = if let Some(digits) = value.strip_suffix("ms") {
        parse(digits, 1)
    } else if let Some(digits) = value.strip_suffix('s') {
        parse(digits, 1000)
    } else {
        value.strip_suffix('m').and_then(|digits| parse(digits, 60_000))
    };
    let rule = || format!("a duration such as 20ms, 2s or 1m, at most {}s", longest.as_secs());
    parsed.filter(|wait| *wait <= longest).ok_or_else(rule)
}

fn status(value: &str) -> Result<StatusCode, String> {
    let parsed = value.parse().ok().filter(|status: &u16| (200..=599).contains(status));
    parsed.and_then(|status| StatusCode::from_u16(status).ok()).ok_or_else(|| "a status from 200 to 599".to_owned())
}

fn kind(value: &str) -> Result<Kind, String> {
    Kind::named(value).ok_or_else(|| {
        let all: Vec<_> = Kind::NAMES.iter().map(|(name, _)| *name).collect();
        format!("one of {}", all.join(", "))
    })
}

fn failure(value: &str) -> Result<Failure, String> {
    let status = value.parse().ok().filter(|status: &u16| (400..=599).contains(status));
    match status {
        Some(status) => Ok(Failure { kind: Kind::of_status(status), status: Some(status), message: None }),
        None => kind(value).map(Failure::from).map_err(|kinds| format!("a status from 400 to 599 or {kinds}")),
    }
}

fn retry_after(value: &str) -> Result<RetryAfter, String> {
    let parsed = match value.strip_prefix("date:") {
        Some(seconds) => count(seconds, MAX_SECONDS).map(RetryAfter::Date),
        None => count(value, MAX_SECONDS).map(RetryAfter::Seconds),
    };
    parsed.map_err(|number| format!("{number}, or the same behind date:"))
}

fn fault(kind: FaultKind, value: &str) -> Result<Fault, String> {
    Ok(Fault { after: count(value, 2 * MAX_TOKENS)?, kind })
}
