//! Who is asked: names of providers, vendors and models, and the id of a call.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A cheap, immutable name. Each use has its own type, so that a model is never taken for a provider.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Names it; any text is a name.
            pub fn new(name: impl AsRef<str>) -> Self {
                Self(Arc::from(name.as_ref()))
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// An entry of the pool: one account at one address, as the configuration calls it.
    ProviderId
}
name! {
    /// Who is behind a provider: the preset's name, else the protocol's.
    Vendor
}
name! {
    /// A model, as its provider calls it.
    ModelId
}
name! {
    /// Who calls: as the configuration calls it, or the name of an issuer of tokens, a colon, and what that one calls it.
    /// Empty: nobody is told apart.
    CallerName
}
name! {
    /// What a caller asks for: an alias, a model id, or `provider/model`.
    ModelName
}

impl CallerName {
    /// Whom an issuer names. No name of the configuration, and so none of an issuer, has a colon.
    pub fn of_issuer(issuer: &str, name: &str) -> Self {
        Self::new(format!("{issuer}:{name}"))
    }

    /// Stands for all whom its issuer names and for whom there is no place of their own; none: the configuration names it,
    /// where there are few.
    pub fn rest(&self) -> Option<Self> {
        let (issuer, _) = self.as_str().split_once(':')?;
        Some(Self::of_issuer(issuer, Self::OTHERS))
    }

    /// What no issuer can name.
    pub const OTHERS: &str = "(other)";

    /// Whether it names nobody: callers are not told apart.
    pub fn is_nobody(&self) -> bool {
        self.as_str().is_empty()
    }
}

impl Default for CallerName {
    /// Nobody's.
    fn default() -> Self {
        Self::new("")
    }
}

/// Stands for an account without naming it: opaque state that leaves the server carries this, not the provider's id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountTag(Arc<str>);

impl AccountTag {
    /// The tag of the account that the configuration calls `provider`: the same on every replica.
    pub fn of(provider: &ProviderId) -> Self {
        let digest = Sha256::digest(provider.as_str().as_bytes());
        let text: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self(text.into())
    }

    /// A tag that was read back from opaque state.
    pub(super) fn from_text(text: String) -> Self {
        Self(text.into())
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The endpoint that is asked, as far as a protocol may know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The entry of the pool.
    pub provider: ProviderId,
    /// Who is behind it.
    pub vendor: Vendor,
    /// The model that is asked for there.
    pub model: ModelId,
    /// Stands for the account.
    pub account: AccountTag,
}

impl Identity {
    /// The identity of `model` at `provider`.
    pub fn new(provider: ProviderId, vendor: Vendor, model: ModelId) -> Self {
        let account = AccountTag::of(&provider);
        Self { provider, vendor, model, account }
    }

    /// `provider/model`, as a request may name it. Made for each call, and so without the machinery of formatting.
    pub fn name(&self) -> String {
        [self.provider.as_str(), "/", self.model.as_str()].concat()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// The server's id of a call: a UUID of version 7, so that ids sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CallId(Uuid);

impl CallId {
    /// Takes a UUID that the caller of this function made.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// When the call began, as far as its id tells.
    pub fn began(self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
