//! What is left of a request that is answered before it was read.
//!
//! It is read and forgotten: otherwise the rest of the stream is reset at once, and there are clients that then lose the
//! answer. The answer waits for that a little: a client that has it before it has sent its request may not notice
//! (curl 7.88, two times in ten). That is a courtesy to clients that mean well, and there is a bound on it: whoever is not let
//! in could have any number of requests that never end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;
use tonic::body::Body;

use crate::count::Count;

/// How much is read of a request, in bytes, and for how long.
const BYTES: usize = 64 * 1024;
const TIME: Duration = Duration::from_secs(5);
/// How long its answer waits for that.
const ANSWER_WAITS: Duration = Duration::from_millis(200);
/// How many are read at a time.
const MOST: usize = 1024;

/// How many requests are read after they were answered. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct Unread(Count);

impl Unread {
    /// What may be left of one.
    pub(super) fn rest(&self) -> Rest {
        Rest { reading: Arc::default(), unread: self.clone() }
    }

    /// Reads a little of one whose answer is there already.
    pub(in crate::edge) async fn read_a_little(&self, body: Body) {
        let rest = self.rest();
        rest.read_out(body);
        rest.is_read().await;
    }
}

/// What may be left of a request. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    reading: Arc<Mutex<Option<JoinHandle<()>>>>,
    unread: Unread,
}

impl Rest {
    /// Reads it, if there is anything and not too many are read already.
    pub(super) fn read_out(&self, mut body: Body) {
        if body.is_end_stream() {
            return;
        }
        let Some(held) = self.unread.0.one_of(MOST) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let reading = runtime.spawn(async move {
            let mut read = 0;
            let reading = async {
                while let Some(Ok(frame)) = body.frame().await {
                    read += frame.data_ref().map_or(0, Bytes::len);
                    if read > BYTES {
                        break;
                    }
                }
            };
            // What comes later is reset.
            let _ = tokio::time::timeout(TIME, reading).await;
            drop(held);
        });
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }

    /// Waits a little until it was read, if that has begun.
    pub(super) async fn is_read(&self) {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reading) = reading {
            // It goes on without this.
            let _ = tokio::time::timeout(ANSWER_WAITS, reading).await;
        }
    }
}
