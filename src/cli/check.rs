//! `completiond check`: what a configuration would do, and what is wrong with it.
//!
//! A pure function from a checked configuration, or from its problems, to a report that never holds a key.

mod access;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::config::{Config, Model, Problem, Problems, Provider, Source, show_duration, show_size};
use crate::domain::PromptCache;
use crate::pool::Timeouts;
use crate::route::{Hedge, Retry};
use crate::store::{AnswerSettings, CompletionSettings};
use access::PlannedAccess;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();
const PLACE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();

/// What `check` says.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the server would start with it.
    ok: bool,
    /// Where the configuration comes from.
    source: String,
    /// What is wrong.
    errors: Vec<Remark>,
    /// What is doubtful.
    warnings: Vec<Remark>,
    /// What it would do; none where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Plan>,
}

/// Something wrong or doubtful.
#[derive(Debug, Serialize)]
struct Remark {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    rule: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    right: String,
}

/// What a configuration would do.
#[derive(Debug, Serialize)]
struct Plan {
    listen: String,
    admin_listen: String,
    ops_listen: String,
    access: PlannedAccess,
    default_model: Option<String>,
    providers: Vec<PlannedProvider>,
    models: Vec<PlannedModel>,
    timeouts: PlannedTimeouts,
    total: String,
    max_request_bytes: String,
    max_bytes_in_flight: String,
    max_in_flight: u64,
    retry: PlannedRetry,
    /// Which answers are given again, and where they are.
    cache: String,
    /// How long calls are known, and where.
    completions: String,
    /// Which beginnings of prompts providers are asked to keep.
    prompt_cache: String,
    drain_delay: String,
    shutdown_grace: String,
    default_max_tokens: u32,
    workers: usize,
}

#[derive(Debug, Serialize)]
struct PlannedProvider {
    id: String,
    vendor: String,
    protocol: &'static str,
    base_url: String,
    /// Where the key comes from; none: no key is sent.
    key: Option<String>,
    /// The names of the headers; never their values.
    headers: Vec<String>,
    /// Host and port of the proxy.
    proxy: Option<String>,
    http2: bool,
    /// The most attempts in flight at each of its models; none: without a limit.
    max_in_flight: Option<u32>,
    adaptive_concurrency: bool,
    timeouts: PlannedTimeouts,
}

#[derive(Debug, Serialize)]
struct PlannedModel {
    id: String,
    targets: Vec<PlannedTarget>,
    fallback_models: Vec<String>,
    /// None: a second target is asked only after a failure.
    hedge: Option<PlannedHedge>,
}

#[derive(Debug, Serialize)]
struct PlannedTarget {
    provider: String,
    model: String,
    priority: u32,
    weight: u32,
    timeouts: PlannedTimeouts,
}

#[derive(Debug, Serialize)]
struct PlannedHedge {
    quantile: f64,
    min_delay: String,
    max_share: f64,
}

#[derive(Debug, Serialize)]
struct PlannedRetry {
    max_attempts: u32,
    base_delay: String,
    max_delay: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct PlannedTimeouts {
    connect: String,
    first_event: String,
    idle: String,
    attempt: String,
}

impl Report {
    /// What is to be said about a configuration.
    pub fn of(checked: &Result<Config, Problems>) -> Self {
        match checked {
            Ok(config) => Self {
                ok: true,
                source: source(&config.source),
                errors: Vec::new(),
                warnings: config.warnings.iter().map(Remark::of).collect(),
                plan: Some(Plan::of(config)),
            },
            Err(problems) => Self {
                ok: false,
                source: problems.file.as_ref().map_or("the environment".to_owned(), |path| path.display().to_string()),
                errors: problems.problems.iter().map(Remark::of).collect(),
                warnings: Vec::new(),
                plan: None,
            },
        }
    }

    /// Whether the server would start with it.
    pub const fn is_ok(&self) -> bool {
        self.ok
    }

    /// The report for people, with colours; whoever prints it takes them out where no terminal reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (style, word, remarks) in [(BAD, "error", &self.errors), (DOUBTFUL, "warning", &self.warnings)] {
            for remark in remarks {
                self.write_remark(&mut text, style, word, remark);
            }
        }
        match &self.plan {
            Some(plan) => {
                line(&mut text, format_args!("{GOOD}ok{GOOD:#}  {}", self.source));
                plan.write(&mut text);
            }
            None => {
                let count = self.errors.len();
                let errors = if count == 1 { "one error".to_owned() } else { format!("{count} errors") };
                line(&mut text, format_args!("{}: {errors}", self.source));
            }
        }
        text
    }

    fn write_remark(&self, text: &mut String, style: Style, word: &str, remark: &Remark) {
        let place = match (remark.line, remark.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.source),
            _ => self.source.clone(),
        };
        let key = if remark.key.is_empty() { String::new() } else { format!("{}: ", remark.key) };
        line(text, format_args!("{PLACE}{place}:{PLACE:#} {style}{word}:{style:#} {key}{}", remark.rule));
        if !remark.right.is_empty() {
            line(text, format_args!("    {}", remark.right));
        }
    }
}

