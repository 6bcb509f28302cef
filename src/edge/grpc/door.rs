//! Who comes in by a listener: told on the headers of each call, before its body is read.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::kind::Kind;
use crate::callers::{Caller, Callers, Identified, Pending, Shown, Stranger};
use crate::domain::{Error, Reason};
use crate::edge::Certified;

/// Whom a listener lets in. Health checks come in everywhere: those who make them know no keys.
#[derive(Clone, Debug)]
pub(super) enum Door {
    /// Callers, each with what it may do.
    Callers(Callers),
    /// Callers who may administer the server.
    Operators(Callers),
    /// Whoever reaches it: only this machine does, or there is nothing to guard.
    Anyone,
}

/// After how long it may be tried again when a token could not be checked.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// Whether a call is let in.
#[derive(Debug)]
pub(super) enum Admit {
    /// It is, or it is not.
    Now(Result<Arc<Caller>, Error>),
    /// That is known when the issuer of its token was asked.
    Later(Waiting),
}

/// A call of which it is not known yet whether it is let in.
#[derive(Debug)]
pub(super) struct Waiting {
    door: Door,
    pending: Pending,
}

impl Waiting {
    /// Who makes the call. It is waited for no longer than `patience`.
    ///
    /// # Errors
    /// As of [`Door::admit`].
    pub(super) async fn settled(self, patience: Duration) -> Result<Arc<Caller>, Error> {
        let caller = self.pending.settled(patience).await.map_err(|stranger| refused(&stranger))?;
        self.door.lets_in(caller)
    }
}

impl Door {
    /// Who makes a call with these headers: `CREDENTIALS_INVALID` when it is nobody who is known, `ISSUER_UNAVAILABLE` when
    /// that cannot be told now, `PERMISSION_DENIED` when it is not one who may come in here.
    pub(super) fn admit(&self, parts: &Parts) -> Admit {
        let callers = match self {
            Self::Anyone => return Admit::Now(Ok(Arc::default())),
            _ if Kind::of(parts.uri.path()).is_health() => return Admit::Now(Ok(Arc::default())),
            Self::Callers(callers) | Self::Operators(callers) => callers,
        };
        match identify(callers, parts) {
            Ok(Identified::Known(caller)) => Admit::Now(self.lets_in(caller)),
            Ok(Identified::Later(pending)) => Admit::Later(Waiting { door: self.clone(), pending }),
            Err(error) => Admit::Now(Err(error)),
        }
    }

    fn lets_in(&self, caller: Arc<Caller>) -> Result<Arc<Caller>, Error> {
        if matches!(self, Self::Operators(_)) && !caller.is_admin {
            let message = "the caller may not administer this server; `admin: true` lets it, in its entry of `callers` or \
                           `callers_dir`, or, where a token tells it, in the entry of its issuer's `callers` that fits";
            return Err(Error::new(Reason::PermissionDenied, message));
        }
        Ok(caller)
    }
}

fn identify(callers: &Callers, parts: &Parts) -> Result<Identified, Error> {
    let roster = callers.current();
    if roster.is_open() {
        return roster.identify(Shown::default()).map_err(|stranger| refused(&stranger));
    }
    let key = key(parts)?;
    let certificate = parts.extensions.get::<Certified>().map_or(&[][..], |certified| &certified.names);
    roster.identify(Shown { key, certificate }).map_err(|stranger| refused(&stranger))
}

/// The key that a call shows.
fn key(parts: &Parts) -> Result<Option<&str>, Error> {
    let mut shown = parts.headers.get_all(AUTHORIZATION).into_iter();
    let Some(value) = shown.next() else { return Ok(None) };
    if shown.next().is_some() {
        return Err(invalid("`authorization` stands there more than once"));
    }
    let key = value.to_str().ok().and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    key.map(Some).ok_or_else(|| invalid("`authorization` must be `Bearer` and a key or a token"))
}

