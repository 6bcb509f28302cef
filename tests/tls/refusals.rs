//! Connections that are not served: what each end is told.

use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::desk::{Desk, Tls, connect, eventually_refused, refused, tells};
use crate::pki::{Authority, Folder, Holds, Pair, uri};
use crate::stage::{Stage, prompt, within};

const NAME: &str = "spiffe://prod.example/web";

#[tokio::test]
async fn who_has_no_good_certificate_is_told_by_an_alert_what_is_wrong_with_it() {
    let desk = Desk::asking("").await;
    let names = [uri(NAME)];
    let ours = &desk.authority;
    let cases: [(&str, Option<Pair>, &str); 6] = [
        ("none", None, "CertificateRequired"),
        ("of another authority", Some(Authority::new().client(&names)), "UnknownCA"),
        ("expired", Some(ours.client_that(&names, Holds::NoMore)), "CertificateExpired"),
        ("not valid yet", Some(ours.client_that(&names, Holds::NotYet)), "CertificateExpired"),
        ("of a server", Some(ours.server()), "UnsupportedCertificate"),
        ("good", Some(ours.client(&names)), "served"),
    ];
    let mut count = 0;
    for (name, identity, alert) in &cases {
        for version in [&TLS12, &TLS13] {
            let told = desk.tells(Tls { identity: identity.as_ref(), versions: &[version], ..Tls::default() }).await;
            let expected = if *alert == "served" { "served" } else { &format!("received fatal alert: {alert}") };
            assert_eq!(told, expected, "{name}, {version:?}");
            count += u64::from(*alert != "served");
            eventually_refused(&desk.stage.running, "handshake_failed", count).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_says_so_and_is_counted() {
    let desk = Desk::plain("").await;
    let told = tells(desk.address(), &Tls::default().config(&Authority::new())).await;
    assert!(told.contains("UnknownIssuer"), "{told}");
    eventually_refused(&desk.stage.running, "handshake_failed", 1).await;
}

#[tokio::test]
async fn a_certificate_of_the_server_that_has_expired_is_refused_by_its_clients() {
    let authority = Authority::new();
    let moment = Holds::For(Duration::from_secs(3));
    let folder = Folder::with(&authority.server_that(moment), &authority);
    let stage = Stage::with(&folder.section("tls", "")).await;
    let expired = async {
        loop {
            // Without a session of before, which would be taken up again.
            let told = tells(stage.address(), &Tls::default().config(&authority)).await;
            if told.contains("certificate expired") {
                break;
            }
            assert_eq!(told, "served");
        }
    };
    within("it expires", expired).await;
    eventually_refused(&stage.running, "handshake_failed", 1).await;
}

#[tokio::test]
async fn plain_text_and_old_versions_and_garbage_are_answered_by_an_alert() {
    let desk = Desk::plain("").await;
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let cases: [(&str, &[u8], &str); 5] = [
        ("HTTP/2 in plain text", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "plain_text"),
        ("HTTP/1.1 in plain text", b"GET / HTTP/1.1\r\nhost: server\r\n\r\n", "plain_text"),
        ("TLS 1.1", &hello, "handshake_failed"),
        ("a record that is no record", b"\x16\x03\x01\xff\xff nonsense", "plain_text"),
        ("garbage", &[0xff; 100_000], "plain_text"),
    ];
    for (name, said, reason) in cases {
        let before = refused(&desk.stage.running, reason).await;
        let mut socket = TcpStream::connect(desk.address()).await.unwrap();
        // It may be closed before all of it is said.
        let _ = socket.write_all(said).await;
        let mut answer = Vec::new();
        within("the connection is closed", socket.read_to_end(&mut answer)).await.unwrap();
        assert_eq!((answer.first(), answer.len(), answer.get(5)), (Some(&0x15), 7, Some(&2)), "{name}: {answer:?}");
        eventually_refused(&desk.stage.running, reason, before + 1).await;
    }
    assert_eq!(desk.tells(Tls::default()).await, "served");
}

#[tokio::test]
async fn tls_against_plain_text_ends_with_words_that_clients_know() {
    let stage = Stage::with("").await;
    let authority = Authority::new();
    let error = connect(stage.address(), &Tls::default().config(&authority)).await.unwrap_err();
    assert!(error.to_string().contains("InvalidContentType"), "{error}");
    eventually_refused(&stage.running, "tls", 1).await;
    stage.wire().await.complete(&prompt("hello"), &[]).await.expect(Code::Ok, "", "");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_closed_and_keeps_nobody_out() {
    let desk = Desk::plain("workers: 1\nconnections: { handshake_timeout: 500ms }\n").await;
    let mut stalled = Vec::new();
    for said in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"].iter().cycle().take(60) {
        let mut socket = TcpStream::connect(desk.address()).await.unwrap();
        socket.write_all(said).await.unwrap();
        stalled.push(socket);
    }
    assert_eq!(desk.tells(Tls::default()).await, "served");
    for mut socket in stalled {
        within("the connection is closed", socket.read_to_end(&mut Vec::new())).await.unwrap();
    }
    assert_eq!(refused(&desk.stage.running, "handshake_timeout").await, 60);
}

#[tokio::test]
async fn a_message_of_a_handshake_without_an_end_is_not_held() {
    let desk = Desk::plain("").await;
    let mut socket = TcpStream::connect(desk.address()).await.unwrap();
    // A client's hello of 16 MiB, in records of 16 KiB.
    let mut record = vec![0x16, 3, 3, 0x40, 0];
    record.extend([1, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    let sending = async {
        while socket.write_all(&record).await.is_ok() {
            record.truncate(5);
            record.resize(5 + 0x4000, 0);
        }
    };
    within("the connection is closed", sending).await;
    eventually_refused(&desk.stage.running, "plain_text", 1).await;
}

#[tokio::test]
async fn who_only_looks_whether_the_port_is_open_is_not_counted() {
    let desk = Desk::plain("").await;
    for _ in 0..10 {
        drop(TcpStream::connect(desk.address()).await.unwrap());
    }
    assert_eq!(desk.tells(Tls::default()).await, "served");
    for reason in ["handshake_failed", "plain_text", "handshake_timeout"] {
        assert_eq!(refused(&desk.stage.running, reason).await, 0, "{reason}");
    }
}
