//! What a running server takes over from a configuration that is read anew, and what waits for a restart.

use super::settings::{Limits, Log, Stream};
use super::{Config, Connections, ListenAddress, Telemetry, Web};
use crate::simulator::Pace;
use crate::store::{AnswerSettings, CompletionSettings, Keep, UsageSettings};
use crate::tls::{Clients, Files, Settings as TlsSettings};

impl Config {
    /// The keys that differ between this configuration and `next` and take effect only at a restart, in the order of
    /// the documentation. What is not written differs where its default does: `shutdown_grace` with `timeouts.total`.
    ///
    /// The others (`callers`, `allow_anonymous`, `providers`, `models`, `price_table`, `default_model`, the timeouts of one request, `retry`, `default_max_tokens`,
    /// `stream.commit_after`, `limits.max_answer_bytes`, `limits.max_call_cost`, `prompt_cache`) and `log.level` hold for each call that begins after the change.
    pub fn needs_restart(&self, next: &Self) -> Vec<&'static str> {
        // Taken apart without a rest, so that a setting that is new does not compile before it is put in a group.
        let Self {
            listen,
            admin_listen,
            ops_listen,
            tls,
            admin_tls,
            connections,
            admitted: _,
            web,
            default_model: _,
            providers: _,
            models: _,
            pricing: _,
            timeouts: _,
            total,
            limits,
            retry: _,
            stream,
            drain_delay,
            shutdown_grace,
            default_max_tokens: _,
            provider_option_headers,
            workers,
            log,
            telemetry,
            pace,
            usage,
            completions,
            cache,
            prompt_cache: _,
            source: _,
            warnings: _,
        } = self;
        let listener = |key, ours: &ListenAddress, theirs: &ListenAddress| (key, ours != theirs);
        let mut differs = vec![
            listener("listen", listen, &next.listen),
            listener("admin_listen", admin_listen, &next.admin_listen),
            listener("ops_listen", ops_listen, &next.ops_listen),
        ];
        differs.extend(tls_differs(TLS_KEYS, tls.as_ref(), next.tls.as_ref()));
        differs.extend(tls_differs(ADMIN_TLS_KEYS, admin_tls.as_ref(), next.admin_tls.as_ref()));
        differs.extend(connections_differ(connections, &next.connections));
        differs.extend([web_differs(web, &next.web), ("timeouts.total", *total != next.total)]);
        differs.extend(limits_differ(limits, &next.limits).into_iter().chain(stream_differs(stream, &next.stream)));
        differs.extend(pace_differs(pace, &next.pace));
        differs.extend(usage_differs(usage, &next.usage));
        differs.extend(completions_differ(completions, &next.completions));
        differs.extend(cache_differs(cache, &next.cache));
        differs.extend([
            ("drain_delay", *drain_delay != next.drain_delay),
            ("shutdown_grace", *shutdown_grace != next.shutdown_grace),
            ("provider_option_headers", *provider_option_headers != next.provider_option_headers),
            ("workers", *workers != next.workers),
        ]);
        differs.extend(telemetry_differs(telemetry, &next.telemetry));
        differs.extend(log_differs(log, &next.log));
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

const TLS_KEYS: [&str; 5] =
    ["tls.certificate", "tls.key", "tls.client_ca", "tls.client_certificates", "tls.reload_interval"];
const ADMIN_TLS_KEYS: [&str; 5] = [
    "admin_tls.certificate",
    "admin_tls.key",
    "admin_tls.client_ca",
    "admin_tls.client_certificates",
    "admin_tls.reload_interval",
];

/// Of the files their paths: what they hold is in force at once.
fn tls_differs(
    keys: [&'static str; 5],
    ours: Option<&TlsSettings>,
    theirs: Option<&TlsSettings>,
) -> impl Iterator<Item = (&'static str, bool)> {
    fn clients(settings: Option<&TlsSettings>) -> Option<&Clients> {
        settings?.files.clients.as_ref()
    }
    let file = |of: fn(&Files) -> &std::path::Path| {
        let of = |settings: Option<&TlsSettings>| settings.map(|settings| of(&settings.files).to_owned());
        of(ours) != of(theirs)
    };
    let interval = |settings: Option<&TlsSettings>| settings.map(|settings| settings.reload_interval);
    let (our_clients, their_clients) = (clients(ours), clients(theirs));
    let certificates = |clients: Option<&Clients>| clients.map(|clients| clients.certificates);
    let both = our_clients.is_some() && their_clients.is_some();
    let differs = [
        file(|files| &files.certificate),
        file(|files| &files.key),
        our_clients.map(|clients| &clients.ca) != their_clients.map(|clients| &clients.ca),
        // Without authorities nobody is asked, which the key before this one says.
        both && certificates(our_clients) != certificates(their_clients),
        ours.is_some() && theirs.is_some() && interval(ours) != interval(theirs),
    ];
    keys.into_iter().zip(differs)
}

fn connections_differ(ours: &Connections, theirs: &Connections) -> [(&'static str, bool); 6] {
    let Connections { max, max_idle, max_age, handshake_timeout, max_streams, max_metadata_bytes } = ours;
    [
        ("connections.max", *max != theirs.max),
        ("connections.max_idle", *max_idle != theirs.max_idle),
        ("connections.max_age", *max_age != theirs.max_age),
        ("connections.handshake_timeout", *handshake_timeout != theirs.handshake_timeout),
        ("connections.max_streams", *max_streams != theirs.max_streams),
        ("connections.max_metadata_bytes", *max_metadata_bytes != theirs.max_metadata_bytes),
    ]
}

fn web_differs(ours: &Web, theirs: &Web) -> (&'static str, bool) {
    let Web { origins } = ours;
    ("web.origins", *origins != theirs.origins)
}

fn limits_differ(ours: &Limits, theirs: &Limits) -> [(&'static str, bool); 4] {
    let Limits { max_request_bytes, max_bytes_in_flight, max_in_flight, max_answer_bytes: _, max_call_cost: _, shared } =
        ours;
    [
        ("limits.max_request_bytes", *max_request_bytes != theirs.max_request_bytes),
        ("limits.max_bytes_in_flight", *max_bytes_in_flight != theirs.max_bytes_in_flight),
        ("limits.max_in_flight", *max_in_flight != theirs.max_in_flight),
        ("limits.redis_url", *shared != theirs.shared),
    ]
}

fn stream_differs(ours: &Stream, theirs: &Stream) -> [(&'static str, bool); 2] {
    let Stream { commit_after: _, heartbeat, client_stall } = ours;
    [
        ("stream.heartbeat", *heartbeat != theirs.heartbeat),
        ("stream.client_stall", *client_stall != theirs.client_stall),
    ]
}

fn pace_differs(ours: &Pace, theirs: &Pace) -> [(&'static str, bool); 2] {
    let Pace { first_event, token } = ours;
    [("simulator.first_event", *first_event != theirs.first_event), ("simulator.pace", *token != theirs.token)]
}

fn telemetry_differs(ours: &Telemetry, theirs: &Telemetry) -> [(&'static str, bool); 4] {
    let Telemetry { genai_semconv, capture_content, redact, baggage } = ours;
    [
        ("telemetry.genai_semconv", *genai_semconv != theirs.genai_semconv),
        ("telemetry.capture_content", *capture_content != theirs.capture_content),
        ("telemetry.redact", *redact != theirs.redact),
        ("telemetry.baggage", *baggage != theirs.baggage),
    ]
}

fn log_differs(ours: &Log, theirs: &Log) -> [(&'static str, bool); 1] {
    let Log { format, level: _ } = ours;
    [("log.format", *format != theirs.format)]
}

fn completions_differ(ours: &CompletionSettings, theirs: &CompletionSettings) -> [(&'static str, bool); 3] {
    let CompletionSettings { keep, max_bytes, shared } = ours;
    [
        ("completions.keep", *keep != theirs.keep),
        ("completions.max_bytes", *max_bytes != theirs.max_bytes),
        ("completions.redis_url", *shared != theirs.shared),
    ]
}

fn cache_differs(ours: &AnswerSettings, theirs: &AnswerSettings) -> [(&'static str, bool); 5] {
    let AnswerSettings { enabled, sampled, ttl, max_bytes, shared } = ours;
    [
        ("cache.enabled", *enabled != theirs.enabled),
        ("cache.sampled", *sampled != theirs.sampled),
        ("cache.ttl", *ttl != theirs.ttl),
        ("cache.max_bytes", *max_bytes != theirs.max_bytes),
        ("cache.redis_url", *shared != theirs.shared),
    ]
}

fn usage_differs(ours: &UsageSettings, theirs: &UsageSettings) -> [(&'static str, bool); 4] {
    let UsageSettings { keep_in, labels, keep } = ours;
    let moves = *keep_in != theirs.keep_in;
    // Of a move from one place to another the new one is named.
    let place = if theirs.keep_in == Keep::Memory { keep_in } else { &theirs.keep_in };
    [
        ("usage.data_dir", moves && matches!(place, Keep::File(_))),
        ("usage.redis_url", moves && matches!(place, Keep::Redis(_))),
        ("usage.labels", *labels != theirs.labels),
        ("usage.keep", *keep != theirs.keep),
    ]
}
