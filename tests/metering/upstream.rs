//! An upstream that knows what it has made. It counts in tokens of its own, whose lengths nobody else knows, on real
//! sockets and in both wire formats.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Tokens, as a vocabulary has them: some of one byte, some of many, and some that are no English.
const WORDS: [&str; 16] = [
    " the",
    " of",
    ",",
    " counting",
    " tokens",
    ".",
    " un",
    "believ",
    "able",
    " 42",
    " für",
    " 日本",
    "\n",
    " a",
    " something",
    " else",
];
/// How long it takes to make one frame: a caller that goes away leaves little behind that it has not read.
const PACE: Duration = Duration::from_millis(1);

/// What one request has made it do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Tokens of the prompt.
    pub(crate) input: u32,
    /// Tokens of the answer that were made.
    pub(crate) output: u32,
    /// The same in bytes.
    pub(crate) bytes: usize,
    /// The answer is still being made.
    pub(crate) running: bool,
    /// Nothing more is made, and nothing is said.
    pub(crate) held: bool,
}

type Books = Arc<Mutex<BTreeMap<String, Vec<Work>>>>;

/// The upstream. It stops when it is dropped.
pub(crate) struct Knowing {
    address: SocketAddr,
    books: Books,
    serving: JoinHandle<()>,
}

impl Drop for Knowing {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Knowing {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, books) = (listener.local_addr().unwrap(), Books::default());
        let shared = Arc::clone(&books);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let books = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&books), request));
                // Connections end in errors whenever an answer is cut or a client goes away.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, books, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was done for the call with this name, request by request.
    pub(crate) fn work(&self, call: &str) -> Vec<Work> {
        self.books.lock().unwrap().get(call).cloned().unwrap_or_default()
    }

    /// The bytes of the answer to the call with this name, when no more are made of it and nothing is said.
    pub(crate) fn held(&self, call: &str) -> Option<usize> {
        self.work(call).last().filter(|work| work.held).map(|work| work.bytes)
    }

    /// Whether nothing is being made any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.books.lock().unwrap().values().flatten().all(|work| !work.running)
    }
}

/// What a prompt asks for in its first words: `NAME tokens=N`, and `cut=N`, `torn=N` or `held=N`.
pub(crate) struct Wish {
    pub(crate) name: String,
    tokens: u32,
    /// What happens after so many tokens.
    broken: Option<(u32, Breaks)>,
}

/// How an answer breaks.
#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    /// The bytes end as if they were complete.
    Cut,
    /// The connection is lost.
    Torn,
    /// Nothing more comes.
    Held,
}

impl Wish {
    fn read(prompt: &str) -> Self {
        let words: Vec<&str> = prompt.split_whitespace().collect();
        let number = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.parse().ok());
        let ways = [("cut=", Breaks::Cut), ("torn=", Breaks::Torn), ("held=", Breaks::Held)];
        let broken = ways.into_iter().find_map(|(key, breaks)| Some((number(key)?, breaks)));
        Self { name: words[0].to_owned(), tokens: number("tokens=").unwrap(), broken }
    }
}

async fn answer(books: Books, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let is_messages = request.uri().path().ends_with("/messages");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let content = &body["messages"][0]["content"];
    let prompt = content.as_str().or_else(|| content[0]["text"].as_str()).unwrap();
    let wish = Wish::read(prompt);
    // Its own way of counting: so many bytes to a token, and some for what surrounds the prompt.
    let input = u32::try_from(prompt.len() * 10 / 37).unwrap() + 9;
    let place = {
        let mut books = books.lock().unwrap();
        let works = books.entry(wish.name.clone()).or_default();
        works.push(Work { input, output: 0, bytes: 0, running: true, held: false });
        works.len() - 1
    };
    let desk = Desk { books, name: wish.name.clone(), place };
    let frames = frames(desk, wish, if is_messages { messages } else { chat }).boxed();
    Ok(Response::builder().header("content-type", "text/event-stream").body(StreamBody::new(frames)).unwrap())
}

type Body = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Lost>>>;

/// The connection is lost.
#[derive(Debug, thiserror::Error)]
#[error("lost")]
pub(crate) struct Lost;

