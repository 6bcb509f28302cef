//! Trace context in HTTP headers, as the W3C has it: `traceparent` and `tracestate`, in and out. Of
//! baggage only those entries come in whose keys the configuration names.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

/// The caller's trace, with the baggage that is among `keys`; an empty context where the headers carry none, or none that
/// can be read.
pub(super) fn extract(headers: &HeaderMap, keys: &[String]) -> Context {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Incoming(headers));
    if keys.is_empty() {
        return context;
    }
    let all = BaggagePropagator::new().extract_with_context(&Context::new(), &Incoming(headers));
    let kept: Vec<KeyValue> = keys
        .iter()
        .filter_map(|key| Some(KeyValue::new(key.clone(), all.baggage().get(key)?.as_str().to_owned())))
        .collect();
    if kept.is_empty() { context } else { context.with_baggage(kept) }
}

/// Adds the trace of `context` to `headers`; nothing where there is none.
pub(super) fn inject(context: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(context, &mut Outgoing(headers));
    if !context.baggage().is_empty() {
        BaggagePropagator::new().inject_context(context, &mut Outgoing(headers));
    }
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` says nothing, and some servers refuse it.
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TraceContextExt;

    #[test]
    fn a_trace_goes_through_unchanged_and_anything_else_is_no_trace() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers
            .insert("traceparent", HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        headers.insert("tracestate", HeaderValue::from_static("a=1,b=2"));
        let context = extract(&headers, &[]);
        assert!(context.span().span_context().is_remote());
        let mut sent = HeaderMap::new();
        inject(&context, &mut sent);
        assert_eq!(sent.get("traceparent").unwrap(), parent);
        assert_eq!(sent.get("tracestate").unwrap(), "a=1,b=2");

        for bad in ["", "00-zz-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "ff"] {
            headers.insert("traceparent", HeaderValue::from_str(bad).unwrap());
            let mut sent = HeaderMap::new();
            inject(&extract(&headers, &[]), &mut sent);
            assert!(sent.is_empty(), "{bad}: {sent:?}");
        }
    }

    #[test]
    fn of_baggage_only_what_is_allowed_goes_on() {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", HeaderValue::from_static("tenant=blue%20one,user=ann;secret,session=7"));
        let cases: [(&[&str], &str); 4] =
            [(&[], ""), (&["other"], ""), (&["tenant"], "tenant=blue%20one"), (&["session"], "session=7")];
        for (keys, expected) in cases {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            let mut sent = HeaderMap::new();
            inject(&extract(&headers, &keys), &mut sent);
            assert_eq!(sent.get("baggage").map_or("", |value| value.to_str().unwrap()), expected, "{keys:?}");
        }
    }

    #[test]
    fn an_empty_tracestate_is_not_sent() {
        let mut headers = HeaderMap::new();
        headers
            .insert("traceparent", HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"));
        let mut sent = HeaderMap::new();
        inject(&extract(&headers, &[]), &mut sent);
        assert_eq!(sent.len(), 1);
    }
}
