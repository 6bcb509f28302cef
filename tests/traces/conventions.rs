//! What a collector may get: the names, types and units of OpenTelemetry's conventions and our own, with what each has always
//! and what it may have. Nothing else may come. It is written from the conventions, not from the code.

use self::When::{Always, Here, Perhaps};

/// Whose name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The general conventions.
    General,
    /// Those for generative AI.
    GenAi,
    /// Those for generative AI as they were before 0.1.
    Before,
    /// Nobody's but ours.
    Own,
}

impl By {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::General => "OpenTelemetry 1.45",
            Self::GenAi => "generative AI 0.1",
            Self::Before => "generative AI before 0.1",
            Self::Own => "own",
        }
    }

    /// By what its name begins with; keys of log lines and a few old names say nothing.
    pub(crate) fn of(name: &str) -> Self {
        match name.split_once('.').map(|(first, _)| first) {
            Some("rpc" | "http" | "server" | "url" | "error" | "service") => Self::General,
            Some("gen_ai") if BEFORE.contains(&name) => Self::Before,
            Some("gen_ai") => Self::GenAi,
            _ => Self::Own,
        }
    }
}

/// Names of the conventions that 0.1 has taken back.
const BEFORE: &[&str] = &[
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.operation.time_per_output_chunk",
    "gen_ai.client.token.usage",
    "gen_ai.token.type",
];

/// When an attribute is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// Where the caller has said so, as all of the script do.
    Here,
    Perhaps,
}

/// An attribute: its name, its type and when it is there. A name that ends with `*` stands for all that begin so.
pub(crate) type Attribute = (&'static str, &'static str, When);

