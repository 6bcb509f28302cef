//! A server as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tonic::Code::Ok as Fine;

use crate::stage::{self, Wire, eventually, prompt};

pub(super) struct Server {
    process: Child,
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) ops: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    _config: tempfile::NamedTempFile,
}

/// An upstream inside the process.
const SIMULATOR: &str = "simulator://local";

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(upstream: &str, settings: &str, variables: &[(&str, &str)]) -> (Child, tempfile::NamedTempFile) {
    let mut config = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let settings = format!("drain_delay: 0\nworkers: 2\n{settings}");
    let text = stage::configuration(upstream, "openai", &settings);
    config.write_all(text.as_bytes()).unwrap();
    let process = Command::new(env!("CARGO_BIN_EXE_completiond"))
        .arg("--config")
        .arg(config.path())
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (process, config)
}

/// What a server says that does not start.
pub(super) fn refused(settings: &str) -> String {
    let (mut process, _config) = spawn(SIMULATOR, settings, &[]);
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!process.wait().unwrap().success(), "{said}");
    said
}

impl Server {
    pub(super) fn start(settings: &str, variables: &[(&str, &str)]) -> Self {
        Self::before(SIMULATOR, settings, variables)
    }

    /// One that asks this upstream.
    pub(super) fn before(upstream: &str, settings: &str, variables: &[(&str, &str)]) -> Self {
        let (mut process, config) = spawn(upstream, settings, variables);
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let written = Arc::clone(&log);
        // What nobody reads would stop the server once the pipe is full.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| written.lock().unwrap().push(line)));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let told = lines.find_map(|line| Some(line.unwrap().trim().strip_prefix(name)?.trim().to_owned()));
            let told = told.unwrap_or_else(|| panic!("the server does not say where its {name} go"));
            told.split_whitespace().next().unwrap().parse().unwrap()
        };
        let (public, admin, ops) = (address("calls"), address("operators"), address("probes"));
        Self { process, public, admin, ops, log, _config: config }
    }

    /// The lines of its log that have these words.
    #[allow(dead_code, reason = "not every test looks at the log")]
    pub(super) fn logged(&self, words: &str) -> Vec<String> {
        // Lines of calls are written a little after they came.
        std::thread::sleep(std::time::Duration::from_millis(200));
        self.log.lock().unwrap().iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// Makes this many calls that are answered.
    pub(super) async fn call(&self, count: usize) {
        let wire = Wire::connect(self.public).await;
        for _ in 0..count {
            wire.complete(&prompt("sim: tokens=3 first_event=0ms pace=0ms\nhello"), &[]).await.expect(Fine, "", "");
        }
    }

    pub(super) async fn end(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.process.id().to_string()).status();
        assert!(sent.unwrap().success());
        let mut exit = None;
        eventually("the process ends", || {
            exit = self.process.try_wait().unwrap();
            exit.is_some()
        })
        .await;
        exit.unwrap()
    }
}
