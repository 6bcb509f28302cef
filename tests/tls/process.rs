//! The server as a process of its own: its memory is nobody else's, and the commands of the same program are its clients.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use completiond::proto::completion_service_client::CompletionServiceClient;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::desk::Client;
use crate::pki::{Authority, Folder};

pub(crate) struct Process {
    child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) folder: Folder,
    pub(crate) authority: Authority,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Behind TLS, with the simulator.
    pub(crate) async fn start() -> Self {
        Self::with(|folder| folder.section("tls", ""))
    }

    pub(crate) fn with(settings: impl FnOnce(&Folder) -> String) -> Self {
        Self::set(settings, &[])
    }

    /// With these variables.
    pub(crate) fn set(settings: impl FnOnce(&Folder) -> String, variables: &[(&str, PathBuf)]) -> Self {
        let authority = Authority::new();
        let folder = Folder::with(&authority.server(), &authority);
        let free = "127.0.0.1:0";
        let text = format!(
            "listen: {free}\nadmin_listen: {free}\nops_listen: {free}\nworkers: 2\n\
             providers: [{{ id: up, preset: simulator }}]\ndefault_model: up/simulator\n{}",
            settings(&folder)
        );
        let config = folder.write("config.yaml", &text);
        let mut child = Command::new(program())
            .arg("--config")
            .arg(config)
            .env_clear()
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let told = lines.find_map(|line| Some(line.unwrap().trim().strip_prefix(name)?.trim().to_owned()));
            told.unwrap_or_else(|| panic!("the server does not say where its {name} go")).parse().unwrap()
        };
        let (public, admin) = (address("calls"), address("operators"));
        Self { child, public, admin, folder, authority }
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
    }

    pub(crate) fn client(&self) -> Client {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem()));
        let endpoint = Endpoint::try_from(format!("https://{}", self.public)).unwrap().tls_config(tls).unwrap();
        CompletionServiceClient::new(endpoint.connect_lazy())
    }
}

pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_completiond").into()
}

/// Runs a command to its end: whether it succeeded, and what it has printed on both outputs.
pub(crate) fn run(words: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(program())
        .args(words)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}