impl Remark {
    fn of(problem: &Problem) -> Self {
        Self {
            line: problem.mark.map(|mark| mark.line),
            column: problem.mark.map(|mark| mark.column),
            key: problem.key.clone(),
            rule: problem.rule.clone(),
            right: problem.right.clone(),
        }
    }
}

impl Plan {
    fn of(config: &Config) -> Self {
        Self {
            listen: config.listen.to_string(),
            admin_listen: config.admin_listen.to_string(),
            ops_listen: config.ops_listen.to_string(),
            access: PlannedAccess::of(config),
            default_model: config.default_model.as_ref().map(ToString::to_string),
            providers: config.providers.iter().map(PlannedProvider::of).collect(),
            models: config.models.iter().map(PlannedModel::of).collect(),
            timeouts: PlannedTimeouts::of(&config.timeouts),
            total: show_duration(config.total),
            max_request_bytes: show_size(config.limits.max_request_bytes),
            max_bytes_in_flight: show_size(config.limits.max_bytes_in_flight),
            max_in_flight: config.limits.max_in_flight,
            retry: PlannedRetry::of(config.retry),
            cache: cache(&config.cache),
            completions: completions(&config.completions),
            prompt_cache: prompt_cache(config.prompt_cache),
            drain_delay: show_duration(config.drain_delay),
            shutdown_grace: show_duration(config.shutdown_grace),
            default_max_tokens: config.default_max_tokens.get(),
            workers: config.workers.get(),
        }
    }

    fn write(&self, text: &mut String) {
        let listeners = [("callers", &self.listen), ("operators", &self.admin_listen), ("probes", &self.ops_listen)];
        line(text, format_args!("\nlisteners"));
        for ((who, address), protection) in listeners.into_iter().zip(self.access.protection()) {
            line(text, format_args!("  {address:<24} {QUIET}for {who}, {protection}{QUIET:#}"));
        }
        self.access.write(text);
        line(text, format_args!("\nproviders"));
        for provider in &self.providers {
            provider.write(text);
        }
        if !self.models.is_empty() {
            line(text, format_args!("\nmodels"));
        }
        for model in &self.models {
            model.write(text, &self.providers);
        }
        let default = self.default_model.as_deref().unwrap_or("none: each request must name its model");
        line(text, format_args!("\ndefault model  {default}"));
        line(text, format_args!("timeouts       {}, total {}", self.timeouts.show(), self.total));
        let PlannedRetry { max_attempts, base_delay, max_delay } = &self.retry;
        line(
            text,
            format_args!("attempts       at most {max_attempts} per call, delay {base_delay} up to {max_delay}"),
        );
        let Self { max_request_bytes, max_bytes_in_flight, max_in_flight, .. } = self;
        line(
            text,
            format_args!(
                "limits         request {max_request_bytes}, in flight {max_bytes_in_flight} and {max_in_flight} calls"
            ),
        );
        line(text, format_args!("answers        {}", self.cache));
        line(text, format_args!("calls          {}", self.completions));
        line(text, format_args!("prompt caches  {}", self.prompt_cache));
        line(text, format_args!("stopping       drain {}, grace {}", self.drain_delay, self.shutdown_grace));
        line(text, format_args!("workers        {}", self.workers));
    }
}

impl PlannedProvider {
    fn of(provider: &Provider) -> Self {
        Self {
            id: provider.id.to_string(),
            vendor: provider.vendor.to_string(),
            protocol: provider.protocol(),
            base_url: provider.base_url.to_string(),
            key: provider.key_origin.as_ref().map(ToString::to_string),
            headers: provider.headers.keys().map(ToString::to_string).collect(),
            proxy: provider.proxy.as_ref().and_then(|proxy| {
                let host = proxy.host()?;
                Some(proxy.port().map_or(host.to_owned(), |port| format!("{host}:{port}")))
            }),
            http2: provider.http2,
            max_in_flight: provider.concurrency.most,
            adaptive_concurrency: provider.concurrency.adaptive,
            timeouts: PlannedTimeouts::of(&provider.timeouts),
        }
    }

    fn write(&self, text: &mut String) {
        let Self { id, vendor, protocol, base_url, .. } = self;
        let spoken = if vendor == protocol { vendor.clone() } else { format!("{vendor}, speaks {protocol}") };
        let key = self.key.as_ref().map_or("no key".to_owned(), |key| format!("key from {key}"));
        line(text, format_args!("  {PLACE}{id}{PLACE:#}  {spoken}, at {base_url}, {key}"));
        if !self.headers.is_empty() {
            line(text, format_args!("    {QUIET}headers {}{QUIET:#}", self.headers.join(", ")));
        }
        if let Some(proxy) = &self.proxy {
            line(text, format_args!("    {QUIET}through the proxy {proxy}{QUIET:#}"));
        }
        if self.http2 {
            line(text, format_args!("    {QUIET}over HTTP/2, on connections that calls share{QUIET:#}"));
        }
        if let Some(concurrency) = self.concurrency() {
            line(text, format_args!("    {QUIET}{concurrency}{QUIET:#}"));
        }
    }

