//! Trace context in HTTP headers, as the W3C has it: `traceparent` and `tracestate`, in and out. Of
//! baggage only those entries come in whose keys the configuration names.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The length of a `traceparent`.
const PARENT_BYTES: usize = 55;

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

/// Adds the trace of `context` to `headers`; nothing where there is none. It is done for each call, and so without the
/// propagator, which formats a text and checks it as a header's.
pub(super) fn inject(context: &Context, headers: &mut HeaderMap) {
    let span = context.span();
    let trace = span.span_context();
    if trace.is_valid() {
        if let Ok(value) = HeaderValue::try_from(traceparent(trace)) {
            headers.insert(TRACEPARENT, value);
        }
        let state = trace.trace_state().header();
        // An empty `tracestate` says nothing, and some servers refuse it.
        if !state.is_empty()
            && let Ok(value) = HeaderValue::try_from(state)
        {
            headers.insert(TRACESTATE, value);
        }
    }
    if !context.baggage().is_empty() {
        BaggagePropagator::new().inject_context(context, &mut Outgoing(headers));
    }
}

/// Version 00, as the W3C has it: the trace, the span and the flags as hexadecimal numbers.
fn traceparent(trace: &SpanContext) -> String {
    let mut text = String::with_capacity(PARENT_BYTES);
    text.push_str("00-");
    hexadecimal(&mut text, &trace.trace_id().to_bytes());
    text.push('-');
    hexadecimal(&mut text, &trace.span_id().to_bytes());
    text.push('-');
    hexadecimal(&mut text, &[trace.trace_flags().to_u8()]);
    text
}

fn hexadecimal(text: &mut String, bytes: &[u8]) {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
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
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_through_unchanged_and_anything_else_is_no_trace() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers
            .insert("traceparent", HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        headers.insert("tracestate", HeaderValue::from_static("a=1,b=2"));
        let context = extract(&headers, &[]);
        assert!(context.span().span_context().is_remote());
        // What the configuration sets itself does not go beside it.
        let mut sent = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static("00-another"))]);
        inject(&context, &mut sent);
        assert_eq!(sent.get_all("traceparent").iter().collect::<Vec<_>>(), [parent]);
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
