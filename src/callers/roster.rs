//! All callers, and how each is told.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::accounts::Accounts;
use super::vouchers::{Own, Pending, Vouchers, Vouching};
use super::{Caller, IssuerSettings, KeyHash, KeysNow, TokenFault};

/// What a caller shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// Its key, or a token that somebody has signed for it.
    pub key: Option<&'a str>,
    /// The identity in its certificate, which was checked: a SPIFFE id or another URI, or a DNS name.
    pub certificate: &'a [String],
}

/// Nobody that is known calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// It shows nothing.
    #[error("a key is needed: send it as `authorization: Bearer KEY`")]
    ShowsNothing,
    /// Its key is nobody's.
    #[error("the key is not known here; it may have been withdrawn")]
    UnknownKey,
    /// Its certificate is nobody's.
    #[error("the client certificate is valid, and names no caller that is known here")]
    UnknownCertificate,
    /// Its token is not good, or tells nobody.
    #[error(transparent)]
    Token(TokenFault),
    /// Its token cannot be checked: the keys of its issuer are not there.
    #[error("the keys of the token's issuer cannot be read now, so that it cannot be checked")]
    IssuerAway,
}

/// Who calls, as far as it is known at once.
#[derive(Debug)]
pub enum Identified {
    /// This caller.
    Known(Arc<Caller>),
    /// That is known when its issuer was asked for the key of its token.
    Later(Pending),
}

/// A caller, and how it is told.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who it is.
    pub caller: Caller,
    /// The hashes of its keys.
    pub keys: Vec<KeyHash>,
    /// The names in its certificates.
    pub certificates: Vec<String>,
    /// Its tokens: the name of their issuer, and what they call it.
    pub tokens: Vec<(String, String)>,
}

/// All callers of one configuration.
#[derive(Debug, Default)]
pub struct Roster {
    /// By a part of the hash: whoever could choose it would have broken SHA-256.
    keys: HashMap<u64, Vec<(KeyHash, Arc<Caller>)>>,
    certificates: HashMap<String, Arc<Caller>>,
    /// Those who vouch for callers.
    vouchers: Vouchers,
    /// What is in flight of each, over all rosters that came from one another.
    accounts: Accounts,
    /// Who calls where nothing is shown; none: nobody is let in.
    nobody: Option<Arc<Caller>>,
    /// Nobody is told apart.
    is_open: bool,
    /// How many have entries of their own.
    entries: usize,
}

impl Roster {
    /// Nobody is told apart, and everybody may call.
    pub fn open() -> Self {
        Self { nobody: Some(Arc::default()), is_open: true, ..Self::default() }
    }

    /// These callers, and `nobody` for who shows nothing. What is in flight of a caller that `before` or one before it knew
    /// goes on counting.
    pub fn new(entries: Vec<Entry>, nobody: Option<Caller>, before: Option<&Self>) -> Self {
        Self::among(entries, nobody, before).0
    }

    /// The same, and those whom these issuers vouch for.
    pub fn with_issuers(
        entries: Vec<Entry>,
        nobody: Option<Caller>,
        (issuers, vouching): (Vec<IssuerSettings>, &Vouching),
        before: Option<&Self>,
    ) -> Self {
        let (roster, own) = Self::among(entries, nobody, before);
        let accounts = roster.accounts.clone();
        let vouchers = Vouchers::new(issuers, &own, (vouching, accounts), before.map(|before| &before.vouchers));
        Self { vouchers, ..roster }
    }

    fn among(entries: Vec<Entry>, nobody: Option<Caller>, before: Option<&Self>) -> (Self, Own) {
        let accounts = before.map(|before| before.accounts.clone()).unwrap_or_default();
        let counted = |caller: Caller| {
            let in_flight = accounts.of(&caller.name);
            Arc::new(Caller { in_flight, ..caller })
        };
        let (mut roster, mut own) = (Self { entries: entries.len(), ..Self::default() }, Own::default());
        for Entry { caller, keys, certificates, tokens } in entries {
            let caller = counted(caller);
            for hash in keys {
                roster.keys.entry(hash.place()).or_default().push((hash, Arc::clone(&caller)));
            }
            roster.certificates.extend(certificates.into_iter().map(|name| (name, Arc::clone(&caller))));
            own.extend(tokens.into_iter().map(|token| (token, Arc::clone(&caller))));
        }
        roster.nobody = nobody.map(counted);
        roster.accounts = accounts;
        (roster, own)
    }

    /// Whether callers are not told apart at all.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// How many callers have entries of their own.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// How the keys of those are who vouch for callers.
    pub fn keys_of_issuers(&self) -> Vec<KeysNow> {
        self.vouchers.now()
    }

    /// Who shows this. A key is looked at first: what is sent with a call says more than what its connection shows.
    ///
    /// # Errors
    /// [`Stranger`]: it is nobody who is known.
    pub fn identify(&self, shown: Shown<'_>) -> Result<Identified, Stranger> {
        if let (true, Some(nobody)) = (self.is_open, &self.nobody) {
            return Ok(Identified::Known(Arc::clone(nobody)));
        }
        if let Some(key) = shown.key {
            let hash = KeyHash::of(key);
            return match self.by_key(&hash) {
                Some(caller) => Ok(Identified::Known(caller)),
                None if self.vouchers.may_tell(key) => self.vouchers.tell(key, &hash),
                None => Err(Stranger::UnknownKey),
            };
        }
        let by_certificate = shown.certificate.iter().find_map(|name| self.certificates.get(name));
        match (by_certificate, &self.nobody) {
            (Some(caller), _) | (None, Some(caller)) => Ok(Identified::Known(Arc::clone(caller))),
            (None, None) if shown.certificate.is_empty() => Err(Stranger::ShowsNothing),
            (None, None) => Err(Stranger::UnknownCertificate),
        }
    }

