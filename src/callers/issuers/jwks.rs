//! The keys that an issuer shows (RFC 7517): those of them that verify a signature.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The largest set that is read, in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// The most keys of a set that are taken.
const MAX_KEYS: usize = 100;
/// The longest name of a key, in bytes.
pub(super) const MAX_KEY_ID: usize = 256;
/// How many keys are tried for one token: of the same name, or where a token names none.
const MAX_TRIED: usize = 4;

/// What an issuer shows.
pub(super) struct KeySet {
    keys: Vec<Shown>,
    by_id: HashMap<String, Vec<usize>>,
    /// Tells sets apart.
    pub(super) fingerprint: [u8; 32],
}

struct Shown {
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// What is wrong with a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoKeys {
    #[error("is larger than 256 KiB")]
    TooLarge,
    #[error("is no set of keys (JWKS): an object with a list `keys`")]
    NoSet,
    #[error("has no key with which a signature is verified")]
    NoKey,
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. Keys of kinds that are not known here are passed over, as those for something else. One without any key
    /// says that all were withdrawn; one without a key of use is a mistake.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, NoKeys> {
        if bytes.len() > MAX_BYTES {
            return Err(NoKeys::TooLarge);
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|_| NoKeys::NoSet)?;
        let none_is_shown = written.keys.is_empty();
        let mut set = Self { keys: Vec::new(), by_id: HashMap::new(), fingerprint: Sha256::digest(bytes).into() };
        let usable = written.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        for (id, shown) in usable.filter_map(|key| Some((key.common.key_id.clone(), Shown::of(&key)?))).take(MAX_KEYS) {
            if let Some(id) = id.filter(|id| id.len() <= MAX_KEY_ID) {
                set.by_id.entry(id).or_default().push(set.keys.len());
            }
            set.keys.push(shown);
        }
        if set.keys.is_empty() && !none_is_shown { Err(NoKeys::NoKey) } else { Ok(set) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is one of this name.
    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Those that may have signed a token: of this name, or any where it names none.
    pub(super) fn fitting(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let named = id.map(|id| self.by_id.get(id).map_or(&[][..], Vec::as_slice));
        let keys = self.keys.iter().enumerate();
        let named = keys.filter(move |(index, _)| named.is_none_or(|named| named.contains(index)));
        named
            .filter(move |(_, shown)| shown.algorithms.contains(&algorithm))
            .map(|(_, shown)| &shown.key)
            .take(MAX_TRIED)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Shown {
    /// What it verifies; none: it is for something else.
    fn of(key: &Jwk) -> Option<Self> {
        let common = &key.common;
        let is_for_signatures = common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
            && common.key_operations.as_ref().is_none_or(|of| of.contains(&KeyOperations::Verify));
        let algorithms: &[Algorithm] = match &key.algorithm {
            AlgorithmParameters::RSA(_) => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => &[],
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            // A secret that both sides know says nothing about who signs.
            _ => &[],
        };
        let own = common.key_algorithm;
        let is_own =
            |algorithm: &&Algorithm| own.is_none_or(|own| Algorithm::try_from(own).is_ok_and(|own| own == **algorithm));
        let algorithms: Vec<Algorithm> = algorithms.iter().filter(is_own).copied().collect();
        let key = DecodingKey::from_jwk(key).ok()?;
        (is_for_signatures && !algorithms.is_empty()).then_some(Self { algorithms, key })
    }
}
