//! Connections that belong to one call at a time, at peers that say what they are told to.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Uri, Version};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::Service;

use super::*;
use crate::count::Total;
use crate::transport::connector::Connector;
use crate::transport::host::Made;
use crate::transport::peers::{raw, until, whole};
use crate::transport::{Body, Departure};

const ASKED: &[u8] = b"asked";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole";
const BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n";
const END: &[u8] = b"0\r\n\r\n";
/// An answer that ends, cut wherever it may be.
const PIECES: &[&[u8]] = &[
    b"HTTP/1.1 200",
    b" OK\r\ntransfer-encoding: chunked\r\n\r\n",
    b"5\r\nbegun\r\n3\r",
    b"\nand\r\n5\r\nend",
    b"ed\r\n0\r\n",
    b"\r\n",
];

fn asked(address: SocketAddr) -> Outgoing {
    let mut request = Request::new(Bytes::from_static(ASKED));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = format!("http://{address}/path?query").parse().unwrap();
    Outgoing { request, connect_timeout: Duration::from_secs(5), proxy: None, departure: Departure::default() }
}

fn client() -> (Exclusive, Count) {
    let open = Count::default();
    (Exclusive::new(Trust::default(), open.clone()), open)
}

/// Begins a stream, and waits for its first piece.
async fn begun(client: &Exclusive, address: SocketAddr) -> Body {
    let mut body = client.send(asked(address)).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
    body
}

