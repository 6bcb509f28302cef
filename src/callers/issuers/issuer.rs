//! One issuer: from a token to the caller whom it tells.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use moka::sync::Cache;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fault::TokenFault;
use super::jwks::KeySet;
use super::kept::{Kept, NoKey};
use super::settings::IssuerSettings;
use super::verified::{Verified, remembered};
use super::{claims, signatures};
use crate::callers::Caller;
use crate::callers::accounts::Accounts;
use crate::domain::CallerName;

/// The largest token that is read, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Somebody whose word counts, with its keys.
#[derive(Debug)]
pub(in crate::callers) struct Issuer {
    settings: IssuerSettings,
    kept: Arc<Kept>,
    /// What every token of its own must be.
    validation: Validation,
    /// Callers with an entry of their own, by what its tokens call them.
    own: HashMap<String, Arc<Caller>>,
    /// Tokens that were verified, by their hashes.
    verified: Cache<[u8; 32], Verified>,
}

/// Whom a token tells.
#[derive(Debug)]
pub(in crate::callers) enum Outcome {
    /// This caller.
    Known(Arc<Caller>),
    /// That depends on a key that may come: of this name, or of any.
    Later(Option<String>),
}

/// Why a token tells nobody now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::callers) enum Refused {
    /// It never will.
    Fault(TokenFault),
    /// Its issuer cannot be asked for its keys.
    Away,
}

