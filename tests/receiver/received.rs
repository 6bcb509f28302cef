//! What has been received, by a receiver of ours or by a real one.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

#[derive(Clone, Debug, Default)]
pub struct Received {
    traces: Vec<ResourceSpans>,
    logs: Vec<ResourceLogs>,
    /// One for each push.
    metrics: Vec<Vec<ResourceMetrics>>,
}

impl Received {
    pub fn traces(&mut self, request: ExportTraceServiceRequest) {
        self.traces.extend(request.resource_spans);
    }

    pub fn logs(&mut self, request: ExportLogsServiceRequest) {
        self.logs.extend(request.resource_logs);
    }

    pub fn metrics(&mut self, request: ExportMetricsServiceRequest) {
        self.metrics.push(request.resource_metrics);
    }

    pub fn spans(&self) -> Vec<Span> {
        let scopes = self.traces.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub fn records(&self) -> Vec<LogRecord> {
        self.records_by_scope().into_iter().map(|(_, record)| record).collect()
    }

    /// The records with the names of their scopes, which are the modules that have written them.
    pub fn records_by_scope(&self) -> Vec<(String, LogRecord)> {
        let scopes = self.logs.iter().flat_map(|resource| &resource.scope_logs);
        let named = scopes.map(|scope| (scope.scope.clone().unwrap_or_default().name, &scope.log_records));
        named.flat_map(|(name, records)| records.iter().map(move |it| (name.clone(), it.clone()))).collect()
    }

    /// How often metrics were pushed.
    pub fn pushes(&self) -> usize {
        self.metrics.len()
    }

    /// The metrics of each push.
    pub fn pushed(&self) -> Vec<Vec<Metric>> {
        let of = |push: &Vec<ResourceMetrics>| {
            let scopes = push.iter().flat_map(|resource| &resource.scope_metrics);
            scopes.flat_map(|scope| scope.metrics.clone()).collect()
        };
        self.metrics.iter().map(of).collect()
    }

    /// The metrics of the latest push.
    pub fn latest(&self) -> Vec<Metric> {
        self.pushed().pop().unwrap_or_default()
    }

    /// Who has sent all this: traces, logs and metrics.
    pub fn resources(&self) -> [Vec<Resource>; 3] {
        [
            self.traces.iter().filter_map(|it| it.resource.clone()).collect(),
            self.logs.iter().filter_map(|it| it.resource.clone()).collect(),
            self.metrics.iter().flatten().filter_map(|it| it.resource.clone()).collect(),
        ]
    }

    /// All of it, as text to search in.
    pub fn text(&self) -> String {
        format!("{self:?}")
    }
}

/// The value of an attribute.
pub fn attribute(attributes: &[KeyValue], name: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value
}

/// The same as text; empty: there is none, or it is no text.
pub fn text(attributes: &[KeyValue], name: &str) -> String {
    match attribute(attributes, name) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}
