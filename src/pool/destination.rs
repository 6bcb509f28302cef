//! Where requests to an endpoint go. An endpoint is asked at the same place again and again, so that place is put together
//! once and not for every attempt.

use std::sync::OnceLock;

use http::{HeaderValue, Uri};

use crate::transport::host_header;

/// Where completions are asked for at an endpoint: the first place is kept, and with most protocols it is the only one.
#[derive(Debug, Default)]
pub struct Destinations(OnceLock<(String, Place)>);

/// An address, and what stands for it in the `host` header.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) address: Uri,
    /// None: whoever sends it finds it out.
    pub(super) host: Option<HeaderValue>,
}

impl Destinations {
    /// `path` behind `base`, which is the same each time.
    pub(super) fn of(&self, base: &Uri, path: &str) -> Place {
        let (first, place) = self.0.get_or_init(|| (path.to_owned(), Place::behind(base, path)));
        if first == path { place.clone() } else { Place::behind(base, path) }
    }
}

impl Place {
    /// `path` behind `base`.
    pub(super) fn behind(base: &Uri, path: &str) -> Self {
        let address = address(base, path);
        let host = host_header(&address);
        Self { address, host }
    }
}

/// `path` behind `base`; a query of the base stays.
fn address(base: &Uri, path: &str) -> Uri {
    let mut parts = base.clone().into_parts();
    let before = base.path().trim_end_matches('/');
    let target = match base.query() {
        Some(query) => format!("{before}{path}?{query}"),
        None => format!("{before}{path}"),
    };
    parts.path_and_query = target.parse().ok();
    // Both halves were valid before; an address without a path is refused by the transport.
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_behind_the_base_and_its_query_stays() {
        let cases = [
            ("http://host/v1", "http://host/v1/chat", "host"),
            ("https://host:443/v1/", "https://host:443/v1/chat", "host"),
            ("http://host:443/v1", "http://host:443/v1/chat", "host:443"),
            ("https://[::1]:8443/?api-version=1", "https://[::1]:8443/chat?api-version=1", "[::1]:8443"),
        ];
        for (base, expected, host) in cases {
            let place = Destinations::default().of(&base.parse().unwrap(), "/chat");
            assert_eq!((place.address.to_string().as_str(), place.host.unwrap()), (expected, host.parse().unwrap()));
        }
    }

    #[test]
    fn another_path_is_another_place() {
        let (base, known) = ("http://host/v1".parse().unwrap(), Destinations::default());
        let asked = ["/chat", "/count", "/chat", "/count"].map(|path| known.of(&base, path).address.path().to_owned());
        assert_eq!(asked, ["/v1/chat", "/v1/count", "/v1/chat", "/v1/count"]);
    }
}
