//! All issuers of one configuration: whose token it is, and waiting for a key that may come.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use super::accounts::Accounts;
use super::issuers::{
    Issuer, IssuerSettings, Kept, KeysFrom, KeysNow, Outcome, Refused, TokenFault, issuer_of, looks_like_a_token,
};
use super::{Caller, Identified, KeyHash, Stranger};
use crate::count::Total;

/// The longest time that a call waits for a key that its issuer may show.
const WAIT: Duration = Duration::from_secs(5);

/// What reads the keys of issuers. Clones are the same.
#[derive(Clone, Debug)]
pub struct Vouching {
    /// Where they are read.
    pub runtime: Handle,
    /// How often that was in vain.
    pub failures: Total,
}

/// Those whose word counts, by what their tokens call them.
#[derive(Clone, Default)]
pub(super) struct Vouchers {
    issuers: HashMap<String, Arc<Issuer>>,
    accounts: Accounts,
}

/// Callers with entries of their own: by the name of an issuer, and by what its tokens call them.
pub(super) type Own = HashMap<(String, String), Arc<Caller>>;

impl Vouchers {
    /// These issuers. Keys that `before` reads from the same place are taken over.
    pub(super) fn new(
        settings: Vec<IssuerSettings>,
        own: &Own,
        (vouching, accounts): (&Vouching, Accounts),
        before: Option<&Self>,
    ) -> Self {
        let kept = |from: &KeysFrom| {
            let same = before?.issuers.values().map(|issuer| issuer.kept()).find(|kept| kept.are_from(from));
            same.map(Arc::clone)
        };
        let issuer = |settings: IssuerSettings| {
            let kept = kept(&settings.keys)
                .unwrap_or_else(|| Kept::new(&settings.keys, &vouching.runtime, vouching.failures.clone()));
            let of = own.iter().filter(|((issuer, _), _)| *issuer == settings.name);
            let own = of.map(|((_, name), caller)| (name.clone(), Arc::clone(caller))).collect();
            let issuer = Issuer::new(settings, kept, own);
            (issuer.issuer().to_owned(), Arc::new(issuer))
        };
        Self { issuers: settings.into_iter().map(issuer).collect(), accounts }
    }

    /// Whether a credential is a token that somebody may vouch for.
    pub(super) fn may_tell(&self, credential: &str) -> bool {
        !self.issuers.is_empty() && looks_like_a_token(credential)
    }

    /// Whom a token tells, or what that waits for.
    pub(super) fn tell(&self, token: &str, hash: &KeyHash) -> Result<Identified, Stranger> {
        let (now, digest) = (SystemTime::now(), hash.digest());
        let remembered = self.issuers.values().find_map(|issuer| issuer.remembered(&digest, now));
        if let Some(caller) = remembered {
            return Ok(Identified::Known(caller));
        }
        let issuer = issuer_of(token).map_err(Stranger::Token)?;
        let issuer = self.issuers.get(&issuer).ok_or(Stranger::Token(TokenFault::Issuer))?;
        match issuer.tell(token, digest, &self.accounts).map_err(stranger)? {
            Outcome::Known(caller) => Ok(Identified::Known(caller)),
            Outcome::Later(key) => Ok(Identified::Later(Pending {
                issuer: Arc::clone(issuer),
                accounts: self.accounts.clone(),
                token: SecretString::from(token),
                digest,
                key,
            })),
        }
    }

    /// How the keys of each are, in the order of their names.
    pub(super) fn now(&self) -> Vec<KeysNow> {
        let mut now: Vec<KeysNow> = self.issuers.values().map(|issuer| issuer.kept().now()).collect();
        now.sort_by(|one, other| one.name.cmp(&other.name));
        now
    }
}

impl fmt::Debug for Vouchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vouchers").field("issuers", &self.issuers.keys()).finish_non_exhaustive()
    }
}

/// A token of which it is not known yet whom it tells: its issuer may show the key with which it is signed.
#[derive(Debug)]
pub struct Pending {
    issuer: Arc<Issuer>,
    accounts: Accounts,
    token: SecretString,
    digest: [u8; 32],
    key: Option<String>,
}

impl Pending {
    /// Waits until that is known, no longer than `patience`, and no longer than a few seconds in any case.
    ///
    /// # Errors
    /// [`Stranger`]: it tells nobody, or nobody now.
    pub async fn settled(self, patience: Duration) -> Result<Arc<Caller>, Stranger> {
        self.issuer.look_for(self.key.as_deref(), patience.min(WAIT)).await.map_err(stranger)?;
        match self.issuer.tell(self.token.expose_secret(), self.digest, &self.accounts).map_err(stranger)? {
            Outcome::Known(caller) => Ok(caller),
            Outcome::Later(_) => Err(Stranger::IssuerAway),
        }
    }
}

fn stranger(refused: Refused) -> Stranger {
    match refused {
        Refused::Fault(fault) => Stranger::Token(fault),
        Refused::Away => Stranger::IssuerAway,
    }
}
