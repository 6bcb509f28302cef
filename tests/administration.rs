//! What operators ask a running server: how its pool is, and to read its configuration again.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use completiond::app::{self, Load, Running};
use completiond::config::{Config, Overrides, Problems, Sources};
use completiond::proto::admin_service_client::AdminServiceClient;
use completiond::proto::stream_complete_response::Event;
use completiond::proto::{
    BreakerState, CompleteRequest, EndpointStatus, FailureDetail, GetPoolRequest, GetPoolResponse, ReloadChanges,
    ReloadRequest, ReloadResponse, ReloadedCallers, ServerLoad,
};
use completiond::simulator::{Simulator, Upstream};
use completiond::telemetry::Guard;
use prost::Message;
use stage::{Stage, Wire, eventually, prompt, tcp, within};
use tonic::Code::{FailedPrecondition, NotFound, Ok as Fine, Unimplemented};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

const KEY: &str = "sk-secret-0123456789";

/// A server whose configuration lies in a file that a test may change, and so does its key.
struct Site {
    folder: tempfile::TempDir,
    upstream: Upstream,
    running: Running,
}

fn read(path: &Path) -> Result<Config, Problems> {
    Config::load(path, &Overrides::default(), &Sources::new(&|_| None))
}

impl Site {
    async fn with(settings: &str) -> Self {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(Simulator::default()).await.unwrap());
        std::fs::write(folder.path().join("key"), KEY).unwrap();
        let path = write(folder.path(), &upstream, settings);
        let config = read(&path).unwrap();
        let load: Load = Arc::new(move || Box::pin(std::future::ready(read(&path))));
        let tracer = Guard::start(|_| None).unwrap().tracer();
        stage::kept::logs();
        let running = app::start_reloadable(&config, load, tracer).await.unwrap();
        Self { folder, upstream, running }
    }

    /// Other settings are in the file from now on.
    fn write(&self, settings: &str) {
        write(self.folder.path(), &self.upstream, settings);
    }

    fn write_key(&self, key: &str) {
        std::fs::write(self.folder.path().join("key"), key).unwrap();
    }

    async fn reload(&self) -> Result<ReloadResponse, Status> {
        admin(&self.running).await.reload(ReloadRequest {}).await.map(tonic::Response::into_inner)
    }

    async fn wire(&self) -> Wire {
        Wire::connect(tcp(&self.running.public)).await
    }
}

fn write(folder: &Path, upstream: &Upstream, settings: &str) -> PathBuf {
    let key = folder.join("key");
    let key = format!("    api_key: file:{}\n{settings}", key.display());
    let path = folder.join("completiond.yaml");
    std::fs::write(&path, stage::configuration(&upstream.url(), "openai", &key)).unwrap();
    path
}

async fn admin(running: &Running) -> AdminServiceClient<Channel> {
    let address = format!("http://{}", tcp(&running.admin));
    AdminServiceClient::new(Endpoint::try_from(address).unwrap().connect().await.unwrap())
}

async fn pool(running: &Running) -> GetPoolResponse {
    admin(running).await.get_pool(GetPoolRequest {}).await.unwrap().into_inner()
}

async fn endpoint(running: &Running, model: &str) -> EndpointStatus {
    let endpoints = pool(running).await.endpoints;
    let found = endpoints.iter().find(|endpoint| endpoint.model == model).cloned();
    found.unwrap_or_else(|| panic!("{model} is not in {endpoints:?}"))
}

