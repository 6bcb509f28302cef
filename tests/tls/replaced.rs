//! Certificates that are replaced while the server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use completiond::proto::stream_complete_response::Event;
use tokio::task::JoinSet;

use crate::desk::{Client, Desk, Tls};
use crate::pki::{Authority, Holds, Pair, uri};
use crate::stage::{prompt, within};

const ROUNDS: usize = 40;

/// Calls without a pause until it is told to stop, each fifth time over a new connection; none may fail.
async fn load(desk: Arc<Desk>, identity: Pair, over: Arc<AtomicBool>, calls: Arc<AtomicU64>) {
    while !over.load(Ordering::Relaxed) {
        let mut client: Client = desk.client(Some(&identity));
        for _ in 0..5 {
            client.complete(prompt("sim: tokens=2 first_event=1ms pace=1ms")).await.unwrap();
            calls.fetch_add(1, Ordering::Relaxed);
        }
        let asked = prompt("sim: tokens=20 first_event=1ms pace=2ms");
        let mut events = client.stream_complete(asked).await.unwrap().into_inner();
        let mut last = None;
        while let Some(message) = events.message().await.unwrap() {
            last = message.event;
        }
        assert!(matches!(last, Some(Event::Completed(_))));
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn no_call_fails_when_certificates_are_replaced_under_load_and_new_connections_see_the_new_one() {
    let desk = Arc::new(Desk::asking("").await);
    let identity = desk.authority.client(&[uri("spiffe://prod.example/web")]);
    let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut running = JoinSet::new();
    for _ in 0..4 {
        running.spawn(load(Arc::clone(&desk), identity.clone(), Arc::clone(&over), Arc::clone(&calls)));
    }
    let other = Authority::new();
    let mut good = desk.serial(Some(&identity)).await;
    for round in 0..ROUNDS {
        let next = desk.authority.server();
        let (pair, is_good) = match round % 4 {
            1 => (Pair { key: other.server().key, ..next }, false),
            2 => (Pair { certificate: "nonsense".to_owned(), ..next }, false),
            3 => (desk.authority.server_that(Holds::NoMore), false),
            _ => (next, true),
        };
        desk.folder.put(&pair);
        let reloaded = desk.stage.running.reloading.reload().await.unwrap();
        assert_eq!(reloaded.warnings.is_empty(), is_good, "{round}: {:?}", reloaded.warnings);
        if is_good {
            good = pair.serial;
        }
        assert_eq!(desk.serial(Some(&identity)).await, good, "{round}");
        // Calls of before the change and of after it.
        let enough = calls.load(Ordering::Relaxed) + 20;
        let going_on = async {
            while calls.load(Ordering::Relaxed) < enough {
                assert!(running.try_join_next().is_none(), "the load has ended");
                tokio::task::yield_now().await;
            }
        };
        within("calls go on", going_on).await;
    }
    over.store(true, Ordering::Relaxed);
    within("the load ends", async { while running.join_next().await.transpose().unwrap().is_some() {} }).await;
    println!("{} calls over {ROUNDS} certificates", calls.load(Ordering::Relaxed));
    desk.stage.is_quiet().await;
}

#[tokio::test]
async fn files_that_change_are_found_without_being_told() {
    let desk = Desk::with(|folder| folder.asking("tls", ", reload_interval: 20ms")).await;
    let identity = desk.authority.client(&[uri("spiffe://prod.example/web")]);
    let last = desk.authority.server();
    desk.folder.put(&last);
    let seen = async { while desk.serial(Some(&identity)).await != last.serial {} };
    within("the new certificate is shown", seen).await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_by_a_link_is_followed() {
    // As Kubernetes does it: the files are links through `..data`, a link to the folder of the version in force.
    use std::os::unix::fs::symlink;
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, pair: &Pair| {
        let at = folder.path().join(name);
        std::fs::create_dir(&at).unwrap();
        std::fs::write(at.join("tls.crt"), &pair.certificate).unwrap();
        std::fs::write(at.join("tls.key"), &pair.key).unwrap();
        symlink(name, folder.path().join("..next")).unwrap();
        std::fs::rename(folder.path().join("..next"), folder.path().join("..data")).unwrap();
    };
    let (first, second) = (authority.server(), authority.server());
    version("..1", &first);
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), folder.path().join(file)).unwrap();
    }
    let at = folder.path().display();
    let section = format!("tls: {{ certificate: {at}/tls.crt, key: {at}/tls.key, reload_interval: 20ms }}\n");
    let stage = crate::stage::Stage::with(&section).await;
    let desk = Desk { stage, folder: crate::pki::Folder::with(&first, &authority), authority };
    assert_eq!(desk.serial(None).await, first.serial);
    version("..2", &second);
    let seen = async { while desk.serial(None).await != second.serial {} };
    within("the new certificate is shown", seen).await;
}

#[tokio::test]
async fn other_authorities_of_clients_are_in_force_for_new_connections_and_those_that_stand_stay() {
    let desk = Desk::asking("").await;
    let (ours, others) = (desk.authority.client(&[uri("spiffe://a")]), Authority::new());
    let theirs = others.client(&[uri("spiffe://b")]);
    let mut standing = desk.client(Some(&ours));
    standing.complete(prompt("hello")).await.unwrap();
    desk.folder.write("clients.crt", others.pem());
    assert_eq!(desk.stage.running.reloading.reload().await.unwrap().warnings, Vec::<String>::new());
    assert_eq!(desk.tells(Tls { identity: Some(&theirs), ..Tls::default() }).await, "served");
    let told = desk.tells(Tls { identity: Some(&ours), ..Tls::default() }).await;
    assert_eq!(told, "received fatal alert: UnknownCA");
    standing.complete(prompt("hello")).await.unwrap();
}

#[tokio::test]
async fn a_file_that_never_ends_holds_nothing_up_and_is_told() {
    let desk = Desk::with(|folder| folder.section("tls", ", reload_interval: 20ms")).await;
    let (first, pipe) = (desk.serial(None).await, desk.folder.path().join("pipe"));
    // Whoever opens it waits for somebody who writes.
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, desk.folder.path().join("server.crt")).unwrap();
    for _ in 0..3 {
        let told = desk.stage.running.reloading.reload().await.unwrap().warnings;
        assert!(
            told.iter().any(|warning| warning.contains("server.crt is a named pipe; only a regular file")),
            "{told:?}"
        );
        assert_eq!(desk.serial(None).await, first);
    }
    let series = "completiond_reloads_failed_total{completiond_reload_of=\"certificates\"";
    assert!(crate::desk::figure(&desk.stage.running, series).await >= 3.0);
    let last = desk.authority.server();
    desk.folder.put(&last);
    let seen = async { while desk.serial(None).await != last.serial {} };
    within("the new certificate is shown", seen).await;
}

#[tokio::test]
async fn how_long_a_certificate_holds_is_told_before_it_ends() {
    const SERIES: &str = "completiond_certificate_time_left_seconds{completiond_listener=\"public\"";
    let desk = Desk::plain("").await;
    let left = async || crate::desk::figure(&desk.stage.running, SERIES).await;
    // Until the year 2100.
    assert!(left().await > 2e9);
    desk.folder.put(&desk.authority.server_that(Holds::For(Duration::from_secs(3000))));
    assert_eq!(desk.stage.running.reloading.reload().await.unwrap().warnings, Vec::<String>::new());
    // A text is made once a second.
    let seen = async { while left().await > 3000.0 {} };
    within("the new end is told", seen).await;
    assert!(left().await > 2900.0);
}
