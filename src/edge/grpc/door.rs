//! Who comes in by a listener: told on the headers of each call, before its body is read.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::kind::Kind;
use crate::callers::{Caller, Callers, Shown, Stranger};
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

impl Door {
    /// Who makes a call with these headers.
    ///
    /// # Errors
    /// `CREDENTIALS_INVALID`: nobody who is known; `PERMISSION_DENIED`: not one who may come in here.
    pub(super) fn admit(&self, parts: &Parts) -> Result<Arc<Caller>, Error> {
        match self {
            Self::Anyone => Ok(Arc::default()),
            _ if Kind::of(parts.uri.path()).is_health() => Ok(Arc::default()),
            Self::Callers(callers) => identify(callers, parts),
            Self::Operators(callers) => {
                let caller = identify(callers, parts)?;
                if caller.is_admin {
                    return Ok(caller);
                }
                let message =
                    "the caller may not administer this server; `admin: true` in its entry of `callers` lets it";
                Err(Error::new(Reason::PermissionDenied, message))
            }
        }
    }
}

fn identify(callers: &Callers, parts: &Parts) -> Result<Arc<Caller>, Error> {
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
    key.map(Some).ok_or_else(|| invalid("`authorization` must be `Bearer` and a key"))
}

fn refused(stranger: &Stranger) -> Error {
    invalid(stranger.to_string())
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

    fn who(door: &Door, authorization: &[&str], certificate: Option<&str>) -> Result<String, Reason> {
        let admitted = door.admit(&asked(COMPLETE, authorization, certificate));
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
        assert!(door.admit(&asked("/grpc.health.v1.Health/Check", &[], None)).is_ok());
        for path in [COMPLETE, "/grpc.health.v1.Healthy/Check", "/grpc.health.v1.Health", "/", "/stream"] {
            assert!(door.admit(&asked(path, &[], None)).is_err(), "{path}");
        }
    }
}