/// Waits until the server's own figures are as `wanted`.
async fn load_is(running: &Running, wanted: impl Fn(&ServerLoad) -> bool) {
    let mut admin = admin(running).await;
    let mut last = ServerLoad::default();
    let asking = async {
        let mut pulse = tokio::time::interval(Duration::from_millis(5));
        loop {
            last = admin.get_pool(GetPoolRequest {}).await.unwrap().into_inner().server.unwrap();
            if wanted(&last) {
                break;
            }
            pulse.tick().await;
        }
    };
    let waited = tokio::time::timeout(stage::BOUND, asking).await;
    assert!(waited.is_ok(), "in vain: {last:?}");
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn changed(list: &[&str]) -> Option<ReloadChanges> {
    Some(ReloadChanges { changed: names(list), ..Default::default() })
}

const NOTHING: Option<ReloadChanges> =
    Some(ReloadChanges { added: Vec::new(), removed: Vec::new(), changed: Vec::new() });

#[tokio::test]
async fn the_pool_shows_what_is_configured_and_what_was_asked_and_nothing_else() {
    let models =
        "models:\n  - { id: smart, targets: [{ provider: up, model: simulator }], fallback_models: [up/fallback] }";
    let stage = Stage::with(models).await;
    let shown = |pool: GetPoolResponse| pool.endpoints.into_iter().map(|endpoint| endpoint.model).collect::<Vec<_>>();
    assert_eq!(shown(pool(&stage.running).await), ["fallback", "simulator"], "the catalog's models were not asked");
    let wire = stage.wire().await;
    let mut other = prompt("hello");
    other.model = "up/simulator?tokens=2".to_owned();
    wire.complete(&other, &[]).await.expect(Fine, "", "");
    assert_eq!(shown(pool(&stage.running).await), ["fallback", "simulator", "simulator?tokens=2"]);
}

#[tokio::test]
async fn an_endpoint_tells_what_was_sent_and_how_it_went() {
    let stage = Stage::with("retry: { max_attempts: 1 }").await;
    let wire = stage.wire().await;
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    let events = wire.stream(&prompt("sim: tokens=10 stall_after=2"), &[]).await;
    let running = endpoint(&stage.running, "simulator").await;
    assert_eq!((running.attempts_sent, running.attempts_failed, running.in_flight), (2, 0, 1));
    assert_eq!((running.provider.as_str(), running.last_failure), ("up", None));
    assert!(running.time_to_first_event.is_some());
    drop(events);
    stage.is_quiet().await;
    wire.complete(&prompt("sim: error=503"), &[]).await;
    let failed = endpoint(&stage.running, "simulator").await;
    assert_eq!((failed.attempts_sent, failed.attempts_failed, failed.in_flight), (3, 1, 0));
    let failure = failed.last_failure.unwrap();
    assert_eq!(failure.reason, "PROVIDER_UNAVAILABLE");
    let at = std::time::SystemTime::try_from(failure.failure_time.unwrap()).unwrap();
    assert!(at <= std::time::SystemTime::now() && at > std::time::UNIX_EPOCH);
    let budget = pool(&stage.running).await.retry_budget.unwrap();
    assert!(budget.capacity > 0.0 && budget.tokens <= budget.capacity, "{budget:?}");
}

#[tokio::test]
async fn connections_and_calls_count_as_long_as_they_are_there() {
    let stage = Stage::with("").await;
    load_is(&stage.running, |load| *load == ServerLoad::default()).await;
    let wire = stage.wire().await;
    let mut events = wire.stream(&prompt("sim: tokens=10 stall_after=2"), &[]).await;
    assert!(matches!(events.event().await, Event::Started(_)));
    // The operator's own connection is none of the callers'.
    let load = pool(&stage.running).await.server.unwrap();
    assert_eq!((load.calls_in_flight, load.caller_connections, load.provider_connections), (1, 1, 1));
    assert!(load.bytes_in_flight > 0);
    drop(events);
    load_is(&stage.running, |load| load.calls_in_flight == 0 && load.provider_connections == 0).await;
    // An answer that was read to its end leaves its connection to the next one.
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    load_is(&stage.running, |load| load.calls_in_flight == 0 && load.provider_connections == 1).await;
    drop(wire);
    load_is(&stage.running, |load| load.caller_connections == 0).await;
}

#[tokio::test]
async fn three_hundred_streams_that_are_reset_leave_every_figure_at_zero() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    let mut streams = Vec::new();
    for _ in 0..300 {
        streams.push(wire.stream(&prompt("sim: tokens=10 stall_after=2"), &[]).await);
    }
    for events in &mut streams {
        assert!(matches!(events.event().await, Event::Started(_)));
    }
    let load = pool(&stage.running).await.server.unwrap();
    assert_eq!((load.calls_in_flight, load.provider_connections), (300, 300));
    assert_eq!(endpoint(&stage.running, "simulator").await.in_flight, 300);
    drop((streams, wire));
    load_is(&stage.running, |load| *load == ServerLoad::default()).await;
    let left = endpoint(&stage.running, "simulator").await;
    assert_eq!((left.in_flight, left.attempts_sent, left.attempts_failed), (0, 300, 0));
}

