//! The gRPC face: the only place that knows `tonic::Status`. The other face (`edge/http`) stands on what this one offers it:
//! calls in `streaming`, and failures in `failure`.

mod admin;
mod admission;
mod admitted;
mod batch;
mod calls;
mod charged;
mod codec;
mod complete_status;
pub mod convert;
mod door;
mod expansion;
mod faces;
mod failure;
mod foremost;
mod kind;
mod reflection;
mod refusal;
mod rest;
mod retried;
mod rich_status;
mod scraped;
mod service;
mod status;
mod streaming;
mod timeout;
mod told;
mod until_drain;
mod watched;

pub use admission::{Admission, Limits};
pub use codec::Codec;
pub use convert::{LedgerView, RequestRules};
pub use faces::{Faces, Served};
pub use reflection::Reflections;
pub use status::name as code_name;
pub use watched::Watch;

pub(super) use failure::Failure;
pub(super) use kind::Kind;
pub(super) use refusal::Refusal;
pub(super) use rest::Unread;
pub(super) use streaming::{Events, Streaming};
