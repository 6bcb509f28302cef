//! What is served behind TLS.

use completiond::proto::stream_complete_response::Event;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use crate::desk::{Client, Desk, Tls, connect, tells};
use crate::pki::{Authority, Folder, Pair};
use crate::stage::{Stage, prompt, within};

#[tokio::test]
async fn whole_answers_and_streams_are_served() {
    let desk = Desk::plain("").await;
    let mut client = desk.client(None);
    assert!(client.complete(prompt("hello")).await.unwrap().into_inner().text.contains("simulated"));
    let mut events = client.stream_complete(prompt("sim: tokens=50 pace=1ms")).await.unwrap().into_inner();
    let mut last = None;
    while let Some(message) = events.message().await.unwrap() {
        last = message.event;
    }
    assert!(matches!(last, Some(Event::Completed(_))));
    // As large as a window, in both directions.
    let large = prompt(&format!("{}\nsim: tokens=2000", "words ".repeat(300_000)));
    assert_eq!(client.complete(large).await.unwrap().into_inner().outcome.unwrap().usage.unwrap().output_tokens, 2000);
}

#[tokio::test]
async fn both_versions_are_spoken_and_http_is_chosen_by_alpn() {
    let desk = Desk::plain("").await;
    for version in [&TLS12, &TLS13] {
        for (offered, chosen) in [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
        {
            let config = Tls { versions: &[version], alpn: offered, ..Tls::default() }.config(&desk.authority);
            let stream = within("a handshake", connect(desk.address(), &config)).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
            assert_eq!(session.protocol_version(), Some(version.version));
        }
    }
    let other = Tls { alpn: &["spdy/3"], ..Tls::default() };
    assert_eq!(desk.tells(other).await, "received fatal alert: NoApplicationProtocol");
}

#[tokio::test]
async fn a_client_of_http_1_gets_an_answer() {
    let desk = Desk::plain("").await;
    let config = Tls { alpn: &["http/1.1"], ..Tls::default() }.config(&desk.authority);
    let mut stream = connect(desk.address(), &config).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("the connection is closed", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 ") && answer.contains("404 Not Found"), "{answer}");
}

#[tokio::test]
async fn a_completion_is_streamed_to_a_client_of_http_1() {
    let desk = Desk::plain("").await;
    let config = Tls { alpn: &["http/1.1"], ..Tls::default() }.config(&desk.authority);
    let mut stream = connect(desk.address(), &config).await.unwrap();
    let asked = "POST /stream HTTP/1.1\r\nhost: server\r\ncontent-type: text/plain\r\nconnection: close\r\n\
                 content-length: 29\r\n\r\nsim: tokens=1 first_event=0ms";
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the connection is closed", stream.read_to_string(&mut answer)).await.unwrap();
    // With the last chunk, by which an answer is whole.
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn keys_of_each_kind_and_form_are_read() {
    let rsa = KeyPair::from_pem(include_str!("keys/rsa.pkcs8.pem")).unwrap();
    let p256 = KeyPair::from_pem(include_str!("keys/p256.pkcs8.pem")).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let (p384_pem, ed25519_pem) = (p384.serialize_pem(), ed25519.serialize_pem());
    for (kind, key, pem) in [
        ("RSA, PKCS#8", &rsa, include_str!("keys/rsa.pkcs8.pem")),
        ("RSA, PKCS#1", &rsa, include_str!("keys/rsa.pkcs1.pem")),
        ("P-256, PKCS#8", &p256, include_str!("keys/p256.pkcs8.pem")),
        ("P-256, SEC1", &p256, include_str!("keys/p256.sec1.pem")),
        ("P-384, PKCS#8", &p384, &p384_pem),
        ("Ed25519, PKCS#8", &ed25519, &ed25519_pem),
    ] {
        let desk = Desk::plain("").await;
        let pair = Pair { key: pem.to_owned(), ..desk.authority.server_with(key) };
        desk.folder.put(&pair);
        let reloaded = desk.stage.running.reloading.reload().await.unwrap();
        assert_eq!(reloaded.warnings, Vec::<String>::new(), "{kind}");
        assert_eq!(desk.serial(None).await, pair.serial, "{kind}");
        assert_eq!(desk.tells(Tls { versions: &[&TLS12], ..Tls::default() }).await, "served", "{kind}");
    }
}

#[tokio::test]
async fn those_between_a_certificate_and_the_root_are_shown_and_taken() {
    let root = Authority::new();
    let between = root.intermediate();
    let chained = |pair: Pair| Pair { certificate: format!("{}{}", pair.certificate, between.pem()), ..pair };
    let folder = Folder::with(&chained(between.server()), &root);
    let stage = Stage::with(&folder.asking("tls", "")).await;
    let (whole, alone) = (chained(between.client(&[])), between.client(&[]));
    for (identity, expected) in [(&whole, "served"), (&alone, "received fatal alert: UnknownCA")] {
        let config = Tls { identity: Some(identity), ..Tls::default() }.config(&root);
        assert_eq!(tells(stage.address(), &config).await, expected);
    }
}

#[tokio::test]
async fn operators_have_a_certificate_of_their_own_and_probes_come_in_plain_text() {
    use completiond::proto::GetPoolRequest;
    use completiond::proto::admin_service_client::AdminServiceClient;
    let desk = Desk::with(|folder| folder.asking("admin_tls", "")).await;
    let admin = crate::stage::tcp(&desk.stage.running.admin);
    let operator = desk.authority.client(&[crate::pki::dns("operator.example")]);
    let mut client = AdminServiceClient::new(desk.channel(admin, Some(&operator)));
    client.get_pool(GetPoolRequest {}).await.unwrap();
    let told = crate::desk::tells(admin, &Tls::default().config(&desk.authority)).await;
    assert_eq!(told, "received fatal alert: CertificateRequired");
    // Callers and probes are not asked.
    desk.stage.wire().await.complete(&prompt("hello"), &[]).await.expect(Code::Ok, "", "");
}

#[tokio::test]
async fn a_server_that_stops_tells_its_connections_and_ends_its_streams_in_order() {
    let desk = Desk::plain("drain_delay: 0\nshutdown_grace: 10s\n").await;
    let mut client: Client = desk.client(None);
    let mut events = client.stream_complete(prompt("sim: tokens=30 pace=10ms")).await.unwrap().into_inner();
    let stop = tokio::spawn(desk.stage.running.stop());
    let mut last = None;
    while let Some(message) = events.message().await.unwrap() {
        last = message.event;
    }
    assert!(matches!(last, Some(Event::Completed(_))));
    within("the server stops", stop).await.unwrap();
}

#[tokio::test]
async fn a_client_of_http_1_that_goes_away_takes_its_call_with_it_whatever_it_sent_behind() {
    let desk = Desk::plain("").await;
    let config = Tls { alpn: &["http/1.1"], ..Tls::default() }.config(&desk.authority);
    let mut stream = connect(desk.address(), &config).await.unwrap();
    let asked = "POST /stream HTTP/1.1\r\nhost: server\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\n\
                 sim: silence and more";
    stream.write_all(asked.as_bytes()).await.unwrap();
    desk.stage.upstream_is(|counts| counts.open == 1).await;
    drop(stream);
    desk.stage.is_quiet().await;
}