/// Reads until a request has come; false where the other side has closed the connection.
async fn request(socket: &mut TcpStream) -> std::io::Result<bool> {
    let mut received = Vec::new();
    while !received.ends_with(ASKED) {
        if socket.read_buf(&mut received).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Answers each request with `pieces`, a moment after each other.
async fn answers(mut socket: TcpStream, pieces: &[&[u8]]) -> std::io::Result<()> {
    while request(&mut socket).await? {
        for piece in pieces {
            socket.write_all(piece).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// A peer at which nobody gets further than to a TLS handshake without an answer.
async fn silent() -> (SocketAddr, Total) {
    raw(|socket| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(socket);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn calls_have_a_connection_one_after_the_other_and_never_together() {
    let (address, accepted) = raw(|socket| answers(socket, &[ANSWER])).await;
    let (client, open) = client();
    for _ in 0..5 {
        assert_eq!(whole(client.send(asked(address)).await).await.unwrap(), "whole");
    }
    assert_eq!((accepted.now(), open.now()), (1, 1));
    for _ in 0..3 {
        for answer in join_all((0..10).map(|_| client.send(asked(address)))).await {
            assert_eq!(whole(answer).await.unwrap(), "whole");
        }
        assert_eq!((accepted.now(), open.now()), (10, 10), "as many as calls at a time");
    }
}

#[tokio::test]
async fn an_answer_that_comes_in_pieces_is_whole_and_its_connection_serves_again() {
    let (address, accepted) = raw(|socket| answers(socket, PIECES)).await;
    let (client, _) = client();
    for _ in 0..3 {
        assert_eq!(whole(client.send(asked(address)).await).await.unwrap(), "begunandended");
    }
    assert_eq!(accepted.now(), 1);
}

#[tokio::test]
async fn an_answer_that_is_cut_is_lost_and_never_whole() {
    let short: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nwhole";
    for cut in [BEGUN, short, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbeg"] {
        let (address, accepted) = raw(move |mut socket| async move {
            request(&mut socket).await?;
            socket.write_all(cut).await
        })
        .await;
        let (client, open) = client();
        let answer = whole(client.send(asked(address)).await).await;
        assert!(matches!(answer, Err(TransportError::Lost(_))), "{answer:?}");
        assert_eq!((accepted.now(), open.now()), (1, 0));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_closes_its_connection_at_once() {
    // Before there is an answer, and within one.
    for pieces in [&[] as &[&[u8]], &[BEGUN]] {
        let closed = Count::default();
        let held = closed.one();
        let held = Arc::new(std::sync::Mutex::new(Some(held)));
        let (address, accepted) = raw(move |socket| {
            let held = Arc::clone(&held);
            async move {
                answers(socket, pieces).await.ok();
                held.lock().unwrap().take();
                Ok(())
            }
        })
        .await;
        let (client, open) = client();
        if pieces.is_empty() {
            let waiting = tokio::spawn(client.send(asked(address)));
            until("it is there", || accepted.now() == 1).await;
            waiting.abort();
        } else {
            drop(begun(&client, address).await);
            assert_eq!(open.now(), 0);
        }
        until("the peer has seen it", || closed.now() == 0).await;
        assert_eq!(open.now(), 0);
    }
}

#[tokio::test]
async fn an_answer_whose_end_is_here_leaves_the_connection_to_others_though_nobody_reads_it() {
    let (address, accepted) = raw(|socket| answers(socket, &[BEGUN, END])).await;
    let (client, _) = client();
    for _ in 0..3 {
        let body = begun(&client, address).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(body);
    }
    assert_eq!(accepted.now(), 1);
}

#[tokio::test]
async fn a_connection_that_the_peer_has_closed_is_not_asked() {
    let (address, accepted) = raw(|mut socket| async move {
        request(&mut socket).await?;
        socket.write_all(ANSWER).await
    })
    .await;
    let (client, open) = client();
    for call in 1..4 {
        assert_eq!(whole(client.send(asked(address)).await).await.unwrap(), "whole");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(accepted.now(), call);
    }
    until("nobody keeps it", || open.now() == 0).await;
}

#[tokio::test]
async fn however_many_the_peer_has_closed_none_is_asked() {
    const MANY: usize = 300;
    let ends = tokio::sync::watch::Sender::new(false);
    let heard = ends.subscribe();
    let (address, accepted) = raw(move |mut socket| {
        let mut heard = heard.clone();
        async move {
            request(&mut socket).await?;
            // So that all of them are there at once.
            tokio::time::sleep(Duration::from_millis(if *heard.borrow() { 0 } else { 500 })).await;
            socket.write_all(ANSWER).await?;
            heard.wait_for(|ends| *ends).await.unwrap();
            Ok(())
        }
    })
    .await;
    // Nobody looks after them, but the call that comes.
    let (client, open) = client();
    client.lines.tended.call_once(|| ());
    for answer in join_all((0..MANY).map(|_| client.send(asked(address)))).await {
        assert_eq!(whole(answer).await.unwrap(), "whole");
    }
    assert_eq!((accepted.now(), open.now()), (300, MANY));
    ends.send_replace(true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(whole(client.send(asked(address)).await).await.unwrap(), "whole");
    assert_eq!(accepted.now(), 301);
    assert!(open.now() <= 1, "{}", open.now());
}

#[tokio::test]
async fn what_was_not_begun_comes_back_and_what_may_have_been_does_not() {
    let (address, _) = raw(|mut socket| async move {
        request(&mut socket).await?;
        Ok(())
    })
    .await;
    let (client, _) = client();
    let host = client.lines.hosts.at(asked(address).request.uri(), Duration::from_secs(5)).unwrap();
    let sent = |departure: &Departure| {
        addressed(asked(address).request).map(|body| Sent::new(Departing::new(body, departure.clone())))
    };
    let departure = Departure::default();
    let mut error = host.seat().await.unwrap().send(sent(&departure)).await.unwrap_err();
    assert!(error.take_message().is_none() && departure.happened());

    let (address, _) = raw(|socket| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(socket);
        Ok(())
    })
    .await;
    let host = client.lines.hosts.at(asked(address).request.uri(), Duration::from_secs(5)).unwrap();
    let line = host.seat().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let departure = Departure::default();
    let mut error = line.send(sent(&departure)).await.unwrap_err();
    assert!(error.take_message().is_some() && !departure.happened());
}

#[tokio::test]
async fn what_comes_behind_an_answer_belongs_to_no_call() {
    let other: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother";
    let both = [ANSWER, other].concat().leak();
    // With the answer, and when the connection is free.
    for pieces in [vec![&*both], vec![ANSWER, other]] {
        let pieces: &[&[u8]] = pieces.leak();
        let (address, accepted) = raw(move |socket| answers(socket, pieces)).await;
        let (client, _) = client();
        for call in 1..4 {
            assert_eq!(whole(client.send(asked(address)).await).await.unwrap(), "whole");
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(accepted.now(), call, "nobody has it again");
        }
    }
}

#[tokio::test]
async fn only_a_connection_that_may_serve_again_does() {
    let cases: [(&[u8], &str, u64); 5] = [
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole", "whole", 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "", 1),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nwhole", "whole", 2),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nwhole", "whole", 2),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nother", "", 2),
    ];
    for (answer, expected, connections) in cases {
        let pieces: &[&[u8]] = vec![answer].leak();
        let (address, accepted) = raw(move |socket| answers(socket, pieces)).await;
        let (client, _) = client();
        for _ in 0..2 {
            assert_eq!(whole(client.send(asked(address)).await).await.unwrap(), expected);
        }
        assert_eq!(accepted.now(), connections, "{expected}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_was_taken_is_told_and_its_connection_is_left() {
    let early = |mut socket: TcpStream| async move {
        socket.read_exact(&mut [0; 1000]).await?;
        socket.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge").await?;
        std::future::pending().await
    };
    let (address, _) = raw(early).await;
    let (client, open) = client();
    let mut outgoing = asked(address);
    *outgoing.request.body_mut() = vec![b'x'; 32 * 1024 * 1024].into();
    let answer = client.send(outgoing).await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "large");
    assert_eq!(open.now(), 0);
}

#[tokio::test]
async fn who_hangs_up_at_once_is_asked_once_and_that_is_told_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, accepted) = (listener.local_addr().unwrap(), Total::default());
    let counted = accepted.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            counted.once();
            drop(socket);
        }
    });
    let (client, _) = client();
    let call = tokio::spawn(client.send(asked(address)));
    // Behind the task that connects: the worker is busy until the connection is there and gone.
    tokio::spawn(async { drop(tokio::spawn(async { std::thread::sleep(Duration::from_millis(200)) })) });
    let answer = call.await.unwrap();
    assert!(matches!(answer, Err(TransportError::Connect(_))), "{answer:?}");
    assert_eq!(accepted.now(), 1);
}

#[tokio::test]
async fn a_call_goes_on_whose_task_has_little_of_its_turn_left() {
    let (address, _) = raw(|socket| answers(socket, PIECES)).await;
    let (client, _) = client();
    for spent in 90..130 {
        let call = async {
            for _ in 0..spent {
                tokio::task::consume_budget().await;
            }
            whole(client.send(asked(address)).await).await.unwrap()
        };
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), call).await.unwrap(), "begunandended");
    }
}

