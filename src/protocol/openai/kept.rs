//! What this protocol keeps in opaque state, on the way out and on the way back.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::{Identity, ProviderState};

/// What a call of a kind that is not known here is called, before its own type: such a call is a provider block, and
/// goes back among the calls.
pub(super) const TOOL_CALL: &str = "tool_call/";

/// The payload of a block's state. Fields are only ever added.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Reasoning in the provider's own pieces, verbatim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<Box<RawValue>>,
    /// The signature of reasoning that goes back as a part of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
    /// What a tool call carries beside its input, verbatim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<Box<RawValue>>,
    /// The provider's id of a sound that the model made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audio_id: Option<String>,
}

impl Kept {
    /// Seals it for `identity`. Text and JSON that was read before always serialise.
    pub(super) fn seal(&self, identity: &Identity) -> Option<ProviderState> {
        serde_json::value::to_raw_value(self).ok().map(|payload| ProviderState::new(identity, payload))
    }

    /// Opens state of the vendor of `identity`; none when another made it or it has another form.
    pub(super) fn open(state: Option<&ProviderState>, identity: &Identity) -> Option<Self> {
        let state = state.filter(|state| state.is_of_vendor(identity))?;
        serde_json::from_str(state.payload.get()).ok()
    }
}
