//! Requests that are answered before they were read: the rest of them is read and forgotten.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinHandle;

/// How much is read of a request that was answered before it was read, in bytes, and for how long.
const READ_OUT_BYTES: usize = 64 * 1024;
const READ_OUT: Duration = Duration::from_secs(5);
/// How long its answer waits for that.
const ANSWER_WAITS: Duration = Duration::from_millis(200);

/// What is left of a request that is answered before it was read. It is read and forgotten: otherwise the rest of the stream is
/// reset at once, and there are clients that then lose the answer. The answer waits for that a little: a client that has
/// it before it has sent its request may not notice (curl 7.88, two times in ten).
#[derive(Clone, Debug, Default)]
pub(super) struct Rest(Arc<Mutex<Option<JoinHandle<()>>>>);

impl Rest {
    pub(super) fn read_out(&self, mut body: Incoming) {
        if body.is_end_stream() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let reading = runtime.spawn(async move {
            let mut read = 0;
            let reading = async {
                while let Some(Ok(frame)) = body.frame().await {
                    read += frame.data_ref().map_or(0, Bytes::len);
                    if read > READ_OUT_BYTES {
                        break;
                    }
                }
            };
            // What comes later is reset.
            let _ = tokio::time::timeout(READ_OUT, reading).await;
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }

    /// Waits a little until it was read, if that has begun.
    pub(super) async fn is_read(&self) {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reading) = reading {
            // It goes on without this.
            let _ = tokio::time::timeout(ANSWER_WAITS, reading).await;
        }
    }
}