#[tokio::test]
async fn who_comes_later_is_not_told_that_a_connection_took_too_long() {
    let (silent, made) = silent().await;
    let (client, _) = client();
    let call = || {
        let mut outgoing = asked(silent);
        *outgoing.request.uri_mut() = format!("https://{silent}").parse().unwrap();
        client.send(Outgoing { connect_timeout: Duration::from_secs(1), ..outgoing })
    };
    let first = tokio::spawn(call());
    until("it waits", || made.now() == 1).await;
    first.abort();
    tokio::time::sleep(Duration::from_millis(800)).await;
    let begun = Instant::now();
    let answer = call().await;
    assert!(matches!(answer, Err(TransportError::ConnectTimeout(_))), "{answer:?}");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(made.now(), 2);
}

#[tokio::test]
async fn who_waits_has_the_connection_that_another_call_leaves() {
    let (address, _) = raw(|socket| answers(socket, &[ANSWER])).await;
    let (silent, made) = silent().await;
    let (client, open) = client();
    let (address, silent): (Uri, Uri) =
        (format!("http://{address}").parse().unwrap(), format!("https://{silent}").parse().unwrap());
    let host = client.lines.hosts.at(&silent, Duration::from_secs(5)).unwrap();
    let mut outgoing = asked(SocketAddr::from(([0; 4], 0)));
    *outgoing.request.uri_mut() = silent;
    let waiting = tokio::spawn(client.send(outgoing));
    until("it waits", || made.now() == 1).await;
    let trust = Trust::default().towards(&address).unwrap();
    let mut connector = Connector::new(trust, Version::HTTP_11, Duration::from_secs(5), open);
    let line = Box::<Line>::over(connector.call(address).await.unwrap(), &host).await.unwrap();
    line.give_back();
    assert_eq!(whole(waiting.await.unwrap()).await.unwrap(), "whole");
}

