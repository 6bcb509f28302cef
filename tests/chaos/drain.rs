//! A first choice that fails every call in a way that is no outage: calls are answered elsewhere, and not at the price of
//! the retry budget, which would end with failures while somebody is well.

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::pair::{Pair, Peer};
use crate::support::{self, PROTOCOLS, Server};
use crate::way::{Saw, Way};

/// Far more than the budget pays for when each call takes a token of it: a success puts back less than half of one.
const CALLS: usize = 400;

#[tokio::test]
async fn a_first_choice_that_fails_every_call_takes_no_answer_from_callers_while_another_is_well() {
    for protocol in PROTOCOLS {
        // The limit of the rate without a hint, with one that helps nobody, and answers that begin and break.
        for behaviour in ["error=429", "error=429 retry_after_ms=1", "error_after=6 pace=20ms"] {
            let pair = Pair::with(protocol, Peer::Next, "retry: { base_delay: 1ms }").await;
            pair.upstreams.a.play_always(behaviour);
            let model = &pair.upstreams.model();
            let calls = stream::iter(0..CALLS).map(|_| Way::Folded.ask(&pair.server, model)).buffer_unordered(10);
            let failed: Vec<Saw> = calls.filter(|saw| std::future::ready(!saw.is_answer())).collect().await;
            let [a, b] = pair.upstreams.received();
            println!("{protocol:<10} {behaviour:<28} {} of {CALLS} calls failed, A was asked {a} times", failed.len());
            assert!(failed.is_empty(), "{protocol} {behaviour}: {} failed, as {:?}", failed.len(), failed[0].lines());
            assert_eq!(b, CALLS, "{protocol} {behaviour}");
            assert!(a < CALLS / 2, "{protocol} {behaviour}: A was asked {a} times");
        }
    }
}

/// An upstream whose refusals never end: a head, all words, and then nothing of the rest that the head promises.
async fn endless(refusal: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(refusal.as_bytes()).await;
                while socket.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {}
            });
        }
    });
    url
}

#[tokio::test]
async fn a_refusal_that_never_ends_is_understood_by_what_came_of_it() {
    let refusal = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n\
        {\"error\":{\"message\":\"no\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}";
    let url = endless(refusal).await;
    let provider = support::provider("a", "openai", &url);
    let server = Server::start(&format!("providers:\n{provider}retry: {{ max_attempts: 1 }}\n")).await;
    for way in Way::ALL {
        let saw = way.ask(&server, "a/x").await;
        // Who waits for its end has nothing but the deadline to tell.
        let Saw::Refusal(failure) = &saw else { panic!("{saw:?}") };
        assert_eq!(failure.reason, "PROVIDER_QUOTA_EXHAUSTED", "{way:?}");
    }
}
