//! What stands for an upstream in the `host` header.

use http::{HeaderValue, Uri};

/// The name, and the port where it is not the one of the scheme; none: it is no address of HTTP.
pub fn host_header(address: &Uri) -> Option<HeaderValue> {
    let name = address.host()?;
    let usual = match address.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return None,
    };
    match address.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{name}:{port}").parse().ok(),
        None => name.parse().ok(),
    }
}
