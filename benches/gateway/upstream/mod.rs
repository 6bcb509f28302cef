//! A provider that is never the slowest: answers are made at the start, and a request is only looked at for its shape.

mod answers;
mod http2;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::Failure;
use crate::shapes::{Delivery, Shape, Wire};
use crate::workers;
use answers::Answers;
pub(crate) use answers::{PIECE, PIECES};

/// What stands between the head of a message and its body.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// What a request may have, in bytes.
const LARGEST: usize = 1024 * 1024;

/// Serves until the process is ended.
pub(crate) fn run(listen: SocketAddr, threads: usize) -> Result<(), Failure> {
    let answers = Arc::new(Answers::default());
    workers::serve(listen, threads, move |mut connections| {
        let answers = Arc::clone(&answers);
        async move {
            while let Some(stream) = workers::next(&mut connections).await {
                let answers = Arc::clone(&answers);
                tokio::spawn(async move {
                    // A client that goes away ends its connection, and nothing else.
                    let _ = either(stream, answers).await;
                });
            }
        }
    })
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// What a protocol has.
    Json(Wire),
    /// The answer of OpenAI's protocol as the only field of a protobuf message, for a load that reads what comes. It is asked for
    /// at `/`, which is where the reference asks when its method has no path.
    Message,
}

/// What a request asks for.
struct Asked {
    form: Form,
    delivery: Delivery,
    shape: Shape,
}

/// Serves what the client speaks.
async fn either(stream: TcpStream, answers: Arc<Answers>) -> Result<(), Failure> {
    let mut beginning = [0; http2::PREFACE.len()];
    stream.peek(&mut beginning).await?;
    if beginning == http2::PREFACE { http2::serve(stream, answers).await } else { serve(stream, &answers).await }
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> Result<(), Failure> {
    let mut received = Vec::with_capacity(16 * 1024);
    loop {
        let Some(end) = whole_request(&received)? else {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let asked =
            Asked::in_whole(received.get(..end).unwrap_or_default()).ok_or("a request whose shape is not known")?;
        received.drain(..end);
        answer(&mut stream, answers, &asked).await?;
    }
}

async fn answer(stream: &mut TcpStream, answers: &Answers, asked: &Asked) -> Result<(), Failure> {
    let now = Instant::now();
    if !asked.shape.delay.is_zero() {
        sleep_until(now + asked.shape.delay).await;
    }
    if asked.delivery == Delivery::Whole {
        return Ok(stream.write_all(answers.whole(asked.form)).await?);
    }
    let Form::Json(wire) = asked.form else { return Err("a message comes whole".into()) };
    let parts = answers.stream(wire);
    if asked.shape.pace.is_zero() {
        return Ok(stream.write_all(&parts.burst(asked.shape.events)).await?);
    }
    stream.write_all(&[parts.beginning(), parts.piece()].concat()).await?;
    let (mut next, mut peeked) = (Instant::now(), [0]);
    for _ in 1..asked.shape.events {
        next += asked.shape.pace;
        tokio::select! {
            () = sleep_until(next) => {}
            // Nothing is asked meanwhile: it has gone.
            gone = stream.peek(&mut peeked) => {
                gone?;
                return Ok(());
            }
        }
        stream.write_all(parts.piece()).await?;
    }
    Ok(stream.write_all(parts.end()).await?)
}

/// Where the first request ends; none: not all of it has come.
fn whole_request(received: &[u8]) -> Result<Option<usize>, Failure> {
    if received.len() > LARGEST {
        return Err("a request that is too large".into());
    }
    let Some(head_end) = find(received, HEAD_END).map(|at| at + HEAD_END.len()) else { return Ok(None) };
    let head = std::str::from_utf8(received.get(..head_end).unwrap_or_default())?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head_end + length.ok_or("a request without a length")?;
    Ok((received.len() >= end).then_some(end))
}

impl Asked {
    /// What a request of HTTP/1.1 asks for, from its first line to its end.
    fn in_whole(request: &[u8]) -> Option<Self> {
        let path = request.strip_prefix(b"POST ")?;
        let path = path.get(..path.iter().position(|byte| *byte == b' ')?)?;
        Self::of(path, request.get(find(request, HEAD_END)?..)?)
    }

    /// What a body asks for at a path.
    fn of(path: &[u8], body: &[u8]) -> Option<Self> {
        let wire = Wire::ALL.into_iter().find(|wire| path == wire.path().as_bytes());
        let form = wire.map(Form::Json).or_else(|| (path == b"/").then_some(Form::Message))?;
        let delivery = if find(body, br#""stream":true"#).is_some() { Delivery::Stream } else { Delivery::Whole };
        let name = body.get(find(body, br#""bench-"#)? + 1..)?;
        let name = name.get(..name.iter().position(|byte| *byte == b'"')?)?;
        Some(Self { form, delivery, shape: Shape::of_model(std::str::from_utf8(name).ok()?)? })
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
}
