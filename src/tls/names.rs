//! The names in a certificate.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The most names that are read; certificates of services have one or two.
const MAX_NAMES: usize = 32;
/// The longest, in bytes: SPIFFE's bound.
const MAX_NAME_BYTES: usize = 2048;

/// Its URIs (a SPIFFE id is one), then its DNS names in lower case. Beyond 32 names and 2048 bytes of each, none are read.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let uris = certificate.valid_uri_names().filter(|uri| uri.contains(':')).map(str::to_owned);
    let dns = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    uris.chain(dns).filter(|name| name.len() <= MAX_NAME_BYTES).take(MAX_NAMES).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn named(names: Vec<SanType>) -> Vec<String> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.subject_alt_names = names;
        super::names(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    fn uri(name: &str) -> SanType {
        SanType::URI(name.try_into().unwrap())
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    #[test]
    fn uris_come_first_and_dns_names_in_lower_case() {
        let names = named(vec![dns("Search.Example"), uri("spiffe://prod.example/Search"), dns("*.b.example")]);
        assert_eq!(names, ["spiffe://prod.example/Search", "search.example", "*.b.example"]);
    }

    #[test]
    fn names_have_a_bound() {
        let long = format!("spiffe://{}", "x".repeat(MAX_NAME_BYTES));
        assert_eq!(named(vec![uri(&long), dns("a.example")]), ["a.example"]);
        let many = (0..100).map(|number| dns(&format!("n{number}.example"))).collect();
        assert_eq!(named(many).len(), MAX_NAMES);
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert!(super::names(&CertificateDer::from_slice(b"nonsense")).is_empty());
    }
}
