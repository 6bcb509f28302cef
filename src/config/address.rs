//! Addresses: where the server listens, and where a provider is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;

use super::problem::Wrong;

/// Where a listener is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `host:port`: an address or a name that resolves to one. Port 0: any free one.
    Tcp(String),
    /// `unix:/path`: a socket in the file system.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => host_of(address).is_some_and(|(host, _)| is_loopback(host)),
        }
    }

    /// Whether two listeners would want the same address.
    pub(super) fn collides(&self, other: &Self) -> bool {
        self == other && !matches!(self, Self::Tcp(address) if address.ends_with(":0"))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why text is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; {right}", right = Self::RIGHT)]
pub struct ListenAddressError(&'static str);

impl ListenAddressError {
    /// What would be right.
    pub(super) const RIGHT: &str = "write `host:port`, as in `127.0.0.1:50051`, or `unix:/path`";

    /// The rule that is broken.
    pub(super) const fn rule(self) -> &'static str {
        self.0
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err(ListenAddressError("is no absolute path"))
            };
        }
        match host_of(text) {
            Some(("", _)) => Err(ListenAddressError("has no host (`0.0.0.0` is every address of this machine)")),
            Some(_) => Ok(Self::Tcp(text.to_owned())),
            None => Err(ListenAddressError("is no address")),
        }
    }
}

/// Host and port of `host:port`, the host without brackets.
fn host_of(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').filter(|host| host.parse::<Ipv6Addr>().is_ok())?,
        None if host.contains(':') => return None,
        None => host,
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    host.chars().all(is_host).then_some((host, port))
}

/// Whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads the base address of a provider: absolute, without a query, and without a slash at its end.
///
/// # Errors
/// What is wrong with it; it is not quoted, for it might hold a password.
pub(super) fn base_url(text: &str) -> Result<Uri, Wrong> {
    let uri = absolute(text, &["http", "https", "simulator"])?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Wrong::new("must not hold a user or a password", "write them as `api_key` or in `headers`"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(Wrong::new("must not have a query or a fragment", "leave out what follows the path"));
    }
    text.trim_end_matches('/').parse().map_err(|_| Wrong::new("is no address", ""))
}

/// Reads the address of an HTTP proxy.
///
/// # Errors
/// What is wrong with it; it is not quoted, for it might hold a password.
pub(super) fn proxy(text: &str) -> Result<Uri, Wrong> {
    absolute(text, &["http", "https"])
}

fn absolute(text: &str, schemes: &[&str]) -> Result<Uri, Wrong> {
    let right = "write it with its scheme, as in `https://host/path`";
    let uri: Uri = text.parse().map_err(|_| Wrong::new("is no address", right))?;
    let written = uri.authority().map_or("", |authority| authority.as_str());
    let port = written.rsplit(['@', ']']).next().and_then(|rest| rest.rsplit_once(':'));
    if port.is_some_and(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(Wrong::new("has a port that is none", "a port is a number up to 65535"));
    }
    let Some(scheme) = uri.scheme_str().filter(|_| uri.host().is_some_and(|host| !host.is_empty())) else {
        return Err(Wrong::new("is no absolute address", right));
    };
    if !schemes.contains(&scheme) {
        return Err(Wrong::new(format!("has the unknown scheme `{scheme}`"), "write `https` or `http`"));
    }
    Ok(uri)
}

/// Whether what is sent there stays on this machine or in a private network, as far as its name tells.
pub(super) fn is_private(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        // A name without a dot is one of a container network or of the local domain.
        Err(_) => {
            !host.contains('.')
                || [".local", ".internal", ".svc", ".localhost", ".lan"].iter().any(|suffix| host.ends_with(suffix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_in_all_their_forms() {
        let good = [
            ("127.0.0.1:50051", true),
            ("[::1]:0", true),
            ("localhost:1", true),
            ("unix:/run/x.sock", true),
            ("0.0.0.0:50051", false),
            ("[::]:50051", false),
            ("gateway-1.example:65535", false),
        ];
        for (text, loopback) in good {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_loopback()), (text, loopback));
        }
        for text in ["", "50051", ":50051", "host:", "host:65536", "host:+1", "::1:50051", "[x]:1", "unix:x", "a b:1"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn base_addresses_lose_their_last_slash_and_nothing_else() {
        let cases = [
            ("https://api.example/v1", Ok("https://api.example/v1")),
            ("https://api.example/v1/", Ok("https://api.example/v1")),
            ("http://localhost:8080", Ok("http://localhost:8080/")),
            ("simulator://local", Ok("simulator://local/")),
            ("api.example/v1", Err("is no address")),
            ("http://host:99999/v1", Err("has a port that is none")),
            ("http://[::1]:x/v1", Err("has a port that is none")),
            ("/v1", Err("is no absolute address")),
            ("https://", Err("is no address")),
            ("ftp://api.example", Err("has the unknown scheme `ftp`")),
            ("https://me:pw@api.example", Err("must not hold a user or a password")),
            ("https://api.example/?v=1", Err("must not have a query or a fragment")),
            ("https://api.example/#x", Err("must not have a query or a fragment")),
        ];
        for (text, expected) in cases {
            let read = base_url(text).map(|uri| uri.to_string()).map_err(|wrong| wrong.rule);
            assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn private_hosts_are_known_by_address_or_name() {
        for private in ["127.0.0.1", "10.0.0.7", "192.168.1.1", "[::1]", "[fd00::1]", "vllm", "llm.svc", "x.internal"] {
            assert!(is_private(&format!("http://{private}/").parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "api.example.com", "[2001:db8::1]"] {
            assert!(!is_private(&format!("http://{public}/").parse().unwrap()), "{public}");
        }
    }
}
