//! Signatures of tokens, verified by what verifies those of certificates.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result, new_error};
use jsonwebtoken::signature;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature as known;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: nobody_signs,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Lets tokens be verified. Before the first is.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Nobody else in this process installs one.
        let _ = PROVIDER.install_default();
    });
}

/// Here tokens are read and none is made.
fn nobody_signs(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn jsonwebtoken::crypto::JwtSigner>> {
    Err(unsupported())
}

fn unsupported() -> Error {
    new_error(ErrorKind::UnsupportedAlgorithm)
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    let by = By::of(*algorithm).ok_or_else(unsupported)?;
    Ok(Box::new(Verifier { algorithm: *algorithm, by, key: key.clone() }))
}

/// What verifies.
#[derive(Clone, Copy)]
enum By {
    /// With a key of RSA, given by its numbers.
    Rsa(&'static known::RsaParameters),
    /// With a key that is a string of bytes.
    Bytes(&'static dyn known::VerificationAlgorithm),
}

impl By {
    fn of(algorithm: Algorithm) -> Option<Self> {
        Some(match algorithm {
            Algorithm::RS256 => Self::Rsa(&known::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => Self::Rsa(&known::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => Self::Rsa(&known::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => Self::Rsa(&known::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => Self::Rsa(&known::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => Self::Rsa(&known::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => Self::Bytes(&known::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => Self::Bytes(&known::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => Self::Bytes(&known::ED25519),
            // Who can check these can sign them.
            _ => return None,
        })
    }
}

struct Verifier {
    algorithm: Algorithm,
    by: By,
    key: DecodingKey,
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let verified = match (self.by, self.key.kind()) {
            (By::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                known::RsaPublicKeyComponents { n, e }.verify(parameters, message, signed)
            }
            (By::Bytes(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                known::UnparsedPublicKey::new(algorithm, key).verify(message, signed)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}