fn refused(stranger: &Stranger) -> Error {
    match stranger {
        Stranger::IssuerAway => Error::new(Reason::IssuerUnavailable, stranger.to_string())
            .with(|details| details.retry_after = Some(COME_AGAIN)),
        _ => invalid(stranger.to_string()),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Reason::CredentialsInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callers::{Entry, KeyHash, Roster};
    use crate::domain::CallerName;

    fn callers() -> Callers {
        let entry = |name: &str, is_admin| Entry {
            caller: Caller { name: CallerName::new(name), is_admin, ..Caller::default() },
            keys: vec![KeyHash::of(&format!("key-of-{name}"))],
            certificates: vec![format!("spiffe://example/{name}")],
            tokens: Vec::new(),
        };
        Callers::new(Roster::new(vec![entry("one", false), entry("chief", true)], None, None))
    }

    fn asked(path: &str, authorization: &[&str], certificate: Option<&str>) -> Parts {
        let mut request = http::Request::builder().uri(path);
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        if let Some(name) = certificate {
            parts.extensions.insert(Certified { names: Arc::from([name.to_owned()]) });
        }
        parts
    }

    const COMPLETE: &str = "/completiond.v1.CompletionService/Complete";

    fn now(admit: Admit) -> Result<Arc<Caller>, Error> {
        match admit {
            Admit::Now(admitted) => admitted,
            Admit::Later(_) => panic!("nobody vouches for anybody here"),
        }
    }

    fn who(door: &Door, authorization: &[&str], certificate: Option<&str>) -> Result<String, Reason> {
        let admitted = now(door.admit(&asked(COMPLETE, authorization, certificate)));
        admitted.map(|caller| caller.name.to_string()).map_err(|error| error.reason)
    }

    #[test]
    fn a_caller_shows_a_key_or_a_certificate() {
        let door = Door::Callers(callers());
        for (authorization, certificate) in [
            (vec!["Bearer key-of-one"], None),
            (vec!["bearer  key-of-one "], None),
            (vec![], Some("spiffe://example/one")),
        ] {
            assert_eq!(who(&door, &authorization, certificate).as_deref(), Ok("one"), "{authorization:?}");
        }
    }

    #[test]
    fn who_shows_nothing_or_something_else_is_not_let_in() {
        let door = Door::Callers(callers());
        for authorization in [
            vec![],
            vec![""],
            vec!["key-of-one"],
            vec!["Basic key-of-one"],
            vec!["Bearer"],
            vec!["Bearer "],
            vec!["Bearer key-of-nobody"],
            vec!["Bearer key-of-one", "Bearer key-of-one"],
            vec!["Bearer ké"],
        ] {
            assert_eq!(who(&door, &authorization, None), Err(Reason::CredentialsInvalid), "{authorization:?}");
        }
        assert_eq!(who(&door, &[], Some("spiffe://example/none")), Err(Reason::CredentialsInvalid));
    }

    #[test]
    fn only_who_may_administer_comes_in_where_operators_do() {
        let door = Door::Operators(callers());
        assert_eq!(who(&door, &["Bearer key-of-one"], None), Err(Reason::PermissionDenied));
        assert_eq!(who(&door, &["Bearer key-of-chief"], None).as_deref(), Ok("chief"));
        assert_eq!(who(&door, &[], Some("spiffe://example/chief")).as_deref(), Ok("chief"));
        assert_eq!(who(&door, &[], None), Err(Reason::CredentialsInvalid));
    }

    #[test]
    fn operators_are_not_told_by_a_roster_that_is_open() {
        let door = Door::Operators(Callers::new(Roster::open()));
        assert_eq!(who(&door, &[], None), Err(Reason::PermissionDenied));
    }

    #[test]
    fn a_health_check_needs_no_key_and_nothing_that_looks_like_one_goes_without() {
        let door = Door::Callers(callers());
        assert!(now(door.admit(&asked("/grpc.health.v1.Health/Check", &[], None))).is_ok());
        for path in [COMPLETE, "/grpc.health.v1.Healthy/Check", "/grpc.health.v1.Health", "/", "/stream"] {
            assert!(now(door.admit(&asked(path, &[], None))).is_err(), "{path}");
        }
    }
}
