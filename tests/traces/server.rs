//! A server as a process of its own, with a simulated upstream on a real socket.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use completiond::proto::completion_service_client::CompletionServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::transport::{Channel, Endpoint};

use crate::kept;

pub(crate) struct Server {
    process: Child,
    pub(crate) client: CompletionServiceClient<Channel>,
    ops: String,
    log: Arc<Mutex<Vec<String>>>,
    config: tempfile::NamedTempFile,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        kept::text(&self.log());
    }
}

impl Server {
    /// Starts with this configuration beside its addresses.
    pub(crate) async fn start(settings: &str, variables: &[(&str, &str)]) -> Self {
        let config = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        write(&config, settings);
        let mut process = Command::new(env!("CARGO_BIN_EXE_completiond"))
            .arg("--config")
            .arg(config.path())
            .env_clear()
            .envs([("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_BLRP_SCHEDULE_DELAY", "50")])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let written = Arc::clone(&log);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| written.lock().unwrap().push(line)));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut address = |name: &str| -> String {
            let told = lines.find_map(|line| Some(line.unwrap().trim().strip_prefix(name)?.trim().to_owned()));
            let told = told.unwrap_or_else(|| panic!("no {name}: {:?}", log.lock().unwrap()));
            told.split_whitespace().next().unwrap().to_owned()
        };
        let (public, ops) = (address("calls"), address("probes"));
        let channel = Endpoint::from_shared(format!("http://{public}")).unwrap().connect().await.unwrap();
        Self { process, client: CompletionServiceClient::new(channel), ops, log, config }
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        // Lines of calls are written a little after they came.
        std::thread::sleep(Duration::from_millis(200));
        self.log.lock().unwrap().join("\n")
    }

    /// Does something again and again, until these words are logged.
    pub(crate) async fn until_logged<F: Future<Output = ()>>(&self, words: &str, again: impl Fn() -> F) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.log().contains(words) {
            assert!(Instant::now() < end, "{words} was not logged: {}", self.log());
            again().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The metrics as text.
    pub(crate) async fn metrics(&self) -> String {
        let mut connection = tokio::net::TcpStream::connect(&self.ops).await.unwrap();
        let asked = b"GET /metrics HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
        connection.write_all(asked).await.unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Reads another configuration.
    pub(crate) fn reload(&self, settings: &str) {
        write(&self.config, settings);
        self.signal("-HUP");
    }

    /// Ends it, and waits for its end.
    pub(crate) async fn stop(&mut self) {
        self.signal("-TERM");
        // What it still sends is taken by this thread.
        while self.process.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }
}

fn write(config: &tempfile::NamedTempFile, settings: &str) {
    let free = "127.0.0.1:0";
    let text =
        format!("listen: {free}\nadmin_listen: {free}\nops_listen: {free}\ndrain_delay: 0\nworkers: 1\n{settings}\n");
    std::fs::File::create(config.path()).unwrap().write_all(text.as_bytes()).unwrap();
}