#[tokio::test]
async fn no_secret_is_in_what_operators_are_shown() {
    let site = Site::with("    headers: { x-tenant: tenant-secret }").await;
    site.wire().await.complete(&prompt("sim: error=401"), &[]).await;
    let shown = format!("{:?}", pool(&site.running).await);
    for secret in [KEY, "tenant-secret", "http://"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn administration_is_served_to_operators_alone() {
    let stage = Stage::with("").await;
    for bound in [&stage.running.public, &stage.running.ops] {
        let wire = Wire::connect(tcp(bound)).await;
        for method in ["GetPool", "Reload"] {
            let path = format!("/completiond.v1.AdminService/{method}");
            let answer = within("a head", wire.send_raw(&path, vec![0; 5].into(), &[])).await.unwrap();
            stage::Events::of(answer).end().await.expect(Unimplemented, "METHOD_UNKNOWN", "no such method");
        }
    }
}

#[tokio::test]
async fn a_reload_puts_another_configuration_in_force_for_calls_that_begin_then() {
    let site = Site::with("models:\n  - { id: old, targets: [{ provider: up, model: simulator }] }").await;
    let wire = site.wire().await;
    let ask = |model: &str| {
        let mut asked = prompt("sim: tokens=300 pace=10ms");
        asked.model = model.to_owned();
        asked
    };
    let mut events = wire.stream(&ask("old"), &[]).await;
    assert!(matches!(events.event().await, Event::Started(_)));
    site.write("models:\n  - { id: new, targets: [{ provider: up, model: simulator }] }\nlimits: { max_in_flight: 7 }");
    let told = site.reload().await.unwrap();
    assert!(told.source.ends_with("completiond.yaml"), "{}", told.source);
    let models = ReloadChanges { added: names(&["new"]), removed: names(&["old"]), changed: Vec::new() };
    assert_eq!((told.providers, told.models), (NOTHING, Some(models)));
    assert_eq!(told.restart_required, ["limits.max_in_flight"]);
    wire.complete(&ask("old"), &[]).await.expect(NotFound, "MODEL_NOT_FOUND", "no model of this name");
    let mut short = ask("new");
    short.prompt = "hello".to_owned();
    wire.complete(&short, &[]).await.expect(Fine, "", "");
    // What was running runs on.
    events.all(1).await;
    assert_eq!(events.status().code, Fine);
}

#[tokio::test]
async fn a_reload_that_finds_the_same_changes_nothing() {
    let site = Site::with("").await;
    let told = site.reload().await.unwrap();
    assert_eq!((told.providers, told.models), (NOTHING, NOTHING));
    assert!(told.restart_required.is_empty() && told.warnings.is_empty());
    assert_eq!((told.callers, told.issuers), (Some(callers(0, NOTHING, 0)), NOTHING));
    assert!(told.settings.is_empty());
    // A server that was built from no file finds what it was built from.
    let stage = Stage::with("").await;
    let told = admin(&stage.running).await.reload(ReloadRequest {}).await.unwrap().into_inner();
    assert_eq!((told.providers, told.models), (NOTHING, NOTHING));
}

fn callers(in_force: i32, changes: Option<ReloadChanges>, omitted: i32) -> ReloadedCallers {
    ReloadedCallers { in_force, changes, omitted }
}

/// An entry of `callers`, on a line of its own.
fn caller(name: &str, more: &str) -> String {
    let hash = completiond::callers::KeyHash::of(name);
    format!("- {{ name: {name}, keys: ['{hash}']{more} }}\n")
}

#[tokio::test]
async fn a_reload_says_who_may_call_and_what_else_has_changed() {
    let issuer = |name: &str, more: &str| {
        format!("- {{ name: {name}, issuer: {name}, audiences: [c], jwks: 'file:/nowhere/at/all'{more} }}\n")
    };
    let site = Site::with(&format!("callers:\n{}{}", caller("one", ""), caller("two", ""))).await;
    let written = format!(
        "callers:\n{}{}issuers:\n{}timeouts: {{ idle: 7s }}\n",
        caller("two", ", admin: true"),
        caller("three", ""),
        issuer("corp", "")
    );
    site.write(&written);
    let told = site.reload().await.unwrap();
    let [new, gone, other] = ["three", "one", "two"].map(|name| names(&[name]));
    let differ = Some(ReloadChanges { added: new, removed: gone, changed: other });
    assert_eq!(told.callers, Some(callers(2, differ, 0)));
    assert_eq!(told.issuers.as_ref().unwrap().added, ["corp"]);
    assert_eq!(told.settings, ["timeouts.idle"]);
    assert!(told.warnings.iter().any(|told| told.contains("issuers[0].jwks: the file /nowhere/at/all")), "{told:?}");

    site.write(&written.replace("'file:/nowhere/at/all'", "'file:/nowhere/at/all', callers: [{}]"));
    let told = site.reload().await.unwrap();
    assert_eq!((told.callers, told.issuers), (Some(callers(2, NOTHING, 0)), changed(&["corp"])));

    // Of very many a few are named.
    let many: String = (10..25).map(|number| caller(&format!("many-{number}"), "")).collect();
    site.write(&format!("callers:\n{many}"));
    let told = site.reload().await.unwrap().callers.unwrap();
    let changes = told.changes.unwrap();
    assert_eq!((told.in_force, changes.added.len(), changes.removed.len(), told.omitted), (15, 10, 2, 5));
}

#[tokio::test]
async fn a_reload_warns_when_the_last_admin_or_the_last_caller_of_the_directory_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chief.yaml");
    let put = |more: &str| std::fs::write(&file, caller("chief", more)).unwrap();
    put(", admin: true");
    let site = Site::with(&format!("callers_dir: {{ path: {}, reload_interval: 1h }}", folder.path().display())).await;
    assert_eq!(site.reload().await.unwrap().callers, Some(callers(1, NOTHING, 0)));
    put("");
    let told = site.reload().await.unwrap();
    assert!(told.warnings.len() == 1 && told.warnings[0].contains("the last admin is gone"), "{:?}", told.warnings);
    std::fs::remove_file(&file).unwrap();
    let told = site.reload().await.unwrap();
    let gone = ReloadChanges { removed: names(&["chief"]), ..ReloadChanges::default() };
    assert_eq!(told.callers, Some(callers(0, Some(gone), 0)));
    assert!(told.warnings.iter().any(|told| told.contains("has lost its last caller")), "{:?}", told.warnings);
}

#[tokio::test]
async fn the_log_says_which_callers_differ_and_nothing_where_nothing_does() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(Simulator::default()).await.unwrap());
    std::fs::write(folder.path().join("key"), KEY).unwrap();
    let dir = folder.path().join("callers");
    std::fs::create_dir(&dir).unwrap();
    let put = |text: &str| {
        std::fs::write(dir.join(".next"), text).unwrap();
        std::fs::rename(dir.join(".next"), dir.join("all.yaml")).unwrap();
    };
    put(&caller("guest-0", ", admin: true"));
    let settings = format!("callers_dir: {{ path: {}, reload_interval: 10ms }}\n", dir.display());
    let mut process = Process::start(&write(folder.path(), &upstream, &settings));
    process.hang_up();
    let line =
        process.log.by_ref().map(Result::unwrap).find(|line| line.contains("in force") || line.contains("read again"));
    assert!(line.unwrap().contains("the configuration was read again, and nothing has changed"));

    let many: String = (10..25).map(|number| caller(&format!("guest-{number}"), "")).collect();
    put(&many);
    let line = process.logs("other callers are in force");
    let shown = "+guest-10 +guest-11 +guest-12 +guest-13 +guest-14 +guest-15 +guest-16 +guest-17 +guest-18 +guest-19 -guest-0 and 5 more";
    assert!(line.contains(shown) && line.contains("\"callers\":15"), "{line}");
    process.hang_up();
    let doubts = process.said_before("nothing has changed");
    assert!(doubts.iter().any(|line| line.contains("the last admin is gone")), "{doubts:?}");
    std::fs::remove_file(dir.join("all.yaml")).unwrap();
    assert!(process.logs("other callers are in force").contains("\"callers\":0"));
    process.hang_up();
    let doubts = process.said_before("nothing has changed");
    assert!(doubts.iter().any(|line| line.contains("has lost its last caller")), "{doubts:?}");

    write(folder.path(), &upstream, &format!("{settings}callers:\n{}", caller("main", "")));
    process.hang_up();
    let line = process.logs("another configuration is in force");
    assert!(line.contains("\"callers\":1") && line.contains("\"callers_changed\":\"+main\""), "{line}");
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_is_refused_with_every_problem_and_the_old_one_stays() {
    let site = Site::with("").await;
    site.write("limitz: {}\nmodels:\n  - { id: smart, targets: [{ provider: nobody, model: m }] }");
    let refused = site.reload().await.unwrap_err();
    assert_eq!(refused.code(), FailedPrecondition);
    assert!(refused.message().contains("for 2 reasons"), "{}", refused.message());
    let info = refused.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("CONFIGURATION_INVALID", "completiond"));
    let id = refused.get_details_request_info().unwrap().request_id;
    let rich = tonic_types::pb::Status::decode(refused.details()).unwrap();
    let detail = rich.details.iter().find(|any| any.type_url.ends_with("completiond.v1.FailureDetail")).unwrap();
    assert_eq!(FailureDetail::decode(&detail.value[..]).unwrap().id, id);
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let told: Vec<_> = violations.iter().map(|it| (it.field.as_str(), it.description.as_str())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for ((field, description), (key, line, word)) in
        told.into_iter().zip([("limitz", 10, "limits"), ("models[0].targets[0].provider", 12, "nobody")])
    {
        assert_eq!(field, key);
        let place = format!("completiond.yaml:{line}:");
        assert!(description.contains(&place) && description.contains(word), "{description}");
    }
    site.wire().await.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    // A file that is gone is no other configuration.
    std::fs::remove_file(site.folder.path().join("completiond.yaml")).unwrap();
    let refused = site.reload().await.unwrap_err();
    assert!(refused.message().contains("cannot be read"), "{}", refused.message());
    site.wire().await.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
}

