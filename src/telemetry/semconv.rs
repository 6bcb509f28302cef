//! The names of attributes and of log keys.
//!
//! OpenTelemetry's semantic conventions 1.45 (`rpc.*`, `http.*`, `server.*`, `url.*`, `error.*`) and the generative AI
//! conventions 0.1 (`gen_ai.*`). The names that the Rust crate offers are older: there `rpc.status_code` is still
//! `rpc.response.status_code`, and every `gen_ai` name is deprecated.

pub mod metrics;

/// The version of the general conventions that these names follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";

/// Why an operation failed, as a word of low cardinality.
pub const ERROR_TYPE: &str = "error.type";

/// The RPC system: `grpc`, or `http` for calls by plain HTTP.
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// The fully qualified method.
pub const RPC_METHOD: &str = "rpc.method";
/// The status by its name (`OK`); up to 1.44 it was called `rpc.response.status_code`.
pub const RPC_STATUS_CODE: &str = "rpc.status_code";

/// The method of an HTTP request.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// How often the call was sent before this request.
pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
/// The status of an HTTP answer.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The host that is asked.
pub const SERVER_ADDRESS: &str = "server.address";
/// Its port.
pub const SERVER_PORT: &str = "server.port";
/// The address without user and query, which may hold credentials.
pub const URL_FULL: &str = "url.full";

/// What is done: `chat`.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// Who does it, by the name that the conventions have for it.
pub const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
/// Who answered a call for which no provider was asked, since the answer was there.
pub const GEN_AI_PROVIDER_OURSELVES: &str = "completiond";
/// The form of the answer, where one is asked for.
pub const GEN_AI_OUTPUT_TYPE: &str = "gen_ai.output.type";
/// The model as asked for.
pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// True for a stream; else left out.
pub const GEN_AI_REQUEST_STREAM: &str = "gen_ai.request.stream";
/// The bound on the answer.
pub const GEN_AI_REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// Temperature.
pub const GEN_AI_REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
/// `top_p`.
pub const GEN_AI_REQUEST_TOP_P: &str = "gen_ai.request.top_p";
/// `top_k`.
pub const GEN_AI_REQUEST_TOP_K: &str = "gen_ai.request.top_k";
/// Frequency penalty.
pub const GEN_AI_REQUEST_FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
/// Presence penalty.
pub const GEN_AI_REQUEST_PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
/// Seed.
pub const GEN_AI_REQUEST_SEED: &str = "gen_ai.request.seed";
/// How much the model reasons, in words.
pub const GEN_AI_REQUEST_REASONING_LEVEL: &str = "gen_ai.request.reasoning.level";
/// The model that answered.
pub const GEN_AI_RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the answer ended, one for each candidate.
pub const GEN_AI_RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds from the call to the first event; streams only.
pub const GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// Tokens of the prompt, cached ones included.
pub const GEN_AI_USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens of the answer, reasoning included.
pub const GEN_AI_USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Of the prompt: read from the provider's cache.
pub const GEN_AI_USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
/// Of the prompt: written to the provider's cache; once called `cache_creation`.
pub const GEN_AI_USAGE_CACHE_WRITE: &str = "gen_ai.usage.cache_write.input_tokens";
/// Of the answer: reasoning.
pub const GEN_AI_USAGE_REASONING: &str = "gen_ai.usage.reasoning.output_tokens";

/// Opt-in: what was asked, as JSON.
pub const GEN_AI_INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// Opt-in: what was answered, as JSON.
pub const GEN_AI_OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// Opt-in: the system prompt, as JSON.
pub const GEN_AI_SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// Opt-in: the tools, as JSON.
pub const GEN_AI_TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";
/// Our own: of what was captured not all is told, because it is long.
pub const CAPTURE_CUT: &str = "completiond.capture.cut";

/// Our own: the id of a call.
pub const CALL_ID: &str = "completiond.call.id";
/// Our own: an entry of the pool.
pub const PROVIDER_ID: &str = "completiond.provider.id";
/// Our own: how an attempt went (`finished`, `failed`, `dropped`).
pub const ATTEMPT_OUTCOME: &str = "completiond.attempt.outcome";
/// Our own: the reason of the public contract for a failure.
pub const REASON: &str = "completiond.reason";

/// Our own event: the same endpoint is asked again.
pub const EVENT_RETRY: &str = "completiond.retry";
/// Our own event: another endpoint is asked.
pub const EVENT_FAILOVER: &str = "completiond.failover";
/// Our own event: a second endpoint is asked beside one that is late.
pub const EVENT_HEDGE: &str = "completiond.hedge";
/// Our own event: an endpoint is not asked because of how it stands, as with an open breaker.
pub const EVENT_PASSED_OVER: &str = "completiond.passed_over";
/// Our own event: an endpoint is not asked because the request does not fit it.
pub const EVENT_SKIPPED: &str = "completiond.skipped";
/// Our own event: an answer that broke has begun anew.
pub const EVENT_RESTART: &str = "completiond.restart";
/// Our own event: the first event of an answer came from upstream.
pub const EVENT_FIRST_TOKEN: &str = "completiond.first_token";
/// Our own: how an endpoint stands that is not asked (`held`, `ejected`, `locked_out`, `full`).
pub const ENDPOINT_STANDING: &str = "completiond.endpoint.standing";
/// Our own span: answers that processes share are looked for.
pub const SPAN_CACHE_LOOKUP: &str = "completiond.cache.lookup";
/// Our own span: calls that processes share are looked for.
pub const SPAN_REPLAY_LOOKUP: &str = "completiond.replay.lookup";
/// Our own span: tokens are counted.
pub const SPAN_COUNTING: &str = "completiond.tokens.count";

