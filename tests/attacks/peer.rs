//! A client of HTTP/2 that knows no rules: it sends the frames that it is told to, and notes what it hears.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use crate::stage::within;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Of a PING: it is an answer to one.
const ACK: u8 = 1;

/// What it is told when it does too much.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// What a peer has heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Why the server has ended the connection.
    pub(crate) goaway: Option<u32>,
    /// Settings, and what says that its own were taken.
    pub(crate) settings: usize,
    /// Heads and trailers that came.
    pub(crate) heads: usize,
    /// Of them: those with which a stream has ended.
    pub(crate) ends: usize,
    pub(crate) resets: usize,
    pub(crate) pings: usize,
    /// The connection is closed.
    pub(crate) is_over: bool,
}

pub(crate) struct Peer {
    out: OwnedWriteHalf,
    heard: watch::Receiver<Heard>,
}

/// Whether a peer listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ears {
    /// It reads what comes, and answers a PING as everybody does: who does not is held for dead.
    Open,
    /// It reads nothing.
    Closed,
}

impl Peer {
    /// Greets, with these settings.
    pub(crate) async fn greet(address: SocketAddr, settings: &[(u16, u32)], ears: Ears) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (read, mut out) = stream.into_split();
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        let greeting = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &payload)].concat();
        out.write_all(&greeting).await.unwrap();
        let (tell, heard) = watch::channel(Heard::default());
        tokio::spawn(async move {
            match ears {
                Ears::Open => listen(read, &tell).await,
                Ears::Closed => {
                    // The half is held, so that nothing is closed.
                    tell.closed().await;
                    drop(read);
                }
            }
            tell.send_modify(|heard| heard.is_over = true);
        });
        Self { out, heard }
    }

    /// The same with open ears, and waits until the server has greeted as well, so that what comes fast waits here and not at
    /// the system, which lets a connection fall where too many wait.
    pub(crate) async fn meet(address: SocketAddr) -> Self {
        let mut peer = Self::greet(address, &[], Ears::Open).await;
        peer.hears("the server greets", |heard| heard.settings > 0).await;
        peer
    }

    /// Sends frames; false: the connection is closed.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> bool {
        self.out.write_all(frames).await.is_ok()
    }

    /// Waits until it has heard that.
    pub(crate) async fn hears(&mut self, what: &str, wanted: impl FnMut(&Heard) -> bool) -> Heard {
        within(what, self.heard.wait_for(wanted)).await.unwrap().clone()
    }

    pub(crate) fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// Waits until the server has closed the connection, and why.
    pub(crate) async fn is_ended(&mut self) -> Heard {
        self.hears("the connection is closed", |heard| heard.is_over).await
    }
}

async fn listen(mut read: OwnedReadHalf, tell: &watch::Sender<Heard>) {
    let mut head = [0; 9];
    while read.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if read.read_exact(&mut payload).await.is_err() {
            return;
        }
        if head[3] == PING && head[4] & ACK == 0 {
            // A connection that takes no 17 bytes is not an idle one.
            let _ = read.as_ref().try_write(&frame(PING, ACK, 0, &payload));
        }
        tell.send_modify(|heard| match head[3] {
            SETTINGS => heard.settings += 1,
            HEADERS => {
                heard.heads += 1;
                heard.ends += usize::from(head[4] & END_STREAM > 0);
            }
            RESET => heard.resets += 1,
            PING => heard.pings += 1,
            GOAWAY => heard.goaway = Some(u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]])),
            _ => {}
        });
    }
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A header as HPACK writes one that no table shall keep, without Huffman's code.
pub(crate) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// A header that the table shall keep.
pub(crate) fn kept(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x40][..], &text(name), &text(value)].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    if bytes.len() < 127 {
        encoded.push(u8::try_from(bytes.len()).unwrap());
    } else {
        encoded.push(127);
        let mut rest = bytes.len() - 127;
        while rest >= 128 {
            encoded.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        encoded.push(u8::try_from(rest).unwrap());
    }
    encoded.extend(bytes);
    encoded
}

/// The head of a call to `path` with more headers.
pub(crate) fn head(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    block.extend([&[0x04][..], &text(path.as_bytes())].concat());
    block.extend([&[0x01][..], &text(b"server")].concat());
    block.extend(literal(b"content-type", b"application/grpc"));
    block.extend(literal(b"te", b"trailers"));
    for (name, value) in more {
        block.extend(literal(name.as_bytes(), value.as_bytes()));
    }
    block
}

/// The numbers of streams that a client begins.
pub(crate) fn streams() -> impl Iterator<Item = u32> {
    (0..).map(|number| number * 2 + 1)
}
