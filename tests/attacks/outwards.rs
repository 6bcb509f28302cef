//! What a caller says reaches upstreams in bodies alone, and addresses in it are fetched by nobody here.

use std::net::SocketAddr;

use completiond::proto::content_block::Block;
use completiond::proto::media::Source;
use completiond::proto::{ContentBlock, Document, Image, Media, Message, ProviderOptions, Role};
use tokio::net::TcpListener;
use tonic::Code;

use crate::paper::measured;
use crate::server::{Server, ask, shown};
use crate::stage::Wire;
use crate::upstream::Received;

fn media(uri: &str) -> Option<Media> {
    Some(Media { mime_type: "image/png".to_owned(), source: Some(Source::Uri(uri.to_owned())) })
}

fn says(block: Block) -> Message {
    let block = ContentBlock { block: Some(block), ..ContentBlock::default() };
    Message { role: Role::User.into(), content: vec![block], ..Message::default() }
}

#[tokio::test]
async fn addresses_in_a_request_are_passed_on_or_refused_and_never_fetched() {
    let server = Server::start().await;
    let wire = Wire::connect(server.public).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = trap.local_addr().unwrap();
    let addresses = [
        format!("http://{here}/image.png"),
        format!("http://localhost:{}/image.png", here.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", here.port()),
        format!("http://2130706433:{}/", here.port()),
        format!("gopher://{here}/_GET"),
        format!("ftp://{here}/"),
        format!("http://user:password@{here}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "unix:///run/secret.sock".to_owned(),
    ];
    let mut passed = 0;
    for address in &addresses {
        let image = Image { media: media(address), ..Image::default() };
        let document = Document { media: media(address), ..Document::default() };
        for block in [Block::Image(image), Block::Document(document)] {
            server.upstream.forget();
            let mut asked = ask("");
            asked.messages.push(says(block));
            let end = wire.complete(&asked, &shown()).await;
            match server.upstream.received().as_slice() {
                [] => assert_ne!(end.code, Code::Ok, "{address}: {end:?}"),
                [request] => {
                    // Word for word, to the provider that the configuration names, who may fetch it.
                    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
                    assert_eq!(body["messages"][0]["content"][0]["image_url"]["url"], **address);
                    passed += 1;
                }
                several => panic!("{several:?}"),
            }
        }
    }
    for odd in ["javascript:alert(1)", "/etc/passwd", "http://a b/", "http://a\r\nhost: b/", "http://a\0b/", "data:,x"]
    {
        let mut asked = ask("");
        asked.messages.push(says(Block::Image(Image { media: media(odd), ..Image::default() })));
        wire.complete(&asked, &shown()).await.expect(Code::InvalidArgument, "INVALID_REQUEST", "");
    }
    let came = tokio::select! {
        biased;
        came = trap.accept() => Some(came),
        () = server.serves() => None,
    };
    assert!(came.is_none(), "somebody came to the trap");
    let told = format!(
        "{} addresses in images and documents: {passed} passed on word for word, the others refused, none fetched",
        addresses.len()
    );
    measured("addresses_in_a_request_are_passed_on_or_refused_and_never_fetched", &told);
}

/// What may stand in the head of a request to an upstream, whatever a caller says.
const HEADERS: [&str; 8] =
    ["content-type", "user-agent", "accept", "traceparent", "tracestate", "host", "content-length", "x-team"];

/// What would be another path, another header or another host, where it is not taken as a text.
const TAILS: [&str; 23] = [
    "../../admin",
    "..%2f..%2fadmin",
    "m?x=1",
    "m#f",
    "m&x",
    "m;x",
    "m\\..\\x",
    "//host/x",
    "http://host/",
    "@host",
    "m%0d%0ax-evil:%201",
    "m%00",
    "m\r\nx-evil: 1",
    "m\nx-evil: 1",
    "m\0",
    "m x",
    "m\u{2028}x",
    "\u{202e}m",
    "é",
    "${TEST_KEY}",
    "{{7*7}}",
    "'\"`<>|",
    "m/../../v2",
];

/// Headers of calls, which are nobody's business upstream but for a trace.
const SENT: [(&str, &str); 9] = [
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("traceparent", "00-x-y-01 evil"),
    ("tracestate", "evil"),
    ("baggage", "evil=1"),
    ("x-evil", "1"),
    ("x-forwarded-host", "evil"),
    ("cookie", "evil"),
    ("openai-organization", "evil"),
    ("user-agent", "evil"),
];

/// Whether a request is as it should be, whatever a caller has said.
fn is_as_it_should_be(received: &Received, upstream: SocketAddr) {
    assert_eq!(received.head[0], "POST /v1/chat/completions HTTP/1.1");
    for line in &received.head[1..] {
        let name = line.split(':').next().unwrap();
        assert!(HEADERS.contains(&name) && (name == "x-team" || !line.contains("evil")), "{line}");
    }
    assert!(received.head.contains(&format!("host: {upstream}")), "{:?}", received.head);
    serde_json::from_str::<serde_json::Value>(&received.body).unwrap();
}

#[tokio::test]
async fn nothing_that_a_caller_says_reaches_the_request_line_or_the_headers_of_an_upstream() {
    let server = Server::with("provider_option_headers: [x-team]").await;
    let wire = Wire::connect(server.public).await;
    let (mut asked, mut passed) = (0, 0);
    let mut call = async |request, headers: Vec<(&str, &str)>| {
        server.upstream.forget();
        let headers = [&shown()[..], &headers].concat();
        let end = wire.complete(&request, &headers).await;
        asked += 1;
        let received = server.upstream.received();
        received.iter().for_each(|request| is_as_it_should_be(request, server.upstream.address));
        passed += received.len();
        assert!(received.len() <= 1, "one call is one request");
        end
    };
    for tail in TAILS {
        for name in [format!("up/{tail}"), tail.to_owned(), format!("../up/{tail}"), format!("UP/{tail}")] {
            call(completiond::proto::CompleteRequest { model: name, ..ask("hello") }, vec![]).await;
        }
        let mut request = ask("hello");
        (request.user, request.conversation_id) = (tail.to_owned(), tail.to_owned());
        request.service_tier = tail.to_owned();
        call(request, vec![]).await;
        // A header that the configuration allows takes text, and no other header does.
        for (name, is_allowed) in [
            ("x-team", true),
            ("x-other", false),
            ("host", false),
            ("x-team\r\nx-evil", false),
            ("authorization", false),
        ] {
            let mut request = ask("hello");
            let headers = [(name.to_owned(), tail.to_owned())].into();
            request.provider_options.insert("openai".to_owned(), ProviderOptions { headers, ..Default::default() });
            let end = call(request, vec![]).await;
            assert!(end.code == Code::InvalidArgument || is_allowed, "{name:?}: {tail:?}: {end:?}");
        }
    }
    for (name, value) in SENT {
        call(ask("hello"), vec![(name, value)]).await.expect(Code::Ok, "", "");
    }
    assert!(passed > 50, "{passed}");
    let told = format!(
        "{asked} calls, {passed} of them passed on, each as one request with the line and headers that it should have"
    );
    measured("nothing_that_a_caller_says_reaches_the_request_line_or_the_headers_of_an_upstream", &told);
}
