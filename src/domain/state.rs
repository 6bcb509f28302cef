//! Opaque provider state: what a provider wants back unchanged, bound to what made it.
//!
//! It is self-contained, so that any replica and any later version can read it, and it is read as untrusted input:
//! whatever it says, it only ever reaches the vendor that it names.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{AccountTag, Identity, ModelId, Vendor};

/// The largest state that is read back, in bytes.
pub const MAX_STATE_BYTES: usize = 4 * 1024 * 1024;

/// What a provider wants back unchanged.
#[derive(Clone, Debug)]
pub struct ProviderState {
    /// Who made it.
    pub vendor: Vendor,
    /// The model that made it.
    pub model: ModelId,
    /// The account that it was made with.
    pub account: AccountTag,
    /// The vendor's own JSON, in the form of its protocol's file.
    pub payload: Box<RawValue>,
}

/// Bytes that are no state of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// They are larger than any state that this server makes.
    #[error("provider state is larger than {MAX_STATE_BYTES} bytes")]
    TooLarge,
    /// They are not what this server makes.
    #[error("provider state was not made by this server")]
    Malformed,
}

/// The form that leaves the server. Version 1; a later version adds fields, and never changes one.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    v: u32,
    #[serde(borrow)]
    vendor: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    account: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Serialize for ProviderState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for ProviderState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = bytes::Bytes::deserialize(from)?;
        Self::parse(&bytes).map_err(D::Error::custom)
    }
}

impl ProviderState {
    /// State that `identity` made.
    pub fn new(identity: &Identity, payload: Box<RawValue>) -> Self {
        Self {
            vendor: identity.vendor.clone(),
            model: identity.model.clone(),
            account: identity.account.clone(),
            payload,
        }
    }

    /// The bytes that go to the caller.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sealed = Sealed {
            v: 1,
            vendor: self.vendor.as_str().into(),
            model: self.model.as_str().into(),
            account: self.account.as_str().into(),
            payload: &self.payload,
        };
        // Serialising text and already valid JSON cannot fail.
        serde_json::to_vec(&sealed).unwrap_or_default()
    }

    /// Reads what a caller handed back.
    ///
    /// # Errors
    /// [`StateError`] when these are not bytes that [`ProviderState::to_bytes`] makes.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > MAX_STATE_BYTES {
            return Err(StateError::TooLarge);
        }
        let sealed: Sealed<'_> = serde_json::from_slice(bytes).map_err(|_| StateError::Malformed)?;
        if sealed.v == 0 {
            return Err(StateError::Malformed);
        }
        Ok(Self {
            vendor: Vendor::new(&sealed.vendor),
            model: ModelId::new(&sealed.model),
            account: AccountTag::from_text(sealed.account.into_owned()),
            payload: sealed.payload.to_owned(),
        })
    }

    /// Whether `identity` is of the vendor that made it.
    pub fn is_of_vendor(&self, identity: &Identity) -> bool {
        self.vendor == identity.vendor
    }

    /// Whether vendor, model and account are all those that made it.
    pub fn is_of(&self, identity: &Identity) -> bool {
        self.is_of_vendor(identity) && self.model == identity.model && self.account == identity.account
    }
}

impl PartialEq for ProviderState {
    fn eq(&self, other: &Self) -> bool {
        self.vendor == other.vendor
            && self.model == other.model
            && self.account == other.account
            && self.payload.get() == other.payload.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ProviderId;

    fn identity() -> Identity {
        Identity::new(ProviderId::new("main"), Vendor::new("acme"), ModelId::new("m-1"))
    }

    #[test]
    fn state_survives_the_way_to_the_caller_and_back() -> Result<(), Box<dyn std::error::Error>> {
        let payload = RawValue::from_string(r#"{"signature":"a\"b","n":18446744073709551615}"#.into())?;
        let state = ProviderState::new(&identity(), payload);
        let back = ProviderState::parse(&state.to_bytes())?;
        assert_eq!(back, state);
        assert!(back.is_of(&identity()));
        Ok(())
    }

    #[test]
    fn a_provider_id_does_not_leave_with_the_state() -> Result<(), Box<dyn std::error::Error>> {
        let state = ProviderState::new(&identity(), RawValue::from_string("{}".into())?);
        assert!(!String::from_utf8(state.to_bytes())?.contains("main"));
        Ok(())
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in
            [&b""[..], b"{}", b"null", b"\xff\xfe", br#"{"v":0,"vendor":"a","model":"m","account":"x","payload":1}"#]
        {
            assert_eq!(ProviderState::parse(bytes), Err(StateError::Malformed));
        }
    }
}