/// Our own: the caller.
pub const CALLER: &str = "completiond.caller";
/// Our own: `provider/model`.
pub const ENDPOINT: &str = "completiond.endpoint";
/// Our own: what a caller's label begins with.
pub const LABEL_PREFIX: &str = "completiond.label";
/// Our own: how a call ended (`succeeded`, `failed`, `cancelled`).
pub const CALL_OUTCOME: &str = "completiond.call.outcome";
/// Our own: what tokens are (`input`, `cache_read`, `cache_write`, `output`, `reasoning`). The type of the conventions knows
/// input and output only, with the others in them.
pub const TOKEN_TYPE: &str = "completiond.token.type";
/// Our own: whether a cost rests on estimated quantities.
pub const COST_ESTIMATED: &str = "completiond.cost.estimated";

/// Our own counter: calls, by what answered them.
pub const CACHE_CALLS: &str = "completiond.cache.calls";
/// Our own counter: US dollars that were not spent again.
pub const CACHE_SAVED_COST: &str = "completiond.cache.saved_usd";
/// Our own counter: tokens that were not used again.
pub const CACHE_SAVED_TOKENS: &str = "completiond.cache.saved_tokens";
/// Our own counter: answers that had to go for others.
pub const CACHE_EVICTIONS: &str = "completiond.cache.evictions";
/// Our own counter: questions that a server did not answer which processes share.
pub const SHARED_FAILURES: &str = "completiond.shared.failures";
/// Our own: what answered a call, as `cache_status` tells it, in lower case.
pub const CACHE_STATUS: &str = "completiond.cache.status";
/// Our own: the key of the configuration that names a server.
pub const SHARED_KEY: &str = "completiond.shared.key";

/// Our own counter: calls that have ended.
pub const USAGE_CALLS: &str = "completiond.usage.calls";
/// Our own counter: requests that were sent upstream.
pub const USAGE_ATTEMPTS: &str = "completiond.usage.attempts";
/// Our own counter: requests whose price is not known.
pub const USAGE_UNPRICED: &str = "completiond.usage.unpriced_attempts";
/// Our own counter: tokens.
pub const USAGE_TOKENS: &str = "completiond.usage.tokens";
/// Our own counter: tokens that are estimated.
pub const USAGE_ESTIMATED: &str = "completiond.usage.estimated_tokens";
/// Our own counter: US dollars. Prometheus has no suffix for that unit, so the name says it.
pub const USAGE_COST: &str = "completiond.usage.cost_usd";

/// The keys of the log line that each call writes at its end.
pub mod log {
    /// The id of the call, as the caller sees it.
    pub const ID: &str = "id";
    /// The method, without its service.
    pub const RPC: &str = "rpc";
    /// The model that answered; the one that was asked for, where none did.
    pub const MODEL: &str = "model";
    /// The entry of the pool that answered, or was asked last.
    pub const PROVIDER: &str = "provider";
    /// The caller's own id of the call, where it has one.
    pub const REQUEST_ID: &str = "request_id";
    /// The caller, where callers have names.
    pub const CALLER: &str = "caller";
    /// Whether the answer is told as it is made.
    pub const STREAM: &str = "stream";
    /// Bytes of text in the request: prompts, tools and schemas, but no media.
    pub const REQUEST_BYTES: &str = "request_bytes";
    /// Bytes of text in the answer, as far as it was told.
    pub const ANSWER_BYTES: &str = "answer_bytes";
    /// What answered: `bypassed`, `miss`, `hit`, `coalesced` or `replayed`.
    pub const CACHE_STATUS: &str = "cache_status";
    /// The bound on the answer.
    pub const MAX_TOKENS: &str = "max_tokens";
    /// Temperature, where the caller set it.
    pub const TEMPERATURE: &str = "temperature";
    /// Tokens of the prompt.
    pub const INPUT_TOKENS: &str = "input_tokens";
    /// Tokens of the answer.
    pub const OUTPUT_TOKENS: &str = "output_tokens";
    /// How sure these numbers are.
    pub const USAGE_SOURCE: &str = "usage_source";
    /// What the call cost over all its attempts, in US dollars.
    pub const COST_USD: &str = "cost_usd";
    /// From the first look at the call to its end, in milliseconds.
    pub const DURATION_MS: &str = "duration_ms";
    /// From the first look at the call to the first event of an answer, in milliseconds.
    pub const TIME_TO_FIRST_EVENT_MS: &str = "time_to_first_event_ms";
    /// Requests that were sent upstream.
    pub const ATTEMPTS: &str = "attempts";
    /// The status by its name.
    pub const STATUS: &str = "status";
    /// The reason of the public contract for a failure.
    pub const REASON: &str = "reason";
    /// Why the answer ended.
    pub const FINISH_REASON: &str = "finish_reason";
    /// The trace, where it is sampled.
    pub const TRACE_ID: &str = "trace_id";
    /// The span of the call in it.
    pub const SPAN_ID: &str = "span_id";
    /// Our own event: a call has begun.
    pub const EVENT_STARTED: &str = "completiond.call.started";
    /// Our own event: a call is over.
    pub const EVENT_ENDED: &str = "completiond.call.ended";
    /// The target of the line, for filters.
    pub const TARGET: &str = "completiond::call";
}