/// Something that is sent: its name, its kind (and unit), and what it has.
pub(crate) type Entry = (&'static str, &'static str, &'static [Attribute]);

pub(crate) const SPANS: &[Entry] = &[
    (
        "{rpc.method}",
        "Server",
        &[
            ("rpc.system.name", "string", Always),
            ("rpc.method", "string", Always),
            ("rpc.status_code", "string", Always),
            ("completiond.call.id", "string", Always),
            ("completiond.caller", "string", Perhaps),
            ("completiond.reason", "string", Perhaps),
            ("error.type", "string", Perhaps),
        ],
    ),
    (
        "chat {gen_ai.request.model}",
        "Client",
        &[
            ("gen_ai.operation.name", "string", Always),
            ("gen_ai.provider.name", "string", Always),
            ("gen_ai.request.model", "string", Here),
            ("gen_ai.request.max_tokens", "int", Here),
            ("gen_ai.request.temperature", "double", Perhaps),
            ("gen_ai.request.top_p", "double", Perhaps),
            ("gen_ai.request.top_k", "int", Perhaps),
            ("gen_ai.request.frequency_penalty", "double", Perhaps),
            ("gen_ai.request.presence_penalty", "double", Perhaps),
            ("gen_ai.request.seed", "int", Perhaps),
            ("gen_ai.request.reasoning.level", "string", Perhaps),
            ("gen_ai.request.stream", "boolean", Perhaps),
            ("gen_ai.output.type", "string", Perhaps),
            ("gen_ai.response.model", "string", Perhaps),
            ("gen_ai.response.finish_reasons", "string[]", Perhaps),
            ("gen_ai.response.time_to_first_chunk", "double", Perhaps),
            ("gen_ai.usage.input_tokens", "int", Perhaps),
            ("gen_ai.usage.output_tokens", "int", Perhaps),
            ("gen_ai.usage.cache_read.input_tokens", "int", Perhaps),
            ("gen_ai.usage.cache_write.input_tokens", "int", Perhaps),
            ("gen_ai.usage.reasoning.output_tokens", "int", Perhaps),
            ("gen_ai.input.messages", "string", Perhaps),
            ("gen_ai.output.messages", "string", Perhaps),
            ("gen_ai.system_instructions", "string", Perhaps),
            ("gen_ai.tool.definitions", "string", Perhaps),
            ("error.type", "string", Perhaps),
            ("completiond.provider.id", "string", Perhaps),
            ("completiond.cache.status", "string", Perhaps),
            ("completiond.capture.cut", "boolean", Perhaps),
        ],
    ),
    (
        "{http.request.method}",
        "Client",
        &[
            ("http.request.method", "string", Always),
            ("url.full", "string", Always),
            ("server.address", "string", Always),
            ("server.port", "int", Always),
            ("completiond.provider.id", "string", Always),
            ("completiond.attempt.outcome", "string", Always),
            ("http.request.resend_count", "int", Perhaps),
            ("http.response.status_code", "int", Perhaps),
            ("error.type", "string", Perhaps),
            ("completiond.reason", "string", Perhaps),
        ],
    ),
    ("completiond.tokens.count", "Internal", &[]),
    ("completiond.cache.lookup", "Internal", &[]),
    ("completiond.replay.lookup", "Internal", &[]),
];

/// The events of completions.
pub(crate) const EVENTS: &[Entry] = &[
    (
        "completiond.retry",
        "event",
        &[("completiond.endpoint", "string", Always), ("completiond.reason", "string", Perhaps)],
    ),
    (
        "completiond.failover",
        "event",
        &[("completiond.endpoint", "string", Always), ("completiond.reason", "string", Perhaps)],
    ),
    ("completiond.hedge", "event", &[("completiond.endpoint", "string", Always)]),
    (
        "completiond.passed_over",
        "event",
        &[("completiond.endpoint", "string", Always), ("completiond.endpoint.standing", "string", Always)],
    ),
    (
        "completiond.skipped",
        "event",
        &[("completiond.endpoint", "string", Always), ("completiond.reason", "string", Always)],
    ),
    ("completiond.restart", "event", &[("completiond.reason", "string", Always)]),
    ("completiond.first_token", "event", &[]),
    ("(link to the call that makes the answer)", "link", &[]),
];

const OF_COMPLETION: [Attribute; 4] = [
    ("gen_ai.operation.name", "string", Always),
    ("gen_ai.provider.name", "string", Always),
    ("gen_ai.request.model", "string", Here),
    ("gen_ai.response.model", "string", Perhaps),
];

const fn and(attribute: Attribute) -> [Attribute; 5] {
    let [operation, provider, asked, answered] = OF_COMPLETION;
    [operation, provider, asked, answered, attribute]
}

const OF_DURATION: &[Attribute] = &and(("error.type", "string", Perhaps));
const OF_TOKENS: &[Attribute] = &and(("gen_ai.token.modality", "string", Always));
const ENDPOINT: Attribute = ("completiond.endpoint", "string", Always);
const CACHE: &[Attribute] = &[("completiond.cache.status", "string", Always)];
const WORKER: &[Attribute] = &[("completiond.worker", "string", Always)];
const OF_USAGE: [Attribute; 4] = [
    ("completiond.caller", "string", Always),
    ("gen_ai.request.model", "string", Always),
    ENDPOINT,
    ("completiond.label.*", "string", Perhaps),
];

const fn of_usage(attribute: Attribute) -> [Attribute; 5] {
    let [caller, model, endpoint, label] = OF_USAGE;
    [caller, model, endpoint, label, attribute]
}

pub(crate) const METRICS: &[Entry] = &[
    (
        "rpc.server.call.duration",
        "histogram, s",
        &[
            ("rpc.system.name", "string", Always),
            ("rpc.method", "string", Always),
            ("rpc.status_code", "string", Always),
            ("error.type", "string", Perhaps),
        ],
    ),
    ("gen_ai.client.inference.duration", "histogram, s", OF_DURATION),
    ("gen_ai.client.inference.time_to_first_chunk", "histogram, s", &OF_COMPLETION),
    ("gen_ai.client.inference.time_per_output_chunk", "histogram, s", &OF_COMPLETION),
    ("gen_ai.client.inference.usage.input_tokens", "counter, {token}", OF_TOKENS),
    ("gen_ai.client.inference.usage.output_tokens", "counter, {token}", OF_TOKENS),
    ("gen_ai.client.inference.usage.cache_read.input_tokens", "counter, {token}", OF_TOKENS),
    ("gen_ai.client.inference.usage.cache_write.input_tokens", "counter, {token}", OF_TOKENS),
    ("gen_ai.client.inference.usage.reasoning.output_tokens", "counter, {token}", OF_TOKENS),
    ("gen_ai.client.inference.operation.input_tokens", "histogram, {token}", &OF_COMPLETION),
    ("gen_ai.client.inference.operation.output_tokens", "histogram, {token}", &OF_COMPLETION),
    ("gen_ai.client.operation.duration", "histogram, s", OF_DURATION),
    ("gen_ai.client.operation.time_to_first_chunk", "histogram, s", &OF_COMPLETION),
    ("gen_ai.client.operation.time_per_output_chunk", "histogram, s", &OF_COMPLETION),
    ("gen_ai.client.token.usage", "histogram, {token}", &and(("gen_ai.token.type", "string", Always))),
    ("completiond.calls.in_flight", "gauge, {call}", &[]),
    ("completiond.calls.request_bytes_in_flight", "gauge, By", &[]),
    ("completiond.calls.refused", "counter, {call}", &[("completiond.reason", "string", Always)]),
    ("completiond.gateway.overhead", "histogram, s", &[("rpc.method", "string", Always)]),
    (
        "completiond.attempts",
        "counter, {attempt}",
        &[ENDPOINT, ("completiond.attempt.outcome", "string", Always), ("completiond.reason", "string", Perhaps)],
    ),
    ("completiond.retries", "counter, {attempt}", &[ENDPOINT]),
    ("completiond.failovers", "counter, {attempt}", &[ENDPOINT]),
    ("completiond.hedges", "counter, {attempt}", &[ENDPOINT]),
    ("completiond.breaker.state", "gauge", &[ENDPOINT]),
    ("completiond.endpoint.in_flight", "gauge, {attempt}", &[ENDPOINT]),
    ("completiond.provider.limit.remaining", "gauge", &[ENDPOINT, ("completiond.limit.kind", "string", Always)]),
    ("completiond.cache.calls", "counter, {call}", CACHE),
    ("completiond.cache.saved_usd", "counter, USD", CACHE),
    ("completiond.cache.saved_tokens", "counter, {token}", CACHE),
    ("completiond.cache.evictions", "counter, {answer}", &[]),
    ("completiond.shared.failures", "counter, {question}", &[("completiond.shared.key", "string", Always)]),
    ("completiond.usage.calls", "counter, {call}", &of_usage(("completiond.call.outcome", "string", Always))),
    ("completiond.usage.attempts", "counter, {attempt}", &OF_USAGE),
    ("completiond.usage.unpriced_attempts", "counter, {attempt}", &OF_USAGE),
    ("completiond.usage.tokens", "counter, {token}", &of_usage(("completiond.token.type", "string", Always))),
    ("completiond.usage.estimated_tokens", "counter, {token}", &OF_USAGE),
    ("completiond.usage.cost_usd", "counter, USD", &of_usage(("completiond.cost.estimated", "boolean", Always))),
    ("completiond.connections", "gauge, {connection}", &[("completiond.listener", "string", Always)]),
    (
        "completiond.connections.refused",
        "counter, {connection}",
        &[("completiond.listener", "string", Always), ("completiond.reason", "string", Always)],
    ),
    ("completiond.reloads.failed", "counter, {reload}", &[("completiond.reload.of", "string", Always)]),
    ("completiond.certificate.time_left", "gauge, s", &[("completiond.listener", "string", Always)]),
    ("completiond.callers", "gauge, {caller}", &[]),
    ("completiond.issuer.keys", "gauge, {key}", &[("completiond.issuer", "string", Always)]),
    ("completiond.issuer.keys_age", "gauge, s", &[("completiond.issuer", "string", Always)]),
    ("completiond.runtime.busy_time", "counter, s", WORKER),
    ("completiond.runtime.tasks", "gauge, {task}", WORKER),
    ("completiond.memory", "gauge, By", &[("completiond.memory.kind", "string", Always)]),
    ("completiond.start_time", "gauge, s", &[]),
    ("completiond.build.info", "gauge", &[("service.version", "string", Always)]),
    ("completiond.telemetry.lost", "counter, {record}", &[]),
];

pub(crate) const RECORDS: &[Entry] = &[
    ("completiond.call.started", "DEBUG", &[("id", "string", Always), ("rpc", "string", Always)]),
    (
        "completiond.call.ended",
        "INFO or WARN",
        &[
            ("id", "string", Always),
            ("rpc", "string", Always),
            ("status", "string", Always),
            ("duration_ms", "int", Always),
            ("attempts", "int", Always),
            ("reason", "string", Perhaps),
            ("request_id", "string", Perhaps),
            ("caller", "string", Perhaps),
            ("stream", "boolean", Perhaps),
            ("model", "string", Perhaps),
            ("provider", "string", Perhaps),
            ("request_bytes", "int", Perhaps),
            ("answer_bytes", "int", Perhaps),
            ("cache_status", "string", Perhaps),
            ("max_tokens", "int", Perhaps),
            ("temperature", "double", Perhaps),
            ("input_tokens", "int", Perhaps),
            ("output_tokens", "int", Perhaps),
            ("usage_source", "string", Perhaps),
            ("cost_usd", "string", Perhaps),
            ("finish_reason", "string", Perhaps),
            ("time_to_first_event_ms", "int", Perhaps),
        ],
    ),
];
