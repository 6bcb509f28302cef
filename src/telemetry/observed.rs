//! What is looked at when somebody asks: the pool, the calls in flight, the process. A call pays nothing for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::semconv;
use super::semconv::metrics as names;

/// An endpoint as it stands.
#[derive(Clone, Debug, Default)]
pub struct EndpointNow {
    /// `provider/model`.
    pub endpoint: String,
    /// 0 closed, 1 lets a probe through, 2 open.
    pub breaker: u64,
    /// Attempts that are under way.
    pub in_flight: u64,
    /// What is left of its provider's limits, by their kind, as far as it is told.
    pub left: Vec<(&'static str, u64)>,
}

/// A worker as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerNow {
    /// How long it was at work since its start.
    pub busy: Duration,
    /// Its tasks.
    pub tasks: u64,
}

/// A listener as it is.
#[derive(Clone, Debug, Default)]
pub struct ListenerNow {
    /// `public`, `admin` or `ops`.
    pub listener: &'static str,
    /// Its connections.
    pub connections: u64,
    /// Those that were not served, by the reason.
    pub refused: Vec<(&'static str, u64)>,
}

/// The server as it is.
#[derive(Clone, Debug, Default)]
pub struct ServerNow {
    /// Calls that are being served.
    pub calls: u64,
    /// The bytes of their requests.
    pub bytes: u64,
    /// The pool: as many endpoints as the configuration names.
    pub endpoints: Vec<EndpointNow>,
    /// The workers in their order.
    pub workers: Vec<WorkerNow>,
    /// The listeners.
    pub listeners: Vec<ListenerNow>,
}

type Now = Arc<dyn Fn() -> ServerNow + Send + Sync>;
type See<'a> = &'a dyn Fn(u64, &[KeyValue]);

/// Shows it on `meter`, and the process.
pub(super) fn show(meter: &Meter, now: Now) {
    let of = |endpoint: &EndpointNow| KeyValue::new(semconv::ENDPOINT, endpoint.endpoint.clone());
    gauge(meter, (names::CALLS_IN_FLIGHT, "{call}", "Calls that are being served."), &now, |now, see| {
        see(now.calls, &[]);
    });
    gauge(meter, (names::BYTES_IN_FLIGHT, "By", "The bytes of their requests."), &now, |now, see| see(now.bytes, &[]));
    gauge(
        meter,
        (
            names::BREAKER_STATE,
            "",
            "0: calls go through. 1: one does, to see whether it is well. 2: calls go elsewhere.",
        ),
        &now,
        move |now, see| now.endpoints.iter().for_each(|endpoint| see(endpoint.breaker, &[of(endpoint)])),
    );
    gauge(meter, (names::ENDPOINT_IN_FLIGHT, "{attempt}", "Attempts that are under way."), &now, move |now, see| {
        now.endpoints.iter().for_each(|endpoint| see(endpoint.in_flight, &[of(endpoint)]))
    });
    gauge(
        meter,
        (names::LIMIT_REMAINING, "", "What a provider says is left of its rate limit."),
        &now,
        move |now, see| {
            for endpoint in &now.endpoints {
                let left = endpoint.left.iter();
                left.for_each(|(kind, left)| see(*left, &[of(endpoint), KeyValue::new(names::LIMIT_KIND, *kind)]));
            }
        },
    );
    gauge(meter, (names::RUNTIME_TASKS, "{task}", "Tasks of a worker that are alive."), &now, |now, see| {
        numbered(now).for_each(|(number, worker)| see(worker.tasks, &[number]));
    });
    connections(meter, &now);
    meter
        .f64_observable_counter(names::RUNTIME_BUSY)
        .with_unit("s")
        .with_description("How long a worker was at work.")
        .with_callback(move |observer| {
            numbered(&now()).for_each(|(number, worker)| observer.observe(worker.busy.as_secs_f64(), &[number]));
        })
        .build();
    process(meter);
}

fn connections(meter: &Meter, now: &Now) {
    let at = |listener: &ListenerNow| KeyValue::new(names::LISTENER, listener.listener);
    gauge(meter, (names::CONNECTIONS, "{connection}", "Connections that are open."), now, move |now, see| {
        now.listeners.iter().for_each(|listener| see(listener.connections, &[at(listener)]));
    });
    let now = Arc::clone(now);
    meter
        .u64_observable_counter(names::CONNECTIONS_REFUSED)
        .with_unit("{connection}")
        .with_description("Connections that were not served.")
        .with_callback(move |observer| {
            for listener in &now().listeners {
                for (reason, number) in &listener.refused {
                    observer.observe(*number, &[at(listener), KeyValue::new(semconv::REASON, *reason)]);
                }
            }
        })
        .build();
}

fn numbered(now: &ServerNow) -> impl Iterator<Item = (KeyValue, WorkerNow)> {
    now.workers.iter().enumerate().map(|(number, worker)| (KeyValue::new(names::WORKER, number.to_string()), *worker))
}

fn gauge(
    meter: &Meter,
    (name, unit, help): (&'static str, &'static str, &'static str),
    now: &Now,
    look: impl Fn(&ServerNow, See<'_>) + Send + Sync + 'static,
) {
    let now = Arc::clone(now);
    meter
        .u64_observable_gauge(name)
        .with_unit(unit)
        .with_description(help)
        .with_callback(move |observer| look(&now(), &|value, attributes| observer.observe(value, attributes)))
        .build();
}

fn process(meter: &Meter) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    meter
        .f64_observable_gauge(names::START_TIME)
        .with_unit("s")
        .with_description("When the server started, in seconds since 1970.")
        .with_callback(move |observer| observer.observe(started, &[]))
        .build();
    meter
        .u64_observable_gauge(names::BUILD_INFO)
        .with_description("Which version runs; always 1.")
        .with_callback(|observer| {
            observer.observe(1, &[KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION"))]);
        })
        .build();
    meter
        .u64_observable_gauge(names::MEMORY)
        .with_unit("By")
        .with_description("Memory of the process: given by the system, asked for, and in pages that are in use.")
        .with_callback(|observer| {
            let told = [("resident", resident())].into_iter().chain(of_allocator());
            for (kind, bytes) in told {
                if let Some(bytes) = bytes {
                    observer.observe(bytes, &[KeyValue::new(names::MEMORY_KIND, kind)]);
                }
            }
        })
        .build();
}

/// What the allocator counts: the bytes that were asked for, and those of the pages in which they lie.
#[cfg(target_os = "linux")]
fn of_allocator() -> [(&'static str, Option<u64>); 2] {
    use tikv_jemalloc_ctl::{epoch, stats};
    // What it tells is as old as the last time that it was asked to count.
    let is_counted = epoch::advance().is_ok();
    let told = |bytes: Option<usize>| bytes.filter(|_| is_counted).and_then(|bytes| u64::try_from(bytes).ok());
    [("allocated", told(stats::allocated::read().ok())), ("active", told(stats::active::read().ok()))]
}

/// The allocator of other systems is not asked.
#[cfg(not(target_os = "linux"))]
const fn of_allocator() -> [(&'static str, Option<u64>); 0] {
    []
}

/// The bytes that are in memory; none: this system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
