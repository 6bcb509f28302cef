//! The TLS handshake of one connection. It runs at the worker, so that accepting waits for nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Certified;
use super::gate::{Gate, Refusal};
use crate::tls;

/// How much is read of a connection whose handshake has failed, in bytes, and for how long: what is not read when a socket is
/// closed resets it, and a reset takes the alert away that says why.
const LAST_BYTES: u64 = 64 * 1024;
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Makes the handshake; none: there is nobody to serve, and it was counted and logged.
pub(super) async fn shake(stream: TcpStream, tls: &tls::Current, gate: &Gate) -> Option<TlsStream<TcpStream>> {
    let accept = TlsAcceptor::from(tls.config()).accept(stream).into_fallible();
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(gate.bounds.handshake_timeout, accept) => shaken,
        () = gate.drain.refusing() => return None,
    };
    match shaken {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err((error, stream))) => {
            refused(&error, gate);
            let _ = tokio::time::timeout(LAST_WORDS, read_out(stream)).await;
            None
        }
        Err(_) => {
            gate.refused.note(Refusal::HandshakeTimeout);
            tracing::debug!("a TLS handshake took too long");
            None
        }
    }
}

fn refused(error: &io::Error, gate: &Gate) {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(of_tls) = of_tls else {
        // Its client has gone: who only looks whether the port is open does that.
        tracing::debug!(%error, "a client has left during the TLS handshake");
        return;
    };
    let refusal = match of_tls {
        rustls::Error::InvalidMessage(_) => Refusal::PlainText,
        _ => Refusal::HandshakeFailed,
    };
    gate.refused.note(refusal);
    tracing::debug!(reason = %of_tls, "a TLS handshake has failed");
}

async fn read_out(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LAST_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

/// What its client's certificate says; none: it has shown none.
pub(super) fn certified(stream: &TlsStream<TcpStream>) -> Option<Certified> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    Some(Certified { names: Arc::from(tls::names(certificate)) })
}
