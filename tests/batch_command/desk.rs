//! A folder with an input and an output, and the command at work on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use completiond::simulator::Upstream;
use serde_json::Value;
use tempfile::TempDir;

/// Far more than anything here takes; a wait that reaches it has failed.
const BOUND: Duration = Duration::from_secs(120);

/// An input and where its output goes.
pub(crate) struct Desk {
    folder: TempDir,
}

/// How the command ended.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    /// With these lines as the input.
    pub(crate) fn with(lines: impl IntoIterator<Item = String>) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.write(lines);
        desk
    }

    pub(crate) fn write(&self, lines: impl IntoIterator<Item = String>) {
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
        std::fs::write(self.input(), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.path("in.jsonl")
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.path("out.jsonl")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path("out.jsonl.partial")
    }

    /// The results, in their order.
    pub(crate) fn results(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.output()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of the items in the output.
    pub(crate) fn names(&self) -> Vec<String> {
        self.results().iter().map(|result| result["custom_id"].as_str().unwrap().to_owned()).collect()
    }

    /// The lines of the input whose results the journal has.
    pub(crate) fn kept(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.journal()).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["item"]["line"].as_u64()).collect()
    }

    /// The command on these files, against this server.
    pub(crate) fn command(&self, server: SocketAddr, more: &[&str]) -> Command {
        let mut command = self.alone(more);
        command.args(["--server", &server.to_string()]);
        command
    }

    /// The command on these files.
    pub(crate) fn alone(&self, more: &[&str]) -> Command {
        let mut command = command(&[]);
        command.arg("batch").arg(self.input()).arg("-o").arg(self.output()).args(more);
        command
    }

    /// Runs it to its end.
    pub(crate) async fn batch(&self, server: SocketAddr, more: &[&str]) -> Done {
        done(self.command(server, more)).await
    }
}

/// The program, without the environment of whoever runs the tests.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_completiond"));
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) async fn done(command: Command) -> Done {
    Running::start(command).end().await
}

/// The command while it runs. Dropped, it is killed.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) async fn end(mut self) -> Done {
        let child = self.0.as_mut().unwrap();
        // What nobody reads would stop the command once a pipe is full.
        let (out, err) = (read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap()));
        until("the command ends", || self.has_ended()).await;
        let code = self.0.as_mut().unwrap().wait().unwrap().code().unwrap_or(-1);
        Done { code, out: out.join().unwrap(), err: err.join().unwrap() }
    }
}

fn read(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for what nothing announces.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let asking = async {
        let mut pulse = tokio::time::interval(Duration::from_millis(5));
        while !holds() {
            pulse.tick().await;
        }
    };
    tokio::time::timeout(BOUND, asking).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// The line of an item that is answered after so long.
pub(crate) fn item(number: usize, milliseconds: usize) -> String {
    let prompt = format!("sim: echo pace=0ms first_event={milliseconds}ms\nitem {number}");
    serde_json::json!({ "custom_id": format!("n{number}"), "request": { "prompt": prompt } }).to_string()
}

/// How often the upstream was asked each item. It remembers 256 requests.
pub(crate) fn asked(upstream: &Upstream) -> BTreeMap<usize, usize> {
    let received = upstream.received();
    assert!(received.len() < 256, "the upstream may have forgotten some");
    let mut asked = BTreeMap::new();
    for request in received {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = body["messages"][0]["content"].as_str().unwrap();
        let number = text.rsplit_once("item ").unwrap().1.parse().unwrap();
        *asked.entry(number).or_default() += 1;
    }
    asked
}

/// How many requests the upstream has had.
pub(crate) fn requests(upstream: &Upstream) -> usize {
    *upstream.requests().borrow()
}
