//! The names of metrics, and of the attributes that only metrics have. `docs/metrics.md` has them in a table.

/// Histogram, seconds: the duration of an RPC as this server sees it.
pub const RPC_SERVER_CALL_DURATION: &str = "rpc.server.call.duration";

/// Histogram, seconds: a completion for which a provider was asked, with all its attempts.
pub const GEN_AI_DURATION: &str = "gen_ai.client.inference.duration";
/// Histogram, seconds, streams only: from the beginning of the call to the first event of an answer.
pub const GEN_AI_FIRST_CHUNK: &str = "gen_ai.client.inference.time_to_first_chunk";
/// Histogram, seconds, streams only: from one event of an answer to the next.
pub const GEN_AI_PER_CHUNK: &str = "gen_ai.client.inference.time_per_output_chunk";
/// Counter: tokens of prompts, cached ones included.
pub const GEN_AI_INPUT_TOKENS: &str = "gen_ai.client.inference.usage.input_tokens";
/// Counter: tokens of answers, reasoning included.
pub const GEN_AI_OUTPUT_TOKENS: &str = "gen_ai.client.inference.usage.output_tokens";
/// Counter: of the prompts' tokens, those read from a provider's cache.
pub const GEN_AI_CACHE_READ_TOKENS: &str = "gen_ai.client.inference.usage.cache_read.input_tokens";
/// Counter: of the prompts' tokens, those written to a provider's cache.
pub const GEN_AI_CACHE_WRITE_TOKENS: &str = "gen_ai.client.inference.usage.cache_write.input_tokens";
/// Counter: of the answers' tokens, reasoning.
pub const GEN_AI_REASONING_TOKENS: &str = "gen_ai.client.inference.usage.reasoning.output_tokens";
/// Histogram, tokens: the prompt of one completion.
pub const GEN_AI_OPERATION_INPUT: &str = "gen_ai.client.inference.operation.input_tokens";
/// Histogram, tokens: the answer of one completion.
pub const GEN_AI_OPERATION_OUTPUT: &str = "gen_ai.client.inference.operation.output_tokens";

/// The name of [`GEN_AI_DURATION`] before 0.1 of the conventions.
pub const LEGACY_DURATION: &str = "gen_ai.client.operation.duration";
/// The name of [`GEN_AI_FIRST_CHUNK`] before 0.1 of the conventions.
pub const LEGACY_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// The name of [`GEN_AI_PER_CHUNK`] before 0.1 of the conventions.
pub const LEGACY_PER_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
/// Histogram, tokens: both [`GEN_AI_OPERATION_INPUT`] and [`GEN_AI_OPERATION_OUTPUT`] before 0.1 of the conventions.
pub const LEGACY_TOKEN_USAGE: &str = "gen_ai.client.token.usage";

/// In which form tokens are: `text`, `image`, `audio`, `unknown`.
pub const GEN_AI_TOKEN_MODALITY: &str = "gen_ai.token.modality";
/// Of [`LEGACY_TOKEN_USAGE`]: `input` or `output`.
pub const LEGACY_TOKEN_TYPE: &str = "gen_ai.token.type";

/// Our own counter: requests to providers that have ended.
pub const ATTEMPTS: &str = "completiond.attempts";
/// Our own counter: attempts at an endpoint that the same call had asked before.
pub const RETRIES: &str = "completiond.retries";
/// Our own counter: attempts at another endpoint after one had failed.
pub const FAILOVERS: &str = "completiond.failovers";
/// Our own counter: attempts beside one that was late.
pub const HEDGES: &str = "completiond.hedges";
/// Our own gauge: 0 closed, 1 lets a probe through, 2 open.
pub const BREAKER_STATE: &str = "completiond.breaker.state";
/// Our own gauge: attempts that are under way at an endpoint.
pub const ENDPOINT_IN_FLIGHT: &str = "completiond.endpoint.in_flight";
/// Our own gauge: what a provider says is left of its rate limit.
pub const LIMIT_REMAINING: &str = "completiond.provider.limit.remaining";

/// Our own gauge: calls that are being served.
pub const CALLS_IN_FLIGHT: &str = "completiond.calls.in_flight";
/// Our own gauge: bytes of the requests that are being served.
pub const BYTES_IN_FLIGHT: &str = "completiond.calls.request_bytes_in_flight";
/// Our own counter: calls that were not let in.
pub const CALLS_REFUSED: &str = "completiond.calls.refused";
/// Our own histogram, seconds: the time of a call less what it waited for a provider or its client.
pub const GATEWAY_OVERHEAD: &str = "completiond.gateway.overhead";

/// Our own gauge: connections that are open.
pub const CONNECTIONS: &str = "completiond.connections";
/// Our own counter: connections that were not served.
pub const CONNECTIONS_REFUSED: &str = "completiond.connections.refused";

/// Our own counter: what was read again and could not be put in force.
pub const RELOADS_FAILED: &str = "completiond.reloads.failed";
/// Our own gauge, seconds: how long the certificates of a listener still hold.
pub const CERTIFICATE_LEFT: &str = "completiond.certificate.time_left";
/// Our own gauge: callers that have entries of their own.
pub const CALLERS: &str = "completiond.callers";
/// Our own gauge: keys of an issuer of tokens that count.
pub const ISSUER_KEYS: &str = "completiond.issuer.keys";
/// Our own gauge, seconds: how long ago they were read.
pub const ISSUER_KEYS_AGE: &str = "completiond.issuer.keys_age";

/// Our own counter, seconds: how long a worker was at work.
pub const RUNTIME_BUSY: &str = "completiond.runtime.busy_time";
/// Our own gauge: tasks of a worker that are alive.
pub const RUNTIME_TASKS: &str = "completiond.runtime.tasks";
/// Our own gauge, bytes: memory by what it is.
pub const MEMORY: &str = "completiond.memory";
/// Our own gauge, seconds since 1970: when the process started to count.
pub const START_TIME: &str = "completiond.start_time";
/// Our own gauge, always 1: which version runs.
pub const BUILD_INFO: &str = "completiond.build.info";
/// Our own counter: calls that are in no metric that is fed from what calls leave, since they came faster than it is read.
pub const RECORDS_LOST: &str = "completiond.telemetry.lost";

/// Our own: which limit: `requests` or `tokens`.
pub const LIMIT_KIND: &str = "completiond.limit.kind";
/// Our own: which listener: `public`, `admin` or `ops`.
pub const LISTENER: &str = "completiond.listener";
/// Our own: what was read again: `configuration`, `certificates`, `callers` or `jwks`.
pub const RELOAD_OF: &str = "completiond.reload.of";
/// Our own: the name of an issuer of tokens in the configuration.
pub const ISSUER: &str = "completiond.issuer";
/// Our own: the number of a worker.
pub const WORKER: &str = "completiond.worker";
/// Our own: `resident`, `allocated` or `active`.
pub const MEMORY_KIND: &str = "completiond.memory.kind";
/// The version of the service.
pub const SERVICE_VERSION: &str = "service.version";
/// Stands for all names beyond a bound.
pub const OTHER: &str = "(other)";
