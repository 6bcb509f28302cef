//! Protobuf on the wire with small buffers.
//!
//! tonic's own codec holds 8 KiB for every open stream, even an idle one; events of a completion are a few hundred
//! bytes, so 1 KiB is enough to begin with. What is read or written whole and then gone begins with more, so that most
//! messages are not moved while they grow.

use std::marker::PhantomData;

use bytes::Buf;
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::expansion;
use crate::proto;

/// The bytes that a stream's buffer begins with.
const BUFFER_BYTES: usize = 1024;
/// Those of a message that comes alone.
const ALONE_BYTES: usize = 4 * 1024;
/// The bytes of ready messages that are gathered into one write.
const YIELD_BYTES: usize = 16 * 1024;

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Name + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Side<T>;
    type Decoder = Side<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Side(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Side(PhantomData)
    }
}

/// One direction of the codec.
#[derive(Debug)]
pub struct Side<M>(PhantomData<M>);

/// Those of which a stream has many.
const STREAMED: [&str; 3] = [
    proto::StreamCompleteResponse::NAME,
    proto::StreamBatchCompleteRequest::NAME,
    proto::StreamBatchCompleteResponse::NAME,
];

/// How much room messages of this kind have to begin with.
fn settings<M: Name>() -> BufferSettings {
    BufferSettings::new(if STREAMED.contains(&M::NAME) { BUFFER_BYTES } else { ALONE_BYTES }, YIELD_BYTES)
}

impl<M: Message + Name> Encoder for Side<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, item: M, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings::<M>()
    }
}

impl<M: Message + Name + Default> Decoder for Side<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        // The framework hands the whole message over in one piece.
        if !expansion::is_bounded(&M::full_name(), from.chunk()) {
            return Err(Status::out_of_range("the message has too many parts"));
        }
        // prost's own error names fields, not their content.
        M::decode(from)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("the message cannot be read: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings::<M>()
    }
}
