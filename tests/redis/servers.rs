//! Servers to share things on: one alone, or three as a cluster, plain or over TLS.

use std::net::TcpListener as Free;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, Cmd, FromRedisValue, TlsCertificates, cmd};
use tokio::net::TcpStream;

use crate::stage::within;

fn free_port() -> u16 {
    Free::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that keeps what it has on disk, and forgets nothing when it is killed.
pub(crate) struct Redis {
    process: Child,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    words: Vec<String>,
    /// The certificate that it shows.
    certificate: Option<String>,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.signal("CONT");
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &Path, words: &[String]) -> Child {
    let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| panic!("REDIS_SERVER names no program"));
    let folder = folder.display().to_string();
    Command::new(program)
        .args(["--bind", "127.0.0.1", "--dir", &folder, "--requirepass", "hidden", "--masterauth", "hidden"])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""])
        .args(words)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Makes a certificate and its key in `folder`.
fn certify(folder: &Path) -> (String, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate.display().to_string(), key.display().to_string())
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn plain(port: u16) -> Vec<String> {
    strings(&["--port", &port.to_string()])
}

fn tls(port: u16, (certificate, key): (&str, &str)) -> Vec<String> {
    let port = port.to_string();
    let files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate];
    [strings(&["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]), strings(&files)].concat()
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let port = free_port();
        Self::with(tempfile::tempdir().unwrap(), port, plain(port), None).await
    }

    /// One that speaks TLS only, and the file of its certificate.
    pub(crate) async fn over_tls() -> (Self, String) {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let (certificate, key) = certify(folder.path());
        let words = tls(port, (&certificate, &key));
        (Self::with(folder, port, words, Some(certificate.clone())).await, certificate)
    }

    async fn with(folder: tempfile::TempDir, port: u16, words: Vec<String>, certificate: Option<String>) -> Self {
        let process = spawn(folder.path(), &words);
        let redis = Self { process, folder, port, words, certificate };
        redis.is_there().await;
        redis
    }

    async fn is_there(&self) {
        let port = self.port;
        within("Redis answers", async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) async fn again(&mut self) {
        self.process = spawn(self.folder.path(), &self.words);
        self.is_there().await;
    }

    pub(crate) fn signal(&self, signal: &str) {
        let _ = Command::new("kill").arg(format!("-{signal}")).arg(self.process.id().to_string()).status();
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    fn client(&self, database: u8) -> Client {
        match &self.certificate {
            None => Client::open(format!("redis://:hidden@127.0.0.1:{}/{database}", self.port)).unwrap(),
            Some(certificate) => {
                let _ = rustls::crypto::ring::default_provider().install_default();
                let root_cert = Some(std::fs::read(certificate).unwrap());
                let url = format!("rediss://:hidden@localhost:{}/{database}", self.port);
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert }).unwrap()
            }
        }
    }

    /// What it answers in this database.
    pub(crate) async fn answer<T: FromRedisValue>(&self, database: u8, command: &Cmd) -> T {
        let client = self.client(database);
        within("Redis answers", async {
            loop {
                // One that has just begun refuses some things for a moment.
                if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                    && let Ok(answer) = command.query_async(&mut connection).await
                {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    /// Says something to it in its own words.
    pub(crate) async fn told(&self, database: u8, words: &[&str]) {
        let mut command = Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        let _: redis::Value = self.answer(database, &command).await;
    }

    /// Its keys like `pattern`.
    pub(crate) async fn keys(&self, database: u8, pattern: &str) -> Vec<String> {
        self.answer(database, cmd("KEYS").arg(pattern)).await
    }
}

pub(crate) fn url(port: u16) -> String {
    format!("redis://:hidden@127.0.0.1:{port}/3")
}

/// Three servers that share the keys.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
    /// The certificate that all show.
    pub(crate) certificate: Option<String>,
    _folder: tempfile::TempDir,
}

const SLOTS: u16 = 16_384;

impl Cluster {
    pub(crate) async fn start(speaks_tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = speaks_tls.then(|| certify(folder.path()));
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let port = free_port();
            let mut words = match &files {
                None => plain(port),
                Some((certificate, key)) => tls(port, (certificate, key)),
            };
            let bus = free_port().to_string();
            words.extend(strings(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]));
            // One that has lost its last slot stays what it is, and does not follow the one that has them now.
            words.extend(strings(&["--cluster-port", &bus, "--cluster-allow-replica-migration", "no"]));
            if speaks_tls {
                words.extend(strings(&["--tls-cluster", "yes"]));
            }
            let certificate = files.as_ref().map(|(certificate, _)| certificate.clone());
            nodes.push((Redis::with(tempfile::tempdir().unwrap(), port, words, certificate).await, bus));
        }
        let third = SLOTS / 3;
        let first = nodes[0].0.port.to_string();
        let first_bus = nodes[0].1.clone();
        for (index, (node, _)) in (0_u16..).zip(&nodes) {
            let last = if index == 2 { SLOTS - 1 } else { (index + 1) * third - 1 };
            node.told(0, &["CLUSTER", "ADDSLOTSRANGE", &(index * third).to_string(), &last.to_string()]).await;
            if index > 0 {
                node.told(0, &["CLUSTER", "MEET", "127.0.0.1", &first, &first_bus]).await;
            }
        }
        let nodes = nodes.into_iter().map(|(node, _)| node).collect();
        let cluster = Self { nodes, certificate: files.map(|(certificate, _)| certificate), _folder: folder };
        cluster.is_there().await;
        cluster
    }

    /// Begins a fourth server, which takes the place of the first one when that has gone.
    pub(crate) async fn add_heir(&mut self) {
        let port = free_port();
        let mut words = plain(port);
        words.extend(strings(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]));
        words.extend(strings(&["--cluster-port", &free_port().to_string()]));
        let heir = Redis::with(tempfile::tempdir().unwrap(), port, words, None).await;
        let (first, id) = (&self.nodes[0], self.nodes[0].answer::<String>(0, cmd("CLUSTER").arg("MYID")).await);
        let told: String = first.answer(0, cmd("CLUSTER").arg("NODES")).await;
        let bus = told.lines().find(|line| line.contains("myself")).unwrap();
        let bus = bus.split('@').nth(1).unwrap().split([' ', ',']).next().unwrap();
        heir.told(0, &["CLUSTER", "MEET", "127.0.0.1", &first.port.to_string(), bus]).await;
        // Until it knows the first one it refuses this, and is told again.
        heir.told(0, &["CLUSTER", "REPLICATE", &id]).await;
        within("it has what the first one has", async {
            loop {
                let told: String = heir.answer(0, cmd("INFO").arg("replication")).await;
                if told.contains("master_link_status:up") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        self.nodes.push(heir);
        self.is_there().await;
    }

    /// Waits until every server knows that all slots are there, and how many servers there are.
    pub(crate) async fn is_there(&self) {
        for node in &self.nodes {
            within("the cluster is there", async {
                loop {
                    let told: String = node.answer(0, cmd("CLUSTER").arg("INFO")).await;
                    let all = format!("cluster_known_nodes:{}\r", self.nodes.len());
                    if told.contains("cluster_state:ok") && told.contains(&all) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        }
    }

    pub(crate) fn url(&self) -> String {
        let port = self.nodes[0].port;
        match &self.certificate {
            None => format!("redis://:hidden@127.0.0.1:{port}"),
            Some(_) => format!("rediss://:hidden@localhost:{port}"),
        }
    }

    /// How many keys like `pattern` each server has.
    pub(crate) async fn keys(&self, pattern: &str) -> Vec<usize> {
        let mut counts = Vec::new();
        for node in &self.nodes {
            counts.push(node.keys(0, pattern).await.len());
        }
        counts
    }

    /// Gives the slots of one server to another, without what is in them.
    pub(crate) async fn give(&self, from: usize, to: usize) {
        let id: String = self.nodes[to].answer(0, cmd("CLUSTER").arg("MYID")).await;
        // Of two that say that a slot is theirs the others believe the one with the higher epoch.
        self.nodes[to].told(0, &["CLUSTER", "BUMPEPOCH"]).await;
        let third = SLOTS / 3;
        let first = u16::try_from(from).unwrap() * third;
        let last = if from == 2 { SLOTS - 1 } else { first + third - 1 };
        for index in [to, from] {
            // In one piece: a slot that has keys is not given away, and some may be written at any time.
            let mut pipeline = redis::pipe();
            pipeline.atomic();
            if index == from {
                pipeline.cmd("FLUSHALL");
            }
            for slot in first..=last {
                pipeline.cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&id);
            }
            let mut connection = self.nodes[index].client(0).get_multiplexed_async_connection().await.unwrap();
            pipeline.exec_async(&mut connection).await.unwrap();
        }
        within("all servers know who has what", async {
            loop {
                let mut told = std::collections::BTreeSet::new();
                for node in &self.nodes {
                    told.insert(owners(&node.answer::<String>(0, cmd("CLUSTER").arg("NODES")).await));
                }
                if told.len() == 1 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        self.is_there().await;
    }
}

/// Which server has which slots, as one of them was `told`: a line for each server, its id first, the slots from the
/// ninth word on.
fn owners(told: &str) -> Vec<String> {
    let mut owners: Vec<String> = told
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            [&words[..1], &words[8..]].concat().join(" ")
        })
        .collect();
    owners.sort();
    owners
}
