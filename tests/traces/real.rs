//! A real OpenTelemetry Collector between the server and the test: `OTELCOL` is the program. It writes what it got to a file,
//! as messages of OTLP with their lengths before them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

pub(crate) struct Real {
    process: Child,
    folder: tempfile::TempDir,
    pub(crate) address: String,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Real {
    /// Starts the program, and waits until it takes spans.
    pub(crate) fn start(program: &OsStr) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let (config, file) = (folder.path().join("collector.json"), folder.path().join("spans"));
        let text = serde_json::json!({
            "receivers": { "otlp": { "protocols": { "grpc": { "endpoint": address } } } },
            "exporters": { "file": { "path": file, "format": "proto", "flush_interval": "100ms" } },
            "service": {
                "telemetry": { "metrics": { "level": "none" } },
                "pipelines": { "traces": { "receivers": ["otlp"], "exporters": ["file"] } },
            },
        });
        std::fs::write(&config, text.to_string()).unwrap();
        let mut command = Command::new(program);
        let mut process = command.arg("--config").arg(&config).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("Everything is ready")), "the collector does not start");
        // What nobody reads would stop it once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, folder, address }
    }

    /// Ends it, and reads what it got.
    pub(crate) async fn spans(&mut self) -> Vec<Span> {
        let killed = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        while self.process.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let bytes = std::fs::read(self.folder.path().join("spans")).unwrap();
        let (mut rest, mut spans) = (bytes.as_slice(), Vec::new());
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
            let message = ExportTraceServiceRequest::decode(&behind[..length]).unwrap();
            let scopes = message.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            spans.extend(scopes.flat_map(|scope| scope.spans));
            rest = &behind[length..];
        }
        spans
    }
}
