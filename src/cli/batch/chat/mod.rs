//! The body of a chat completion, as batch files have it, as a request of the contract.
//!
//! Each field has its place in the contract, or goes into the provider options of the vendor whose format this is, or is
//! a fault: none is dropped in silence.

mod messages;
mod parameters;
mod parts;
mod tools;

use super::faults::Faults;
use super::raw::Value;
use crate::proto::CompleteRequest;

/// Why a field that nobody knows is refused rather than passed on.
const UNKNOWN: &str = "is not a field of this format that is known here; `request` in place of `body` takes what the \
    contract has, and `provider_options` there whatever a vendor has";

/// The request that `body` stands for; none, or one that must not be used, where there are faults.
pub(super) fn request(body: &Value<'_>, faults: &mut Faults) -> Option<CompleteRequest> {
    let mut body = body.object(faults)?;
    let mut request = CompleteRequest::default();
    messages::read(&mut body, &mut request, faults);
    tools::read(&mut body, &mut request, faults);
    parameters::read(&mut body, &mut request, faults);
    body.end(UNKNOWN, faults);
    Some(request)
}