#[tokio::test]
async fn a_price_table_is_read_again_and_a_bad_one_is_refused() {
    let site = Site::with("").await;
    let table = site.folder.path().join("prices.json");
    std::fs::write(&table, "{\"version\": \"x\",\n\"models\": {}}").unwrap();
    site.write("price_table: prices.json");
    let refused = site.reload().await.unwrap_err();
    assert!(refused.message().contains("is no price table: line 2: "), "{}", refused.message());
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "price_table");
    std::fs::write(&table, "{\"version\": \"x\", \"models\": []}").unwrap();
    assert!(site.reload().await.is_ok());
}

#[tokio::test]
async fn of_very_many_problems_as_many_are_told_as_have_room() {
    let site = Site::with("").await;
    let wrong: String = (0..500).map(|index| format!("wrong_{index}: 1\n")).collect();
    site.write(&wrong);
    let refused = site.reload().await.unwrap_err();
    assert!(refused.message().contains("for 500 reasons"), "{}", refused.message());
    assert!(refused.details().len() < 4096);
    assert!(refused.get_details_bad_request().unwrap().field_violations.len() > 3);
}

#[tokio::test]
async fn what_was_learned_about_an_account_stays_until_the_account_changes() {
    let site = Site::with("retry: { max_attempts: 1 }").await;
    let wire = site.wire().await;
    wire.complete(&prompt("sim: error=401"), &[]).await.expect(FailedPrecondition, "PROVIDER_CREDENTIALS_REFUSED", "");
    let blamed = endpoint(&site.running, "simulator").await;
    assert_eq!((blamed.key_breaker_state(), blamed.attempts_sent), (BreakerState::Open, 1));
    // Timeouts are the configuration's business and not the account's.
    site.write("retry: { max_attempts: 1 }\ntimeouts: { idle: 7s }");
    assert_eq!(site.reload().await.unwrap().providers, changed(&["up"]));
    let kept = endpoint(&site.running, "simulator").await;
    assert_eq!((kept.key_breaker_state(), kept.attempts_sent), (BreakerState::Open, 1));
    site.write_key("sk-another-9876543210");
    assert_eq!(site.reload().await.unwrap().providers, changed(&["up"]));
    assert!(
        pool(&site.running).await.endpoints.iter().all(|endpoint| endpoint.attempts_sent == 0),
        "the new key is not blamed for the old one"
    );
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    let well = endpoint(&site.running, "simulator").await;
    assert_eq!((well.key_breaker_state(), well.attempts_sent), (BreakerState::Closed, 1));
}

