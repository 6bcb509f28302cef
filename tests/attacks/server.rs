//! The server as a process of its own, with callers and a caller beside every attack, and what it holds: memory, handles and
//! connections.

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use completiond::callers::KeyHash;
use completiond::proto::CompleteRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::stage::{Wire, within};
use crate::upstream::Upstream;

pub(crate) const MIB: usize = 1024 * 1024;
/// The key of the caller `search`.
pub(crate) const KEY: &str = "the-key-of-search-which-nobody-guesses";
/// The key of the caller `chat`.
pub(crate) const OTHER_KEY: &str = "the-key-of-chat-which-nobody-guesses";
/// How old the text of the metrics may be, and a little more.
const SCRAPED: Duration = Duration::from_millis(1100);
/// How often the caller beside an attack calls.
const CALLS: usize = 20;

/// The header that shows the key of `search`.
pub(crate) fn shown() -> [(&'static str, &'static str); 1] {
    [("authorization", concat!("Bearer ", "the-key-of-search-which-nobody-guesses"))]
}

/// A request that the upstream answers at once.
pub(crate) fn ask(prompt: &str) -> CompleteRequest {
    CompleteRequest { model: "smart".to_owned(), prompt: prompt.to_owned(), ..CompleteRequest::default() }
}

pub(crate) struct Server {
    child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) upstream: Upstream,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Ok(log) = std::fs::read_to_string(self.log_path()) {
            crate::stage::kept::text(&log);
        }
    }
}

/// What the server holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Memory that the system has given it, in bytes.
    pub(crate) resident: usize,
    /// File descriptors.
    pub(crate) handles: usize,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// With these settings beside two callers, an upstream that answers at once (`smart`), and the simulator (`sim/simulator`).
    pub(crate) async fn with(settings: &str) -> Self {
        Self::shaped(settings, "json").await
    }

    /// The same with logs in this format.
    pub(crate) async fn shaped(settings: &str, log_format: &str) -> Self {
        let upstream = Upstream::start().await;
        let folder = tempfile::tempdir().unwrap();
        let free = "127.0.0.1:0";
        let text = format!(
            "listen: {free}\nadmin_listen: {free}\nops_listen: {free}\nworkers: 2\nlog: {{ format: {log_format} }}\n\
             callers:\n  - {{ name: search, keys: ['{}'] }}\n  - {{ name: chat, keys: ['{}'] }}\n\
             providers:\n  - {{ id: up, protocol: openai, base_url: 'http://{}/v1' }}\n  - {{ id: sim, preset: simulator }}\n\
             models: [{{ id: smart, targets: [{{ provider: up, model: m }}] }}]\n{settings}\n",
            KeyHash::of(KEY),
            KeyHash::of(OTHER_KEY),
            upstream.address,
        );
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_completiond"))
            .arg("--config")
            .arg(config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let told = lines.find_map(|line| Some(line.unwrap().trim().strip_prefix(name)?.trim().to_owned()));
            let told = told.unwrap_or_else(|| {
                panic!("no {name}: {}", std::fs::read_to_string(folder.path().join("log")).unwrap_or_default())
            });
            told.split(' ').next().unwrap().parse().unwrap()
        };
        let (public, _, ops) = (address("calls"), address("operators"), address("probes"));
        Self { child, public, ops, upstream, folder }
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        // Lines of calls are written a little after they came.
        std::thread::sleep(Duration::from_millis(200));
        std::fs::read_to_string(self.log_path()).unwrap()
    }

    pub(crate) fn held(&self) -> Held {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024;
        Held { resident, handles: std::fs::read_dir(format!("{process}/fd")).unwrap().count() }
    }

    /// Waits until it holds no more of an attack than this above what it held before it.
    pub(crate) async fn has_let_go(&self, before: Held, bytes: usize) -> Held {
        let waiting = async {
            loop {
                let now = self.held();
                // A few handles more are those of the caller and of connections upstream that are kept.
                if now.resident <= before.resident + bytes && now.handles <= before.handles + 8 {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within("what was held of an attack is given back", waiting).await
    }

    /// Metrics, as a scrape gets them.
    pub(crate) async fn metrics(&self) -> String {
        let mut socket = TcpStream::connect(self.ops).await.unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        within("metrics", socket.read_to_string(&mut text)).await.unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The value of the first series that begins so; none: there is none yet.
    pub(crate) async fn number(&self, series: &str) -> Option<f64> {
        let text = self.metrics().await;
        text.lines().find(|line| line.starts_with(series))?.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until a series is as it should be now.
    pub(crate) async fn number_is(&self, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        // A scrape may get what another got a second ago, from before what is waited for.
        tokio::time::sleep(SCRAPED).await;
        let waiting = async {
            loop {
                if let Some(number) = self.number(series).await.filter(|number| wanted(*number)) {
                    return number;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        within(series, waiting).await
    }

    /// A caller that means well comes in anew and is answered.
    pub(crate) async fn serves(&self) {
        Wire::connect(self.public).await.complete(&ask("hello"), &shown()).await.expect(Code::Ok, "", "");
    }

    /// Makes `attack` while a caller beside it calls and is answered each time; again if it ends before that, and as often as
    /// it takes for a round of each. Says what was held at most.
    pub(crate) async fn endures<F: Future<Output = ()>>(&self, attack: impl FnMut() -> F) -> Endured {
        self.beside(attack, 1).await
    }

    /// The same with an attack that has no end of its own.
    pub(crate) async fn endures_without_end<F: Future<Output = ()>>(&self, attack: impl FnMut() -> F) -> Endured {
        self.beside(attack, 0).await
    }

    async fn beside<F: Future<Output = ()>>(&self, mut attack: impl FnMut() -> F, least: usize) -> Endured {
        let before = self.held();
        let (most, rounds, calls) = (Cell::new(before), Cell::new(0), Cell::new(0));
        let wire = Wire::connect(self.public).await;
        let calling = async {
            while calls.get() < CALLS || rounds.get() < least {
                wire.complete(&ask("hello"), &shown()).await.expect(Code::Ok, "", "");
                if calls.get() % 10 == 0 {
                    self.serves().await;
                }
                let (now, until) = (self.held(), most.get());
                let (resident, handles) = (until.resident.max(now.resident), until.handles.max(now.handles));
                most.set(Held { resident, handles });
                calls.set(calls.get() + 1);
            }
        };
        let is_over = Cell::new(false);
        let attacking = async {
            while !is_over.get() {
                attack().await;
                rounds.set(rounds.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = attacking => {}
            () = calling => is_over.set(true),
        }
        Endured { before, most: most.get(), rounds: rounds.get(), calls: calls.get() }
    }
}

/// What was seen while an attack was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endured {
    pub(crate) before: Held,
    pub(crate) most: Held,
    /// How often it was made to its end.
    pub(crate) rounds: usize,
    /// How often the caller beside it was answered.
    pub(crate) calls: usize,
}

impl Endured {
    /// What was held of the attack at most, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.most.resident.saturating_sub(self.before.resident)
    }

    /// For the paper: what was held at most.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} before, {} at most; {} calls beside it answered",
            mib(self.before.resident),
            mib(self.most.resident),
            self.calls
        )
    }
}

/// Bytes for people.
pub(crate) fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(MIB))
}
