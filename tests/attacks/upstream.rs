//! An upstream that keeps every request as the bytes that came, so that nothing which parses them tidies them up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came: its head, line by line, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: Vec<String>,
    pub(crate) body: String,
}

/// The upstream. It answers whatever it is asked with one word, and stops when it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    serving: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, received) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let kept = Arc::clone(&received);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { address, received, serving }
    }

    /// All that has come.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.received.lock().unwrap().clear();
    }
}

async fn serve(mut stream: TcpStream, kept: Arc<Mutex<Vec<Received>>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None if stream.read_buf(&mut bytes).await? == 0 => return Ok(()),
                None => {}
            }
        };
        let head: Vec<String> = String::from_utf8_lossy(&bytes[..end]).split("\r\n").map(str::to_owned).collect();
        let length =
            head.iter().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |it| it.parse().unwrap());
        let whole = end + 4 + length;
        while bytes.len() < whole {
            stream.read_buf(&mut bytes).await?;
        }
        let body = String::from_utf8_lossy(&bytes[end + 4..whole]).into_owned();
        bytes.drain(..whole);
        kept.lock().unwrap().push(Received { head, body });
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}