impl From<TokenFault> for Refused {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<NoKey> for Refused {
    fn from(why: NoKey) -> Self {
        match why {
            NoKey::NotShown => Self::Fault(TokenFault::Key),
            NoKey::Away => Self::Away,
        }
    }
}

/// Whether a credential is meant to be a token: three parts with dots between.
pub(in crate::callers) fn looks_like_a_token(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Who a token says has issued it; nothing is verified yet.
///
/// # Errors
/// It is too large to be read, or does not say it.
pub(in crate::callers) fn issuer_of(token: &str) -> Result<String, TokenFault> {
    #[derive(Deserialize)]
    struct Says {
        iss: Option<Value>,
    }
    if token.len() > MAX_TOKEN {
        return Err(TokenFault::TooLarge);
    }
    match insecure_decode_claims::<Says>(token).map_err(|_| TokenFault::Unreadable)?.iss {
        Some(Value::String(issuer)) => Ok(issuer),
        _ => Err(TokenFault::Claim("iss")),
    }
}

impl Issuer {
    /// `own` are the callers with entries of their own, by what tokens call them.
    pub(in crate::callers) fn new(
        settings: IssuerSettings,
        kept: Arc<Kept>,
        own: HashMap<String, Arc<Caller>>,
    ) -> Self {
        signatures::install();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = settings.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_audience(&settings.audiences);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self { settings, kept, validation, own, verified: remembered() }
    }

    pub(in crate::callers) fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    /// What its tokens call it.
    pub(in crate::callers) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Whom a token tells that was verified before.
    pub(in crate::callers) fn remembered(&self, digest: &[u8; 32], now: SystemTime) -> Option<Arc<Caller>> {
        let verified = self.verified.get(digest)?;
        let set = self.kept.set()?;
        (verified.end > now && verified.by == set.fingerprint).then_some(verified.caller)
    }

    /// Whom `token` tells.
    ///
    /// # Errors
    /// [`Refused`]: nobody.
    pub(in crate::callers) fn tell(
        &self,
        token: &str,
        digest: [u8; 32],
        accounts: &Accounts,
    ) -> Result<Outcome, Refused> {
        let header = decode_header(token).map_err(|_| TokenFault::Unreadable)?;
        if !self.settings.algorithms.iter().any(|allowed| allowed.0 == header.alg) {
            return Err(TokenFault::Algorithm.into());
        }
        if !is_about_callers(&header) {
            return Err(TokenFault::Type.into());
        }
        let id = header.kid.as_deref();
        let Some(set) = self.kept.set().filter(|set| id.is_none_or(|id| set.has(id))) else {
            self.kept.may_come(id)?;
            return Ok(Outcome::Later(header.kid));
        };
        let claims = self.verify(token, &set, &header)?;
        let now = SystemTime::now();
        claims::was_issued(&self.settings, &claims, now)?;
        let end = claims::end(&self.settings, &claims)?;
        let caller = self.caller(&claims, accounts)?;
        self.verified.insert(digest, Verified { caller: Arc::clone(&caller), end, by: set.fingerprint });
        Ok(Outcome::Known(caller))
    }

    /// Waits for a key that was not there.
    ///
    /// # Errors
    /// [`Refused`]: it did not come.
    pub(in crate::callers) async fn look_for(&self, id: Option<&str>, within: Duration) -> Result<(), Refused> {
        Ok(self.kept.look_for(id, within).await?)
    }

    fn verify(&self, token: &str, set: &KeySet, header: &Header) -> Result<Map<String, Value>, TokenFault> {
        let mut validation = self.validation.clone();
        validation.algorithms = vec![header.alg];
        let mut fault = TokenFault::Algorithm;
        for key in set.fitting(header.kid.as_deref(), header.alg) {
            match verified(token, key, &validation) {
                Err(TokenFault::Signature) => fault = TokenFault::Signature,
                other => return other,
            }
        }
        Err(fault)
    }

    /// Whom these claims tell. What two issuers call the same are two callers, and none of them is one with an entry,
    /// unless that entry names both the issuer and what it calls the caller.
    fn caller(&self, claims: &Map<String, Value>, accounts: &Accounts) -> Result<Arc<Caller>, TokenFault> {
        let name = claims::name(&self.settings, claims)?;
        let models = self.settings.models_claim.as_ref().map(|claim| claims::models(claim, claims)).transpose()?;
        let own = self.own.get(name);
        let caller = match own {
            Some(own) => match models {
                None => return Ok(Arc::clone(own)),
                Some(_) => Caller::clone(own),
            },
            None => self.by_template(name, claims, accounts)?,
        };
        let models = match models {
            Some(models) => caller.models.within(models),
            None => caller.models.clone(),
        };
        Ok(Arc::new(Caller { models, ..caller }))
    }

    fn by_template(&self, name: &str, claims: &Map<String, Value>, accounts: &Accounts) -> Result<Caller, TokenFault> {
        let template =
            self.settings.templates.iter().find(|template| template.fits(claims)).ok_or(TokenFault::Nobody)?;
        let name = CallerName::of_issuer(&self.settings.name, name);
        let in_flight = accounts.of(&name);
        Ok(Caller {
            name,
            models: template.models.clone(),
            labels: template.labels.clone(),
            is_admin: template.is_admin,
            view: template.view,
            allowance: template.allowance,
            in_flight,
        })
    }
}

/// Whether its type is one of tokens that tell who calls (RFC 9068, RFC 8725); most say nothing.
fn is_about_callers(header: &Header) -> bool {
    let Some(kind) = &header.typ else { return true };
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

fn verified(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Map<String, Value>, TokenFault> {
    decode::<Map<String, Value>>(token, key, validation).map(|token| token.claims).map_err(|error| fault(&error))
}

fn fault(error: &Error) -> TokenFault {
    let claim = |name: &str| ["exp", "nbf", "aud", "iss"].into_iter().find(|known| *known == name).unwrap_or("");
    match error.kind() {
        ErrorKind::InvalidSignature => TokenFault::Signature,
        ErrorKind::ExpiredSignature => TokenFault::Expired,
        ErrorKind::ImmatureSignature => TokenFault::NotYet,
        ErrorKind::InvalidAudience => TokenFault::Audience,
        ErrorKind::InvalidIssuer => TokenFault::Issuer,
        ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => TokenFault::Claim(claim(name)),
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenFault::Algorithm,
        _ => TokenFault::Unreadable,
    }
}