#[tokio::test]
async fn of_reloads_at_the_same_time_each_sees_what_the_one_before_has_done() {
    let site = Site::with("").await;
    site.write("models:\n  - { id: new, targets: [{ provider: up, model: simulator }] }");
    let reloads = (0..20).map(|_| site.reload());
    let told = futures_util::future::join_all(reloads).await;
    let changes = told.into_iter().map(|told| told.unwrap().models.unwrap().added);
    assert_eq!(changes.filter(|added| *added == ["new"]).count(), 1);
}

/// A server as a process of its own. It ends with the test.
struct Process {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    public: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_completiond"))
            .arg("--config")
            .arg(config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let public = said.into_iter().find_map(|line| line.trim().strip_prefix("calls")?.trim().parse().ok()).unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log, public }
    }

    fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// The lines of the log up to the next that says `words`.
    fn said_before(&mut self, words: &str) -> Vec<String> {
        self.log.by_ref().map(Result::unwrap).take_while(|line| !line.contains(words)).collect()
    }

    /// The next line of the log that says `words`, after those before it.
    fn logs(&mut self, words: &str) -> String {
        let mut lines = self.log.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(words)).unwrap_or_else(|| panic!("no line says {words:?}"))
    }
}

#[tokio::test]
async fn a_signal_reads_the_configuration_again_and_a_bad_one_is_only_told() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(Simulator::default()).await.unwrap());
    std::fs::write(folder.path().join("key"), KEY).unwrap();
    let model = |name: &str| format!("models:\n  - {{ id: {name}, targets: [{{ provider: up, model: simulator }}] }}");
    let path = write(folder.path(), &upstream, &model("one"));
    let mut process = Process::start(&path);
    let wire = Wire::connect(process.public).await;
    let ask = |model: &str| CompleteRequest { model: model.to_owned(), ..prompt("hello") };
    wire.complete(&ask("one"), &[]).await.expect(Fine, "", "");

    write(folder.path(), &upstream, &model("two"));
    process.hang_up();
    let line = process.logs("another configuration is in force");
    assert!(line.contains("+two -one"), "{line}");
    wire.complete(&ask("two"), &[]).await.expect(Fine, "", "");
    wire.complete(&ask("one"), &[]).await.expect(NotFound, "MODEL_NOT_FOUND", "");

    write(folder.path(), &upstream, "wrong: 1");
    process.hang_up();
    let line = process.logs("a problem of the configuration");
    assert!(line.contains("completiond.yaml:10:1") && !line.contains(KEY), "{line}");
    process.logs("the configuration was not put in force");
    wire.complete(&ask("two"), &[]).await.expect(Fine, "", "");
}

#[tokio::test]
async fn a_configuration_that_never_ends_does_not_keep_the_server_from_stopping() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start(Simulator::default()).await.unwrap());
    std::fs::write(folder.path().join("key"), KEY).unwrap();
    let path = write(folder.path(), &upstream, "drain_delay: 0s");
    let mut process = Process::start(&path);
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    process.hang_up();
    // Opens when the server does, and nothing is ever written.
    let opened = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(path));
    let _pipe = within("the server reads its configuration", opened).await.unwrap().unwrap();
    process.signal("-TERM");
    eventually("the server ends", || process.child.try_wait().unwrap().is_some()).await;
}
