//! A thousand clients go away in the middle of their answers, again and again, and nothing of them stays.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use completiond::proto::GetPoolRequest;
use completiond::proto::admin_service_client::AdminServiceClient;
use completiond::proto::stream_complete_response::Event;
use futures_util::future::join_all;
use tokio::sync::Barrier;
use tonic::transport::{Channel, Endpoint};

use crate::pair::{Peer, Upstreams, configuration};
use crate::stage::kept;
use crate::stage::{Events, Wire, seen, within};
use crate::support::{KEY, PROTOCOLS};
use crate::way::Way;

const CONNECTIONS: usize = 20;
const STREAMS: usize = 50;
const ROUNDS: usize = 3;
/// Longer than the allocator waits before it gives memory back.
const GIVING_BACK: Duration = Duration::from_millis(1500);

/// The server as a process of its own: its memory is nobody else's.
struct Process {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
    _config: tempfile::NamedTempFile,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(yaml: &str) -> Self {
        let mut config = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let free = "127.0.0.1:0";
        let addresses = format!("listen: {free}\nadmin_listen: {free}\nops_listen: {free}\nworkers: 2\n");
        config.write_all((addresses + yaml).as_bytes()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_completiond"))
            .arg("--config")
            .arg(config.path())
            .env_clear()
            .env("TEST_KEY", KEY)
            .envs(kept::variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(kept::stderr())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let told = lines.find_map(|line| Some(line.unwrap().trim().strip_prefix(name)?.trim().to_owned()));
            told.unwrap_or_else(|| panic!("the server does not say where its {name} go")).parse().unwrap()
        };
        let (public, admin) = (address("calls"), address("operators"));
        Self { child, public, admin, _config: config }
    }

    /// Its resident memory in pages, when what was freed has been given back to the system.
    async fn resident(&self) -> u64 {
        let statm = format!("/proc/{}/statm", self.child.id());
        let resident = || std::fs::read_to_string(&statm).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
        let mut least: u64 = resident();
        loop {
            tokio::time::sleep(GIVING_BACK).await;
            let now = resident();
            if now >= least {
                return least;
            }
            least = now;
        }
    }

    async fn admin(&self) -> AdminServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.admin)).unwrap();
        AdminServiceClient::new(endpoint.connect().await.unwrap())
    }
}

/// Opens all streams, reads one event of each, and goes away: half of the connections by resetting their streams, half
/// by closing.
async fn round(server: &Process, model: &str) {
    // So that it is always as many streams that are open at once.
    let all_are_open = &Barrier::new(CONNECTIONS);
    let connections = (0..CONNECTIONS).map(|connection| async move {
        let wire = Wire::connect(server.public).await;
        let mut message = Way::Stream.request(model).into_inner();
        message.prompt = "sim: tokens=200000 pace=1s".into();
        let streams = (0..STREAMS).map(|_| wire.stream(&message, &[]));
        let mut streams = join_all(streams).await;
        for events in &mut streams {
            assert!(matches!(events.event().await, Event::Started(_)));
        }
        all_are_open.wait().await;
        if connection % 2 == 0 {
            drop(streams);
            // The connection stays open until the resets have been sent: this is answered behind them.
            let probe = wire.send_raw("/grpc.health.v1.Health/Check", vec![0; 5].into(), &[]);
            Events::of(within("a head", probe).await.unwrap()).end().await.expect(tonic::Code::Ok, "", "");
        }
    });
    join_all(connections).await;
}

/// Waits until nothing is in flight, at the server and upstream.
async fn settle(server: &Process, upstreams: &Upstreams, round: usize) {
    let mut admin = server.admin().await;
    let asking = async {
        loop {
            let pool = admin.get_pool(GetPoolRequest {}).await.unwrap().into_inner();
            let attempts: i32 = pool.endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
            let load = pool.server.unwrap();
            let open = [load.calls_in_flight, load.bytes_in_flight, load.caller_connections, load.provider_connections];
            let is_quiet = attempts == 0 && open == [0; 4];
            if is_quiet {
                println!("round {round}: {load:?}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("nothing is in flight any more", asking).await;
    for upstream in [&upstreams.a, &upstreams.b] {
        seen(upstream.simulator().counts(), |counts| counts.open == 0).await;
        seen(upstream.connections(), |open| *open == 0).await;
    }
}

#[tokio::test]
async fn nothing_stays_of_streams_that_their_clients_reset() {
    for protocol in PROTOCOLS {
        let upstreams = [Upstreams::start(0, Peer::Drawn).await];
        let server = Process::start(&configuration(protocol, &upstreams, "", ""));
        let [upstreams] = upstreams;
        let mut resident = Vec::new();
        // One round warms up: pools, tables and the allocator's own find their sizes.
        round(&server, &upstreams.model()).await;
        settle(&server, &upstreams, 0).await;
        for number in 1..=ROUNDS {
            round(&server, &upstreams.model()).await;
            settle(&server, &upstreams, number).await;
            resident.push(server.resident().await);
        }
        println!("{protocol}: resident pages after each round: {resident:?}");
        assert!(10 * resident[2] <= 11 * resident[1], "{protocol}: memory grows: {resident:?} pages");
    }
}
