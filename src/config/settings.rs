//! The settings of the server itself: timeouts, limits, the stream, logs.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use http::header::{self, HeaderName};

use super::problem::Wrong;
use super::quantity::{self, show_duration, show_size};
use super::reader::{Fields, Value, count};
use super::usage::redis_url;
use crate::domain::PicoUsd;
use crate::pool::Timeouts;
use crate::simulator::Pace;
use crate::store::{CompletionSettings, RedisUrl};
use crate::telemetry::LogFormat;

/// What bounds a call and each request made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// One request.
    pub(super) timeouts: Timeouts,
    /// The whole call.
    pub(super) total: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { timeouts: Timeouts::default(), total: Duration::from_secs(10 * 60) }
    }
}

impl Bounds {
    /// Reads the top-level `timeouts`.
    pub(super) fn read(file: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let Some(value) = file.take("timeouts") else { return default };
        let mut fields = value.fields();
        let total = fields.read("total", default.total, quantity::some_duration);
        let section = TimeoutsSection::of(&mut fields);
        fields.finish(&[]);
        let bounds = Self { timeouts: default.timeouts, total };
        Self { timeouts: section.over(default.timeouts, &bounds), total }
    }
}

/// A `timeouts` map as it stands: what it leaves out is decided elsewhere.
#[derive(Debug, Default)]
pub(super) struct TimeoutsSection<'a> {
    place: Option<Value<'a>>,
    connect: Option<Duration>,
    first_event: Option<Duration>,
    idle: Option<Duration>,
    attempt: Option<Duration>,
}

impl<'a> TimeoutsSection<'a> {
    /// Reads the `timeouts` of a provider or a model.
    pub(super) fn read_own(entry: &mut Fields<'a>) -> Self {
        let Some(value) = entry.take("timeouts") else { return Self::default() };
        let mut fields = value.fields();
        fields.refuse(
            "total",
            Wrong::new("bounds the whole call, over all targets", "write it in the top-level `timeouts`"),
        );
        let section = Self::of(&mut fields);
        fields.finish(&["total"]);
        section
    }

    fn of(fields: &mut Fields<'a>) -> Self {
        let mut read = |key| fields.take(key).and_then(|value| value.parse(quantity::some_duration));
        let (connect, first_event) = (read("connect"), read("first_event"));
        let (idle, attempt) = (read("idle"), read("attempt"));
        Self { place: Some(fields.section().clone()), connect, first_event, idle, attempt }
    }

    /// These timeouts, and `base` for what is left out.
    pub(super) fn resolve(&self, base: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(base.connect),
            first_event: self.first_event.unwrap_or(base.first_event),
            idle: self.idle.unwrap_or(base.idle),
            attempt: self.attempt.unwrap_or(base.attempt),
        }
    }

    /// The same; notes timeouts that could never fire because another one is shorter.
    pub(super) fn over(&self, base: Timeouts, bounds: &Bounds) -> Timeouts {
        let resolved = self.resolve(base);
        let Timeouts { connect, first_event, idle, attempt } = resolved;
        let pairs = [
            (("connect", connect), ("first_event", first_event)),
            (("first_event", first_event), ("total", bounds.total)),
            (("idle", idle), ("total", bounds.total)),
            (("attempt", attempt), ("total", bounds.total)),
        ];
        for ((short, is), (long, limit)) in pairs.into_iter().filter(|((_, is), (_, limit))| is > limit) {
            let Some(place) = &self.place else { break };
            let rule = format!("`{short}` ({}) is longer than `{long}` ({})", show_duration(is), show_duration(limit));
            place.wrong(Wrong::new(rule, format!("raise `{long}` or lower `{short}`")));
        }
        resolved
    }
}

