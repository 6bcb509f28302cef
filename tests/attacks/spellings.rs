//! A listener that others reach asks who comes, however its address is spelt.

use std::path::Path;

use completiond::config::{Config, Overrides, Sources};
use completiond::proto::GetPoolRequest;
use completiond::proto::admin_service_client::AdminServiceClient;
use tonic::transport::Endpoint;

use crate::paper::measured;
use crate::server::KEY;
use crate::stage::{Stage, tcp};

/// Whether a server would start with these addresses, and nobody named.
fn starts(key: &str, address: &str) -> Result<(), String> {
    let text = format!("{key}: \"{address}\"\nproviders: [{{ id: sim, preset: simulator }}]");
    let sources = Sources::new(&|_| None);
    let config = Config::parse(&text, Path::new("test.yaml"), &Overrides::default(), &sources);
    config.map(drop).map_err(|problems| problems.to_string())
}

#[test]
fn whoever_is_reached_by_others_asks_who_comes_however_its_address_is_spelt() {
    let open = [
        "0.0.0.0:1",
        "[::]:1",
        "[::0]:1",
        "[0:0:0:0:0:0:0:0]:1",
        "[::ffff:0.0.0.0]:1",
        "0:1",
        "00.0.0.0:1",
        "0x0:1",
        "192.0.2.7:1",
        "10.0.0.1:1",
        "169.254.1.1:1",
        "[fe80::1]:1",
        "[2001:db8::1]:1",
        "gateway:1",
        "gateway.example:1",
        // These are this machine, and are not known to be: better once too often.
        "[::ffff:127.0.0.1]:1",
        "[::ffff:7f00:1]:1",
        "127.1:1",
        "2130706433:1",
        "0x7f000001:1",
        "LOCALHOST:1",
        "localhost.:1",
        "localhost.localdomain:1",
        "ip6-localhost:1",
        "127.0.0.1.example:1",
        "localhost.example:1",
    ];
    for address in open {
        for key in ["listen", "admin_listen"] {
            let problems = starts(key, address).unwrap_err();
            assert!(problems.contains("which others reach"), "{key}: {address}: {problems}");
        }
    }
    for address in ["*:1", ":1", "[::1]", "::1:1", "[::1%lo]:1", "127.0.0.1:1:1", "unix:relative", "http://127.0.0.1:1"]
    {
        assert!(starts("admin_listen", address).is_err(), "{address}");
    }
    for address in
        ["127.0.0.1:1", "127.255.255.254:1", "[::1]:1", "[0:0:0:0:0:0:0:1]:1", "localhost:1", "unix:/run/admin.sock"]
    {
        assert_eq!(starts("admin_listen", address), Ok(()), "{address}");
    }
    let told = format!("{} spellings of an address that others reach, or may: none starts without callers", open.len());
    measured("whoever_is_reached_by_others_asks_who_comes_however_its_address_is_spelt", &told);
}

#[tokio::test]
async fn operators_are_asked_for_a_key_where_the_address_that_is_bound_is_not_this_machines_alone() {
    let hash = completiond::callers::KeyHash::of(KEY);
    let callers = format!("callers: [{{ name: chief, keys: ['{hash}'], admin: true }}]\n");
    let mut asked = Vec::new();
    for address in ["0.0.0.0:0", "[::]:0", "[::ffff:127.0.0.1]:0", "127.1:0"] {
        let host = address.trim_end_matches(":0").trim_matches(['[', ']']);
        if std::net::TcpListener::bind((host, 0)).is_err() {
            // This machine has no such addresses.
            continue;
        }
        let stage = Stage::set("openai", &callers, |config| config.admin_listen = address.parse().unwrap()).await;
        let near = format!("http://127.0.0.1:{}", tcp(&stage.running.admin).port());
        let mut client = AdminServiceClient::new(Endpoint::try_from(near).unwrap().connect_lazy());
        let told = client.get_pool(GetPoolRequest {}).await;
        // What is bound to this machine's own address by another name is this machine's.
        let is_near = tcp(&stage.running.admin).ip().is_loopback();
        assert_eq!(told.is_ok(), is_near, "{address}: {told:?}");
        asked.push(address);
    }
    assert!(!asked.is_empty());
    measured(
        "operators_are_asked_for_a_key_where_the_address_that_is_bound_is_not_this_machines_alone",
        &format!("bound to {}", asked.join(", ")),
    );
}
