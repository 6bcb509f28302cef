//! One stream of items and results.

use std::fmt;
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use crate::cli::client::Connection;
use crate::proto::stream_batch_complete_request::Message;
use crate::proto::{
    BatchItem, BatchSettings, CompleteRequest, StreamBatchCompleteRequest, StreamBatchCompleteResponse,
};

type Results = Streaming<StreamBatchCompleteResponse>;

/// A stream, from its beginning to its end.
pub(super) struct Wire {
    outgoing: mpsc::Sender<StreamBatchCompleteRequest>,
    incoming: Incoming,
    /// When it was begun.
    pub(super) began: Instant,
}

enum Incoming {
    /// Its head has not come yet: a server may wait for the first result.
    Opening(Pin<Box<dyn Future<Output = Result<Response<Results>, Status>> + Send>>),
    Open(Box<Results>),
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

/// What comes from the server.
#[derive(Debug)]
pub(super) enum Heard {
    Result(Box<StreamBatchCompleteResponse>),
    /// The stream has ended, with OK too: nobody asked for that.
    Ended(Status),
}

impl Wire {
    /// Begins a stream on which at most so many items run.
    pub(super) fn open(connection: &Connection, concurrency: u16) -> Self {
        // Room for everything that may be under way, so that nothing here ever waits for the server to read.
        let (outgoing, items) = mpsc::channel(usize::from(concurrency).saturating_add(1));
        let settings = Message::Settings(BatchSettings { max_concurrency: concurrency.into() });
        // There is room for it: the channel is new.
        let _ = outgoing.try_send(StreamBatchCompleteRequest { message: Some(settings) });
        let mut client = connection.client.clone();
        let request = connection.request(ReceiverStream::new(items));
        let opening = Box::pin(async move { client.stream_batch_complete(request).await });
        Self { outgoing, incoming: Incoming::Opening(opening), began: Instant::now() }
    }

    /// Sends an item. Where the stream has ended already, that is heard soon.
    pub(super) fn send(&self, custom_id: String, request: Box<CompleteRequest>) {
        let item = Message::Item(BatchItem { custom_id, request: Some(request) });
        let _ = self.outgoing.try_send(StreamBatchCompleteRequest { message: Some(item) });
    }

    /// Whether the server has answered at all.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.incoming, Incoming::Open(_))
    }

    /// What comes next. It may be dropped and called again; not after the end.
    pub(super) async fn hear(&mut self) -> Heard {
        if let Incoming::Opening(opening) = &mut self.incoming {
            match opening.await {
                Ok(results) => self.incoming = Incoming::Open(Box::new(results.into_inner())),
                Err(status) => return Heard::Ended(status),
            }
        }
        let Incoming::Open(results) = &mut self.incoming else { return std::future::pending().await };
        match results.message().await {
            Ok(Some(result)) => Heard::Result(Box::new(result)),
            Ok(None) => Heard::Ended(Status::unavailable("the server has ended the stream")),
            Err(status) => Heard::Ended(status),
        }
    }

    /// Says that nothing more comes, and waits for the server to end its side, a moment at most.
    pub(super) async fn close(self) {
        let Self { outgoing, incoming, .. } = self;
        drop(outgoing);
        if let Incoming::Open(mut results) = incoming {
            let end = async { while let Ok(Some(_)) = results.message().await {} };
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), end).await;
        }
    }
}
