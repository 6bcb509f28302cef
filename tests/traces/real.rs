//! A real OpenTelemetry Collector between the server and the test: `OTELCOL` is the program. It takes both protocols, and
//! writes what it got to a file for each signal, as messages of OTLP with their lengths before them.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::receiver::Received;

pub(crate) struct Real {
    process: Child,
    folder: tempfile::TempDir,
    grpc: String,
    http: String,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Real {
    /// Starts the program, and waits until it takes what comes.
    pub(crate) fn start(program: &OsStr) -> Self {
        // Both are bound at the same time, so that they are not the same.
        let free = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [grpc, http] = free.each_ref().map(|free| free.local_addr().unwrap().to_string());
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("collector.json");
        let to = |signal: &str| serde_json::json!({ "path": folder.path().join(signal), "format": "proto", "flush_interval": "100ms" });
        let from = |signal: &str| serde_json::json!({ "receivers": ["otlp"], "exporters": [format!("file/{signal}")] });
        let text = serde_json::json!({
            "receivers": { "otlp": { "protocols": { "grpc": { "endpoint": grpc }, "http": { "endpoint": http } } } },
            "exporters": {
                "file/traces": to("traces"), "file/logs": to("logs"), "file/metrics": to("metrics"),
            },
            "service": {
                "telemetry": { "metrics": { "level": "none" } },
                "pipelines": { "traces": from("traces"), "logs": from("logs"), "metrics": from("metrics") },
            },
        });
        std::fs::write(&config, text.to_string()).unwrap();
        let mut command = Command::new(program);
        let mut process = command.arg("--config").arg(&config).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("Everything is ready")), "the collector does not start");
        // What nobody reads would stop it once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, folder, grpc, http }
    }

    /// The address for a protocol, as a variable has it.
    pub(crate) fn url(&self, protocol: &str) -> String {
        format!("http://{}", if protocol == "grpc" { &self.grpc } else { &self.http })
    }

    /// Ends it, and reads what it got.
    pub(crate) async fn received(&mut self) -> Received {
        let killed = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        while self.process.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut received = Received::default();
        messages::<ExportTraceServiceRequest>(&self.folder.path().join("traces"), |it| received.traces(it));
        messages::<ExportLogsServiceRequest>(&self.folder.path().join("logs"), |it| received.logs(it));
        messages::<ExportMetricsServiceRequest>(&self.folder.path().join("metrics"), |it| received.metrics(it));
        received
    }
}

fn messages<M: Message + Default>(file: &Path, mut each: impl FnMut(M)) {
    let bytes = std::fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        each(M::decode(&behind[..length]).unwrap());
        rest = &behind[length..];
    }
}
