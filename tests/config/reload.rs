//! Which keys a running server takes over, and which wait for a restart: shown for every documented key by a change of
//! the documented file.

use std::collections::BTreeSet;
use std::path::Path;

use completiond::config::{Config, Overrides, Sources};

const DOCUMENTATION: &str = include_str!("../../docs/configuration.md");

fn documented_file() -> &'static str {
    DOCUMENTATION
        .split("```")
        .find_map(|part| part.strip_prefix("yaml\n"))
        .unwrap_or_else(|| panic!("there is no file"))
}

/// The keys that have a line in the table, but for those that only hold others.
fn documented_keys() -> BTreeSet<&'static str> {
    let keys: BTreeSet<&str> = DOCUMENTATION
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|key| !key.starts_with("--"))
        .collect();
    let holds_others = |key: &str| {
        keys.iter().any(|other| other.starts_with(&format!("{key}.")) || other.starts_with(&format!("{key}[]")))
    };
    keys.iter().copied().filter(|key| !holds_others(key)).collect()
}

fn parse(text: &str) -> Config {
    let variable = |name: &str| match name {
        "REDIS_URL" => Some("redis://:hidden@redis.internal".to_owned()),
        name => name.ends_with("_API_KEY").then(|| format!("sk-{name}")),
    };
    let config = Config::parse(
        &super::tls::with_files(text),
        Path::new("c.yaml"),
        &Overrides::default(),
        &Sources::new(&variable),
    );
    config.unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// What waits for a restart: the key, what stands in the documented file, and what takes its place.
const AT_A_RESTART: [(&str, &str, &str); 50] = [
    ("web.origins", "https://app.example", "https://other.example"),
    ("limits.redis_url", "max_call_cost: 0.50 }", "max_call_cost: 0.50, redis_url: '${REDIS_URL}' }"),
    ("listen", "listen: 127.0.0.1:50051", "listen: 127.0.0.1:1"),
    ("admin_listen", "127.0.0.1:50052", "127.0.0.1:2"),
    ("ops_listen", "ops.sock", "other.sock"),
    ("tls.certificate", "server.crt", "other.crt"),
    ("tls.key", "server.key", "other.key"),
    ("tls.client_ca", "clients.crt", "others.crt"),
    ("tls.client_certificates", "client_certificates: required", "client_certificates: optional"),
    ("tls.reload_interval", "reload_interval: 10s", "reload_interval: 11s"),
    ("admin_tls.certificate", "admin.crt", "other.crt"),
    ("admin_tls.key", "admin.key", "other.key"),
    ("admin_tls.client_ca", "operators.crt", "others.crt"),
    ("admin_tls.client_certificates", "client_certificates: optional", "client_certificates: required"),
    ("admin_tls.reload_interval", "reload_interval: 20s", "reload_interval: 21s"),
    ("connections.max", "connections: { max: 10000", "connections: { max: 10001"),
    ("connections.max_idle", "max_idle: 15m", "max_idle: 0"),
    ("connections.max_age", "max_age: 30m", "max_age: 31m"),
    ("connections.handshake_timeout", "handshake_timeout: 10s", "handshake_timeout: 9s"),
    ("connections.max_streams", "max_streams: 1000", "max_streams: 1001"),
    ("connections.max_metadata_bytes", "max_metadata_bytes: 64KiB", "max_metadata_bytes: 65KiB"),
    ("timeouts.total", "total: 10m", "total: 11m"),
    ("limits.max_request_bytes", "max_request_bytes: 32MiB", "max_request_bytes: 33MiB"),
    ("limits.max_bytes_in_flight", "512MiB", "513MiB"),
    ("limits.max_in_flight", "max_in_flight: 16384", "max_in_flight: 16385"),
    ("stream.heartbeat", "heartbeat: 15s", "heartbeat: 16s"),
    ("stream.client_stall", "client_stall: 60s", "client_stall: 61s"),
    ("simulator.first_event", "simulator: { first_event: 200ms", "simulator: { first_event: 201ms"),
    ("simulator.pace", "pace: 20ms", "pace: 21ms"),
    ("usage.data_dir", "data_dir: /var/lib/completiond", "data_dir: /srv"),
    // What is named is where sums would go.
    ("usage.redis_url", "data_dir: /var/lib/completiond", "redis_url: '${REDIS_URL}'"),
    ("usage.labels", "labels: [team, feature]", "labels: [team]"),
    ("usage.keep", "keep: 90d", "keep: 91d"),
    ("cache.enabled", "{ enabled: true", "{ enabled: false"),
    ("cache.sampled", "sampled: false", "sampled: true"),
    ("cache.ttl", "ttl: 5m", "ttl: 6m"),
    ("cache.max_bytes", "max_bytes: 256MiB", "max_bytes: 257MiB"),
    ("cache.redis_url", "max_bytes: 256MiB", "redis_url: '${REDIS_URL}'"),
    ("completions.keep", "keep: 10m", "keep: 11m"),
    ("completions.max_bytes", "{ keep: 10m, max_bytes: 64MiB", "{ keep: 10m, max_bytes: 65MiB"),
    ("completions.redis_url", "{ keep: 10m", "{ redis_url: '${REDIS_URL}', keep: 10m"),
    ("drain_delay", "drain_delay: 5s", "drain_delay: 6s"),
    ("shutdown_grace", "shutdown_grace: 10m", "shutdown_grace: 9m"),
    ("provider_option_headers", "[anthropic-beta]", "[]"),
    ("workers", "workers: 4", "workers: 5"),
    ("log.format", "format: auto", "format: json"),
    ("telemetry.genai_semconv", "genai_semconv: latest", "genai_semconv: dup"),
    ("telemetry.capture_content", "capture_content: false", "capture_content: true"),
    ("telemetry.redact", "redact: ['EMP-[0-9]+']", "redact: []"),
    ("telemetry.baggage", "baggage: [tenant.id]", "baggage: []"),
];

/// What a running server takes over.
const AT_ONCE: [(&str, &str, &str); 86] = [
    ("callers[].limits.requests_per_minute", "requests_per_minute: 600", "requests_per_minute: 601"),
    ("callers[].limits.tokens_per_minute", "tokens_per_minute: 200000", "tokens_per_minute: 1"),
    ("callers[].limits.spend_per_day", "spend_per_day: 25.00", "spend_per_day: 24"),
    ("callers[].name", "name: search", "name: found"),
    ("callers[].keys", "sha256:9f86", "sha256:0f86"),
    ("callers[].certificates", "spiffe://prod.example", "spiffe://test.example"),
    ("callers[].models", "models: [smart, 'home/*']", "models: [smart]"),
    ("callers[].labels", "labels: { team: search }", "labels: { team: found }"),
    ("callers[].ledger", "ledger: without_endpoints", "ledger: full"),
    ("callers[].admin", "admin: false", "admin: true"),
    ("callers[].limits.in_flight", "in_flight: 100 ", "in_flight: 101 "),
    ("callers[].tokens", "tokens: ['corp:search']", "tokens: ['corp:found']"),
    ("callers_dir.path", "path: /run/secrets/callers", "path: /run/secrets/callers-elsewhere"),
    ("callers_dir.reload_interval", "reload_interval: 15s", "reload_interval: 16s"),
    ("issuers[].name", "corp", "home"),
    ("issuers[].issuer", "issuer: https://login.example", "issuer: https://other.example"),
    ("issuers[].audiences", "audiences: [completiond]", "audiences: [gateway]"),
    ("issuers[].jwks", "/.well-known/jwks.json", "/keys"),
    ("issuers[].algorithms", "algorithms: [RS256, ES256]", "algorithms: [ES256]"),
    ("issuers[].leeway", "leeway: 20s", "leeway: 21s"),
    ("issuers[].caller_claim", "caller_claim: client_id", "caller_claim: azp"),
    ("issuers[].models_claim", "models_claim: completiond.models", "models_claim: models"),
    ("issuers[].refresh_interval", "refresh_interval: 3m", "refresh_interval: 4m"),
    ("issuers[].keep_keys", "keep_keys: 12h", "keep_keys: 13h"),
    ("issuers[].callers[].claims", "{ groups: operators }", "{ groups: staff }"),
    ("issuers[].callers[].models", "- models: [fast]", "- models: [smart]"),
    ("issuers[].callers[].labels", "labels: { team: others }", "labels: { team: rest }"),
    ("issuers[].callers[].ledger", "ledger: full", "ledger: without_endpoints"),
    ("issuers[].callers[].admin", "admin: true", "admin: false"),
    ("issuers[].callers[].limits.requests_per_minute", "requests_per_minute: 60,", "requests_per_minute: 61,"),
    ("issuers[].callers[].limits.tokens_per_minute", "tokens_per_minute: 20000,", "tokens_per_minute: 20001,"),
    ("issuers[].callers[].limits.spend_per_day", "spend_per_day: 2.50", "spend_per_day: 2.51"),
    ("issuers[].callers[].limits.in_flight", "in_flight: 10 }", "in_flight: 11 }"),
    ("allow_anonymous", "allow_anonymous: false", "allow_anonymous: true"),
    ("log.level", "level: info", "level: warn"),
    ("default_model", "default_model: smart", "default_model: fast"),
    ("providers[].id", "home", "house"),
    ("providers[].protocol", "protocol: anthropic", "protocol: openai"),
    ("providers[].preset", "preset: ollama", "preset: groq"),
    ("providers[].base_url", "https://api.anthropic.com", "https://other.example"),
    ("providers[].api_key", "${ANTHROPIC_API_KEY}", "${OTHER_API_KEY}"),
    ("providers[].headers", "x-team: search", "x-team: other"),
    ("providers[].timeouts", "{ idle: 60s }", "{ idle: 61s }"),
    ("providers[].proxy", ":3128", ":3129"),
    ("providers[].http2", "http2: false", "http2: true"),
    ("providers[].max_in_flight", "max_in_flight: 64", "max_in_flight: 65"),
    ("providers[].adaptive_concurrency", "adaptive_concurrency: true", "adaptive_concurrency: false"),
    ("models[].id", "fast", "quick"),
    ("models[].targets[].provider", "provider: home, model: tiny", "provider: claude, model: tiny"),
    ("models[].targets[].model", "model: tiny", "model: other"),
    ("models[].targets[].priority", "priority: 1", "priority: 2"),
    ("models[].targets[].weight", "weight: 1", "weight: 2"),
    ("models[].timeouts", "{ first_event: 20s }", "{ first_event: 21s }"),
    ("models[].fallback_models", "fallback_models: [fast]", "fallback_models: []"),
    ("models[].hedge.quantile", "quantile: 0.95", "quantile: 0.9"),
    ("models[].hedge.min_delay", "min_delay: 200ms", "min_delay: 100ms"),
    ("models[].hedge.max_share", "max_share: 0.05", "max_share: 0.1"),
    ("models[].price.input", "input: 3.0", "input: 3.5"),
    ("models[].price.output", "output: 15.0", "output: 16"),
    ("models[].price.cache_read", "cache_read: 0.3", "cache_read: 0.2"),
    ("models[].price.cache_write", "cache_write: 3.75", "cache_write: 4"),
    ("models[].price.cache_write_5m", "cache_write_5m: 3.76", "cache_write_5m: 4"),
    ("models[].price.cache_write_30m", "cache_write_30m: 4.5", "cache_write_30m: 5"),
    ("models[].price.cache_write_1h", "cache_write_1h: 6.0", "cache_write_1h: 7"),
    ("models[].price.cache_write_12h", "cache_write_12h: 7.5", "cache_write_12h: 8"),
    ("models[].price.reasoning", "reasoning: 15.5", "reasoning: 17"),
    ("models[].price.audio_input", "audio_input: 32", "audio_input: 33"),
    ("models[].price.audio_output", "audio_output: 64", "audio_output: 65"),
    ("models[].price.image_input", "image_input: 3.1", "image_input: 3.2"),
    ("models[].price.image_output", "image_output: 30", "image_output: 31"),
    ("models[].prompt_cache.mode", "{ mode: automatic, ttl: 1h }", "{ mode: 'off', ttl: 1h }"),
    ("models[].prompt_cache.ttl", "{ mode: automatic, ttl: 1h }", "{ mode: automatic, ttl: 2h }"),
    ("prompt_cache.mode", "{ mode: 'off', ttl: 30m }", "{ mode: automatic, ttl: 30m }"),
    ("prompt_cache.ttl", "{ mode: 'off', ttl: 30m }", "{ mode: 'off', ttl: 31m }"),
    ("price_table", "data/prices.json", "tests/prices/newer.json"),
    ("timeouts.connect", "connect: 5s", "connect: 6s"),
    ("timeouts.first_event", "first_event: 30s", "first_event: 31s"),
    ("timeouts.idle", "idle: 30s", "idle: 31s"),
    ("timeouts.attempt", "attempt: 60s", "attempt: 61s"),
    ("retry.max_attempts", "max_attempts: 4", "max_attempts: 5"),
    ("retry.base_delay", "base_delay: 500ms", "base_delay: 501ms"),
    ("retry.max_delay", "max_delay: 30s", "max_delay: 31s"),
    ("limits.max_answer_bytes", "max_answer_bytes: 64MiB", "max_answer_bytes: 65MiB"),
    ("limits.max_call_cost", "max_call_cost: 0.50", "max_call_cost: 0.40"),
    ("stream.commit_after", "commit_after: 10s", "commit_after: 11s"),
    ("default_max_tokens", "8192", "8193"),
];

#[test]
fn every_key_is_taken_over_or_waits_for_a_restart() {
    let keys: Vec<&str> = AT_A_RESTART.iter().chain(&AT_ONCE).map(|(key, ..)| *key).collect();
    let grouped: BTreeSet<&str> = keys.iter().copied().collect();
    assert_eq!(grouped, documented_keys());
    let both = AT_A_RESTART.iter().filter(|(key, ..)| AT_ONCE.iter().any(|(other, ..)| key == other));
    assert_eq!(both.count(), 0);
}

#[test]
fn only_what_waits_for_a_restart_is_named() {
    let before = parse(documented_file());
    assert!(before.needs_restart(&before).is_empty());
    assert!(before.taken_over(&before).is_empty());
    let changed = |key: &str, old: &str, new: &str| {
        assert!(documented_file().contains(old), "{key}: {old}");
        let after = parse(&documented_file().replace(old, new));
        // A change that changes nothing would show nothing. What is never shown differs in the file alone.
        let is_hidden = ["providers[].headers", "providers[].proxy"].contains(&key);
        assert!(is_hidden || format!("{before:?}") != format!("{after:?}"), "{key}");
        (before.needs_restart(&after), before.taken_over(&after))
    };
    for (key, old, new) in AT_A_RESTART {
        assert_eq!(changed(key, old, new), (vec![key], Vec::new()));
    }
    for (key, old, new) in AT_ONCE {
        let (at_a_restart, at_once) = changed(key, old, new);
        assert!(at_a_restart.is_empty(), "{key}");
        // What stands in lists is told by the name of its entry.
        assert!(key.contains("[]") || at_once == [key], "{key}: {at_once:?}");
    }
}

#[test]
fn what_is_not_written_follows_its_default() {
    let file = "providers: [{ id: a, preset: ollama }]\n";
    let (before, after) = (parse(file), parse(&format!("{file}timeouts: {{ total: 5m }}\n")));
    assert_eq!(before.needs_restart(&after), ["timeouts.total", "shutdown_grace"]);
    assert_eq!(after.needs_restart(&before), ["timeouts.total", "shutdown_grace"]);
}