/// Where what is done for a request is written down. Dropped, nothing more is done.
struct Desk {
    books: Books,
    name: String,
    place: usize,
}

impl Desk {
    fn note(&self, change: impl FnOnce(&mut Work)) -> Work {
        let mut books = self.books.lock().unwrap();
        let work = &mut books.get_mut(&self.name).unwrap()[self.place];
        change(work);
        work.clone()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.note(|work| work.running = false);
    }
}

/// What comes in a frame.
enum Step<'a> {
    Start,
    Text(&'a str),
    End,
}

/// The frames of a step in a wire format, when so much was done.
type Wire = fn(&Step<'_>, &Work) -> String;

fn frames(desk: Desk, wish: Wish, wire: Wire) -> impl Stream<Item = Result<Frame<Bytes>, Lost>> {
    let dice = StdRng::seed_from_u64(wish.name.bytes().map(u64::from).fold(7, |seed, byte| seed * 31 + byte));
    let frame = |text: String| Ok(Frame::data(Bytes::from(text)));
    stream::unfold(Some((desk, wish, dice, false)), move |state| async move {
        let (desk, wish, mut dice, begun) = state?;
        if !begun {
            let work = desk.note(|_| {});
            return Some((frame(wire(&Step::Start, &work)), Some((desk, wish, dice, true))));
        }
        tokio::time::sleep(PACE).await;
        let made = desk.note(|_| {}).output;
        match wish.broken.filter(|(after, _)| made >= *after) {
            Some((_, Breaks::Cut)) => return None,
            Some((_, Breaks::Torn)) => return Some((Err(Lost), None)),
            Some((_, Breaks::Held)) => std::future::pending().await,
            None => {}
        }
        if made >= wish.tokens {
            let work = desk.note(|_| {});
            return Some((frame(wire(&Step::End, &work)), None));
        }
        let (text, count) = some_tokens(&mut dice, wish.tokens - made);
        let work = desk.note(|work| {
            work.output += count;
            // Known before the last frame leaves: whoever has read that need not wait for a word more.
            work.held = wish.broken.is_some_and(|(after, breaks)| breaks == Breaks::Held && work.output >= after);
            work.bytes += text.len();
        });
        Some((frame(wire(&Step::Text(&text), &work)), Some((desk, wish, dice, true))))
    })
}

/// One to four tokens, of which no more than `most`.
fn some_tokens(dice: &mut impl Rng, most: u32) -> (String, u32) {
    let count = dice.random_range(1..=4).min(most);
    ((0..count).map(|_| WORDS[dice.random_range(0..WORDS.len())]).collect(), count)
}

fn chat(step: &Step<'_>, work: &Work) -> String {
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        json!({ "id": "c", "object": "chat.completion.chunk", "model": "knowing", "choices": [choice] })
    };
    match step {
        Step::Start => format!("data: {}\n\n", chunk(json!({ "role": "assistant", "content": "" }), None)),
        Step::Text(text) => format!("data: {}\n\n", chunk(json!({ "content": text }), None)),
        Step::End => {
            let (input, output) = (work.input, work.output);
            let usage = json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output });
            let told = json!({ "object": "chat.completion.chunk", "choices": [], "usage": usage });
            format!("data: {}\n\ndata: {told}\n\ndata: [DONE]\n\n", chunk(json!({}), Some("stop")))
        }
    }
}

fn messages(step: &Step<'_>, work: &Work) -> String {
    let event = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    match step {
        Step::Start => {
            let usage = json!({ "input_tokens": work.input, "output_tokens": 1 });
            let message = json!({ "id": "m", "type": "message", "role": "assistant", "content": [],
                "model": "knowing", "stop_reason": null, "usage": usage });
            let block = json!({ "type": "text", "text": "" });
            event(json!({ "type": "message_start", "message": message }))
                + &event(json!({ "type": "content_block_start", "index": 0, "content_block": block }))
        }
        Step::Text(text) => {
            let delta = json!({ "type": "text_delta", "text": text });
            event(json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
        }
        Step::End => {
            let usage = json!({ "output_tokens": work.output });
            event(json!({ "type": "content_block_stop", "index": 0 }))
                + &event(json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": usage }))
                + &event(json!({ "type": "message_stop" }))
        }
    }
}
