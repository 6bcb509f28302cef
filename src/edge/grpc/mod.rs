//! The gRPC face: the only place that knows `tonic::Status` and the generated types.

mod admin;
mod admission;
mod batch;
mod calls;
mod codec;
mod complete_status;
mod convert;
mod door;
mod expansion;
mod faces;
mod refusal;
mod retried;
mod rich_status;
mod scraped;
mod service;
mod status;
mod timeout;
mod told;
mod unread;
mod until_drain;
mod watched;

pub use admission::{Admission, Limits};
pub use codec::Codec;
pub use convert::{LedgerView, RequestRules};
pub use faces::{Faces, Served};
pub use status::name as code_name;
pub use watched::Watch;
