//! Which pages may call: the list of their origins, and what browsers are told about it (CORS).
//!
//! A browser sends some requests of any page without asking first, as a form with a text in it. So a request that names an
//! origin is served only if that is on the list: telling the browser afterwards to hide the answer would be too late, for the
//! call would have been made and paid for.

use std::time::Duration;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use super::REQUEST_ID;

/// How long a browser may remember the answer; none does for longer.
const REMEMBERED: Duration = Duration::from_secs(2 * 60 * 60);

/// What scripts may see of an answer's head, beside what they always may.
const EXPOSED: [HeaderName; 7] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("grpc-retry-pushback-ms"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static(REQUEST_ID),
    header::RETRY_AFTER,
];

/// The origins whose pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// These; none by default.
    Listed(Vec<HeaderValue>),
    /// All.
    Any,
}

impl Default for Origins {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Origins {
    /// Whether a request may be served, as far as its origin goes: no page has sent it, or one that may.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).into_iter();
        match (origins.next(), origins.next(), self) {
            (None, ..) => true,
            (Some(_), Some(_), _) => false,
            (Some(_), None, Self::Any) => true,
            (Some(origin), None, Self::Listed(listed)) => listed.contains(origin),
        }
    }

    /// What tells browsers so.
    pub(super) fn layer(&self) -> CorsLayer {
        let told = CorsLayer::new()
            .allow_methods([Method::POST])
            // Metadata may have any name.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED)
            .max_age(REMEMBERED);
        match self {
            // Cookies and certificates never go with a call of just any page.
            Self::Any => told.allow_origin(Any),
            Self::Listed(listed) => told.allow_origin(AllowOrigin::list(listed.clone())).allow_credentials(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origins: &[&str]) -> HeaderMap {
        origins.iter().map(|origin| (header::ORIGIN, origin.parse().unwrap())).collect()
    }

    #[test]
    fn who_names_an_origin_must_be_on_the_list() {
        let listed = Origins::Listed(vec![HeaderValue::from_static("https://app.example")]);
        assert!(listed.allow(&from(&[])) && listed.allow(&from(&["https://app.example"])));
        for stranger in ["https://app.example.evil", "http://app.example", "https://app.example:444", "null", ""] {
            assert!(!listed.allow(&from(&[stranger])), "{stranger}");
        }
        assert!(!listed.allow(&from(&["https://app.example", "https://evil.example"])));
        assert!(!Origins::default().allow(&from(&["https://app.example"])));
        assert!(Origins::default().allow(&from(&[])));
        assert!(Origins::Any.allow(&from(&["null"])));
    }
}