    fn by_key(&self, hash: &KeyHash) -> Option<Arc<Caller>> {
        let near = self.keys.get(&hash.place())?;
        near.iter().find(|(known, _)| known.is(hash)).map(|(_, caller)| Arc::clone(caller))
    }
}

/// The callers of the configuration in force. Clones share it.
#[derive(Clone, Debug)]
pub struct Callers(Arc<ArcSwap<Roster>>);

impl Callers {
    /// Puts `roster` in force.
    pub fn new(roster: Roster) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(roster)))
    }

    /// The roster in force.
    pub fn current(&self) -> Arc<Roster> {
        self.0.load_full()
    }

    /// Puts another one in force, for calls that begin from then on.
    pub fn replace(&self, roster: Roster) {
        self.0.store(Arc::new(roster));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallerName;

    fn entry(name: &str, key: &str, certificate: &str) -> Entry {
        Entry {
            caller: Caller { name: CallerName::new(name), ..Caller::default() },
            keys: vec![KeyHash::of(key)],
            certificates: vec![certificate.to_owned()],
            tokens: Vec::new(),
        }
    }

    fn roster(nobody: Option<Caller>) -> Roster {
        Roster::new(
            vec![entry("one", "key-1", "spiffe://x/one"), entry("two", "key-2", "spiffe://x/two")],
            nobody,
            None,
        )
    }

    fn shown(roster: &Roster, key: Option<&str>, certificate: &[&str]) -> Result<Arc<Caller>, Stranger> {
        let certificate: Vec<String> = certificate.iter().map(ToString::to_string).collect();
        match roster.identify(Shown { key, certificate: &certificate })? {
            Identified::Known(caller) => Ok(caller),
            Identified::Later(_) => panic!("nobody vouches for anybody here"),
        }
    }

    fn who(roster: &Roster, key: Option<&str>, certificate: &[&str]) -> Result<String, Stranger> {
        shown(roster, key, certificate).map(|caller| caller.name.to_string())
    }

    #[test]
    fn a_caller_is_told_by_its_key_or_its_certificate() {
        let roster = roster(None);
        assert_eq!(who(&roster, Some("key-1"), &[]).as_deref(), Ok("one"));
        assert_eq!(who(&roster, None, &["spiffe://x/two"]).as_deref(), Ok("two"));
        assert_eq!(who(&roster, Some("key-1"), &["spiffe://x/two"]).as_deref(), Ok("one"));
        assert_eq!(who(&roster, None, &["elsewhere.example", "spiffe://x/two"]).as_deref(), Ok("two"));
    }

    #[test]
    fn who_is_not_known_is_told_what_is_missing() {
        let roster = roster(None);
        assert_eq!(who(&roster, None, &[]), Err(Stranger::ShowsNothing));
        assert_eq!(who(&roster, Some(""), &[]), Err(Stranger::UnknownKey));
        assert_eq!(who(&roster, Some("key-3"), &[]), Err(Stranger::UnknownKey));
        assert_eq!(who(&roster, None, &["spiffe://x/three"]), Err(Stranger::UnknownCertificate));
    }

    #[test]
    fn a_bad_key_is_no_ones_though_a_certificate_or_nobody_would_do() {
        let open_to_nobody = roster(Some(Caller::default()));
        assert_eq!(who(&open_to_nobody, None, &[]).as_deref(), Ok(""));
        assert_eq!(who(&open_to_nobody, Some("key-3"), &[]), Err(Stranger::UnknownKey));
        assert_eq!(who(&open_to_nobody, Some("key-3"), &["spiffe://x/two"]), Err(Stranger::UnknownKey));
    }

    #[test]
    fn where_no_callers_are_configured_keys_are_not_looked_at() {
        assert_eq!(who(&Roster::open(), Some("anything"), &[]).as_deref(), Ok(""));
    }

    #[test]
    fn what_is_in_flight_goes_on_counting_when_callers_change() {
        let before = roster(None);
        let held = shown(&before, Some("key-1"), &[]).unwrap().in_flight.one();
        let after = Roster::new(vec![entry("one", "key-9", "spiffe://x/one")], None, Some(&before));
        let caller = shown(&after, Some("key-9"), &[]).unwrap();
        assert_eq!(caller.in_flight.now(), 1);
        drop(held);
        assert_eq!(caller.in_flight.now(), 0);
        assert_eq!(who(&after, Some("key-1"), &[]), Err(Stranger::UnknownKey));
    }

    #[test]
    fn what_is_in_flight_of_a_caller_that_goes_and_comes_again_goes_on_counting() {
        let first = roster(None);
        let held = shown(&first, Some("key-1"), &[]).unwrap().in_flight.one();
        let without = Roster::new(vec![entry("two", "key-2", "spiffe://x/two")], None, Some(&first));
        drop(first);
        let again = Roster::new(vec![entry("one", "key-9", "spiffe://x/one")], None, Some(&without));
        drop(without);
        assert_eq!(shown(&again, Some("key-9"), &[]).unwrap().in_flight.now(), 1);
        drop(held);
        assert_eq!(shown(&again, Some("key-9"), &[]).unwrap().in_flight.now(), 0);
    }
}