    /// The bound on what is in flight there, in words; none: there is none.
    fn concurrency(&self) -> Option<String> {
        match (self.max_in_flight, self.adaptive_concurrency) {
            (None, false) => None,
            (None, true) => Some("attempts in flight at each model: as many as it bears".to_owned()),
            (Some(most), false) => Some(format!("attempts in flight at each model: at most {most}")),
            (Some(most), true) => {
                Some(format!("attempts in flight at each model: as many as it bears, at most {most}"))
            }
        }
    }
}

impl PlannedModel {
    fn of(model: &Model) -> Self {
        let mut targets: Vec<_> = model.targets.iter().collect();
        // The order in which they are tried.
        targets.sort_by_key(|target| target.priority);
        let planned = targets.into_iter().map(|target| PlannedTarget {
            provider: target.provider.to_string(),
            model: target.model.to_string(),
            priority: target.priority,
            weight: target.weight,
            timeouts: PlannedTimeouts::of(&target.timeouts),
        });
        Self {
            id: model.id.to_string(),
            targets: planned.collect(),
            fallback_models: model.fallback_models.iter().map(ToString::to_string).collect(),
            hedge: model.hedge.map(PlannedHedge::of),
        }
    }

    fn write(&self, text: &mut String, providers: &[PlannedProvider]) {
        line(text, format_args!("  {PLACE}{}{PLACE:#}", self.id));
        for PlannedTarget { provider, model, priority, weight, timeouts } in &self.targets {
            let own = providers.iter().find(|known| known.id == *provider);
            let differs = own.is_some_and(|own| own.timeouts != *timeouts);
            let timeouts = if differs { format!(", {}", timeouts.show()) } else { String::new() };
            line(
                text,
                format_args!("    {provider}/{model}  {QUIET}priority {priority}, weight {weight}{timeouts}{QUIET:#}"),
            );
        }
        if !self.fallback_models.is_empty() {
            line(text, format_args!("    {QUIET}then{QUIET:#} {}", self.fallback_models.join(", ")));
        }
        if let Some(PlannedHedge { quantile, min_delay, max_share }) = &self.hedge {
            let shown = format!("hedged at quantile {quantile}, not before {min_delay}, share of calls {max_share}");
            line(text, format_args!("    {QUIET}{shown}{QUIET:#}"));
        }
    }
}

impl PlannedHedge {
    fn of(hedge: Hedge) -> Self {
        let Hedge { quantile, min_delay, max_share } = hedge;
        Self { quantile, min_delay: show_duration(min_delay), max_share }
    }
}

impl PlannedRetry {
    fn of(retry: Retry) -> Self {
        let Retry { max_attempts, base_delay, max_delay } = retry;
        Self {
            max_attempts: max_attempts.get(),
            base_delay: show_duration(base_delay),
            max_delay: show_duration(max_delay),
        }
    }
}

impl PlannedTimeouts {
    fn of(timeouts: &Timeouts) -> Self {
        Self {
            connect: show_duration(timeouts.connect),
            first_event: show_duration(timeouts.first_event),
            idle: show_duration(timeouts.idle),
            attempt: show_duration(timeouts.attempt),
        }
    }

    fn show(&self) -> String {
        let Self { connect, first_event, idle, attempt } = self;
        format!("connect {connect}, first event {first_event}, idle {idle}, attempt {attempt}")
    }
}

fn cache(settings: &AnswerSettings) -> String {
    let AnswerSettings { enabled, sampled, ttl, max_bytes, shared } = settings;
    if !enabled {
        return "made anew for each call".to_owned();
    }
    let which = if *sampled { "all" } else { "those at temperature 0, and where a request asks for it" };
    let place = match shared {
        Some(_) => "on a server that processes share".to_owned(),
        None => format!("in memory, up to {}", show_size(*max_bytes)),
    };
    format!("given again for {}: {which}; {place}", show_duration(*ttl))
}

fn completions(settings: &CompletionSettings) -> String {
    let CompletionSettings { keep, max_bytes, shared } = settings;
    let place = if shared.is_some() { "; shared by processes where they have a request_id" } else { "" };
    format!("known for {} after their end, up to {}{place}", show_duration(*keep), show_size(*max_bytes))
}

fn prompt_cache(settings: PromptCache) -> String {
    let lasting =
        settings.ttl.map_or(String::new(), |ttl| format!(", for {} or the next longer time", show_duration(ttl)));
    match settings.is_automatic() {
        true => format!("asked of providers for all requests{lasting}"),
        false => format!("used where a request or a model says so{lasting}"),
    }
}

/// Where a configuration comes from, in words.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Environment(variables) => format!("no file; keys from {}", variables.join(", ")),
        Source::Local(provider) => format!("no file; {provider} answers on this machine"),
        Source::Simulator => "no file and no key: the simulator answers".to_owned(),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
