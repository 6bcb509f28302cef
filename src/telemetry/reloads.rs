//! What is read again while the server runs: how long it still holds, and how often that was in vain. It is looked at when
//! somebody asks.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::semconv::metrics as names;

/// What is read again, as it stands.
#[derive(Clone, Debug, Default)]
pub struct ReloadsNow {
    /// How often it could not be put in force, by what it was.
    pub failed: [(&'static str, u64); 4],
    /// How long the certificates of listeners still hold.
    pub certificates: Vec<(&'static str, Duration)>,
    /// Callers that have entries of their own and are in force.
    pub callers: u64,
    /// The issuers of tokens: as many as the configuration names.
    pub issuers: Vec<IssuerNow>,
}

/// The keys of an issuer, as they are.
#[derive(Clone, Debug, Default)]
pub struct IssuerNow {
    /// Its name.
    pub issuer: String,
    /// How many count; 0: they cannot be read, or it has withdrawn all.
    pub keys: u64,
    /// How long ago they were read; none: never.
    pub age: Option<Duration>,
}

type Now = Arc<dyn Fn() -> ReloadsNow + Send + Sync>;

/// Shows it on `meter`.
pub(super) fn show(meter: &Meter, now: &Now) {
    let look = Arc::clone(now);
    meter
        .u64_observable_counter(names::RELOADS_FAILED)
        .with_unit("{reload}")
        .with_description("What was read again and could not be put in force; what was in force before stays.")
        .with_callback(move |observer| {
            look()
                .failed
                .iter()
                .for_each(|(of, count)| observer.observe(*count, &[KeyValue::new(names::RELOAD_OF, *of)]));
        })
        .build();
    let look = Arc::clone(now);
    meter
        .f64_observable_gauge(names::CERTIFICATE_LEFT)
        .with_unit("s")
        .with_description("How long the certificates that a listener shows still hold.")
        .with_callback(move |observer| {
            for (listener, left) in look().certificates {
                observer.observe(left.as_secs_f64(), &[KeyValue::new(names::LISTENER, listener)]);
            }
        })
        .build();
    let look = Arc::clone(now);
    meter
        .u64_observable_gauge(names::CALLERS)
        .with_unit("{caller}")
        .with_description(
            "Callers in force that have entries of their own; those whom tokens alone tell are not among them.",
        )
        .with_callback(move |observer| observer.observe(look().callers, &[]))
        .build();
    of_issuers(meter, now);
}

fn of_issuers(meter: &Meter, now: &Now) {
    let of = |issuer: &IssuerNow| [KeyValue::new(names::ISSUER, issuer.issuer.clone())];
    let look = Arc::clone(now);
    meter
        .u64_observable_gauge(names::ISSUER_KEYS)
        .with_unit("{key}")
        .with_description("Keys of an issuer that count; 0: they cannot be read, or it has withdrawn all.")
        .with_callback(move |observer| {
            look().issuers.iter().for_each(|issuer| observer.observe(issuer.keys, &of(issuer)));
        })
        .build();
    let look = Arc::clone(now);
    meter
        .f64_observable_gauge(names::ISSUER_KEYS_AGE)
        .with_unit("s")
        .with_description("How long ago the keys of an issuer were read.")
        .with_callback(move |observer| {
            for issuer in &look().issuers {
                if let Some(age) = issuer.age {
                    observer.observe(age.as_secs_f64(), &of(issuer));
                }
            }
        })
        .build();
}