/// What bounds memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request of a caller, in bytes. Default: 32 MiB.
    pub max_request_bytes: u64,
    /// The bytes of all requests that are held at a time. Default: 512 MiB.
    pub max_bytes_in_flight: u64,
    /// The calls that are served at a time, each until its response has ended. Default: 16,384.
    pub max_in_flight: u64,
    /// The largest answer that is gathered for a caller who wants it whole, in bytes. Default: 64 MiB.
    pub max_answer_bytes: u64,
    /// The most that one call may cost over all its attempts. Default: none.
    pub max_call_cost: Option<PicoUsd>,
    /// Where processes share what callers have used. Default: nowhere, each counts for itself.
    pub shared: Option<RedisUrl>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_bytes: 32 << 20,
            max_bytes_in_flight: 512 << 20,
            max_in_flight: 16_384,
            max_answer_bytes: 64 << 20,
            max_call_cost: None,
            shared: None,
        }
    }
}

impl Limits {
    pub(super) fn read(file: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let Some(value) = file.take("limits") else { return default };
        let mut fields = value.fields();
        let limits = Self {
            max_request_bytes: fields.read("max_request_bytes", default.max_request_bytes, quantity::size),
            max_bytes_in_flight: fields.read("max_bytes_in_flight", default.max_bytes_in_flight, quantity::size),
            max_in_flight: fields.read("max_in_flight", default.max_in_flight, |text| count(text).map(u64::from)),
            max_answer_bytes: fields.read("max_answer_bytes", default.max_answer_bytes, quantity::size),
            max_call_cost: fields.take("max_call_cost").and_then(|value| value.parse(dollars)),
            shared: fields.take("redis_url").and_then(|value| redis_url(&value)),
        };
        fields.finish(&[]);
        let (one, all) = (limits.max_request_bytes, limits.max_bytes_in_flight);
        if one > all {
            let rule = format!(
                "`max_request_bytes` ({}) is larger than `max_bytes_in_flight` ({})",
                show_size(one),
                show_size(all)
            );
            value.wrong(Wrong::new(rule, "raise `max_bytes_in_flight` or lower `max_request_bytes`"));
        }
        limits
    }
}

/// Reads an amount of US dollars above 0, exactly.
pub(super) fn dollars(text: &str) -> Result<PicoUsd, Wrong> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let read = PicoUsd::parse_usd(text).filter(|amount| is_plain && amount.get() > 0);
    let right = "write a decimal number without a unit, from 0.000000000001 to 9223372, as in `0.50`";
    read.ok_or_else(|| Wrong::new("is no amount of US dollars above 0", right))
}

/// How answers are streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// How long after the upstream's first sign of life the answer's first message is held back, so that a failure
    /// can still be routed around. Default: 10 s.
    pub commit_after: Duration,
    /// After how much silence a heartbeat is sent. Default: 15 s.
    pub heartbeat: Duration,
    /// How long a client may take nothing before its call ends. Default: 60 s.
    pub client_stall: Duration,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            commit_after: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            client_stall: Duration::from_secs(60),
        }
    }
}

impl Stream {
    pub(super) fn read(file: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let Some(value) = file.take("stream") else { return default };
        let mut fields = value.fields();
        let stream = Self {
            commit_after: fields.read("commit_after", default.commit_after, quantity::some_duration),
            heartbeat: fields.read("heartbeat", default.heartbeat, quantity::some_duration),
            client_stall: fields.read("client_stall", default.client_stall, quantity::some_duration),
        };
        fields.finish(&[]);
        stream
    }
}

/// Reads `simulator`: how fast the built-in simulator answers where a request does not say it. Default: 200 ms to the
/// first event, then 20 ms for each token.
pub(super) fn pace(file: &mut Fields<'_>) -> Pace {
    let default = Pace::LIVELY;
    let Some(value) = file.take("simulator") else { return default };
    let mut fields = value.fields();
    let pace = Pace {
        first_event: fields.read("first_event", default.first_event, quantity::duration),
        token: fields.read("pace", default.token, quantity::duration),
    };
    fields.finish(&[]);
    pace
}