#[tokio::test]
async fn what_nobody_uses_is_closed() {
    let (address, _) = raw(|socket| answers(socket, &[ANSWER])).await;
    let open = Count::default();
    let mut hosts = Hosts::new(Trust::default(), open.clone());
    hosts.idle = Duration::from_millis(50);
    let client = Exclusive { lines: Arc::new(Lines { hosts, tended: Once::new() }) };
    for answer in join_all((0..5).map(|_| client.send(asked(address)))).await {
        assert_eq!(whole(answer).await.unwrap(), "whole");
    }
    until("all of them are closed", || open.now() == 0).await;
    assert_eq!(whole(client.send(asked(address)).await).await.unwrap(), "whole");
}

#[tokio::test]
async fn what_a_burst_leaves_behind_is_closed_sooner() {
    let (address, _) = raw(|socket| answers(socket, &[ANSWER])).await;
    let (client, open) = client();
    for answer in join_all((0..30).map(|_| client.send(asked(address)))).await {
        assert_eq!(whole(answer).await.unwrap(), "whole");
    }
    // From here on nothing waits for a socket.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(open.now(), 30);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(open.now(), STANDBY);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(open.now(), STANDBY);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(open.now(), 0);
}

#[tokio::test]
async fn a_large_request_and_a_long_answer_come_whole_however_slowly_they_are_taken() {
    const COUNT: usize = 20_000;
    let large = vec![b'x'; 8 * 1024 * 1024];
    let size = large.len();
    let (address, _) = raw(move |mut socket| async move {
        let (mut received, mut piece) = (0, vec![0; 64 * 1024]);
        while received < size {
            received += socket.read(&mut piece).await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        socket.write_all(BEGUN).await?;
        for number in 0..COUNT {
            socket.write_all(b"5\r\npiece\r\n").await?;
            if number % 1000 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        socket.write_all(END).await?;
        std::future::pending().await
    })
    .await;
    let (client, open) = client();
    let mut outgoing = asked(address);
    *outgoing.request.body_mut() = large.into();
    let mut body = client.send(outgoing).await.unwrap().into_body();
    let mut bytes = 0;
    // Without a rest, as long as there is something: a task's turn ends in between, and it is called again.
    while let Some(frame) = body.frame().await {
        bytes += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(bytes, 5 + 5 * COUNT);
    assert_eq!(open.now(), 1);
}

#[test]
fn a_request_names_its_path_and_its_host() {
    let cases = [
        ("http://host.example/a?b", None, "/a?b", "host.example"),
        ("http://host.example:80/", None, "/", "host.example"),
        ("https://host.example:80", None, "/", "host.example:80"),
        ("https://host.example:443/a", None, "/a", "host.example"),
        ("http://[::1]:8080/a", None, "/a", "[::1]:8080"),
        ("http://host.example/a", Some("other.example"), "/a", "other.example"),
    ];
    for (address, host, path, named) in cases {
        let mut request = Request::new(());
        *request.uri_mut() = address.parse().unwrap();
        request.headers_mut().extend(host.map(|host| (HOST, HeaderValue::from_static(host))));
        let request = addressed(request);
        assert_eq!(
            (request.uri().to_string().as_str(), &request.headers()[HOST]),
            (path, &HeaderValue::from_static(named))
        );
    }
}