/// Reads `completions`: how long, and in how much memory, it is known what became of calls.
pub(super) fn completions(file: &mut Fields<'_>) -> CompletionSettings {
    /// With less than this hardly any call would be found again.
    const LEAST: u64 = 1 << 20;
    let default = CompletionSettings::default();
    let Some(value) = file.take("completions") else { return default };
    let mut fields = value.fields();
    let max_bytes = |text: &str| match quantity::size(text)? {
        size if size < LEAST => Err(Wrong::new("is less than 1MiB", "calls would be forgotten at once")),
        size => Ok(size),
    };
    let settings = CompletionSettings {
        keep: fields.read("keep", default.keep, quantity::some_duration),
        max_bytes: fields.read("max_bytes", default.max_bytes, max_bytes),
        shared: fields.take("redis_url").and_then(|value| redis_url(&value)),
    };
    fields.finish(&[]);
    settings
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// In which form. Default: lines on a terminal, JSON elsewhere.
    pub format: LogFormat,
    /// The least severe level, or directives as `info,completiond::pool=debug`. Default: `info`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

impl Log {
    pub(super) fn read(file: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let Some(value) = file.take("log") else { return default };
        let mut fields = value.fields();
        let format = fields.read("format", default.format, |text| match text {
            "auto" => Ok(LogFormat::Auto),
            "json" => Ok(LogFormat::Json),
            "pretty" => Ok(LogFormat::Pretty),
            _ => Err(Wrong::new(format!("`{text}` is no format"), "`auto`, `json` or `pretty`")),
        });
        let level = fields.read("level", default.level, |text| match text.parse::<tracing_subscriber::filter::Targets>() {
            // A word alone would be read as a target of which everything is logged: a level that is misspelt.
            Ok(_) if text.contains('=') || text.parse::<tracing::level_filters::LevelFilter>().is_ok() => {
                Ok(text.to_owned())
            }
            _ => Err(Wrong::new(
                format!("`{text}` is no level"),
                "`off`, `error`, `warn`, `info`, `debug` or `trace`, or directives as `info,completiond::pool=debug`",
            )),
        });
        fields.finish(&[]);
        Self { format, level }
    }
}

/// Reads `provider_option_headers`.
pub(super) fn option_headers(file: &mut Fields<'_>) -> BTreeSet<String> {
    const SECRET: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];
    let Some(list) = file.take("provider_option_headers") else { return BTreeSet::new() };
    let read = |text: &str| {
        let name = header_name(text)?;
        if name.as_str() != text {
            return Err(Wrong::new(format!("`{text}` is not in lower case"), format!("write `{name}`")));
        }
        if SECRET.contains(&name) || name.as_str().contains("api-key") {
            return Err(Wrong::new(format!("`{name}` carries credentials, which callers never set"), "leave it out"));
        }
        Ok(text.to_owned())
    };
    list.items().iter().filter_map(|item| item.parse(read)).collect()
}

/// Reads the name of a header that is not the server's own.
///
/// # Errors
/// It is no name, or the server sets this header itself.
pub(super) fn header_name(text: &str) -> Result<HeaderName, Wrong> {
    const OWN: [HeaderName; 11] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::ACCEPT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::EXPECT,
        header::TRAILER,
        header::TE,
    ];
    let name = HeaderName::try_from(text).map_err(|_| Wrong::new(format!("`{text}` is no name of a header"), ""))?;
    match OWN.contains(&name) {
        true => Err(Wrong::new(format!("the server sets `{name}` itself"), "leave it out")),
        false => Ok(name),
    }
}

/// Reads `workers`. Default: one per core.
pub(super) fn workers(file: &mut Fields<'_>) -> NonZeroUsize {
    /// More threads than any machine has cores are a slip.
    const MOST: usize = 1024;
    let read = |text: &str| match text.parse::<NonZeroUsize>() {
        Ok(workers) if workers.get() <= MOST => Ok(workers),
        _ => Err(Wrong::new(format!("must be a whole number from 1 to {MOST}"), "left out: one per core")),
    };
    file.read("workers", cores(), read)
}

/// The cores that this process may use.
pub(super) fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
