//! What to do where this client and a server do not come to terms on TLS.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::client::root_cause;

/// What the server wants and did not get.
const WANTED: &str = "the server asks clients for a certificate: --cert FILE and --key FILE";
/// What the server got and does not take.
const NOT_TAKEN: &str = "the server does not take the certificate of --cert; its log says why";

/// What to do about it; none: TLS is not what is wrong.
pub(super) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    fault(error).map_or_else(|| by_words(&root_cause(error)), of_fault)
}

fn of_fault(fault: &rustls::Error) -> Option<&'static str> {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let advice = match fault {
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            "no authority that is trusted here has made the server's certificate; --ca FILE names the one that has"
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "the certificate is for another name: use one that stands in it"
        }
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => "the server's certificate is not valid at this time; look at its dates, and at the clock here",
        // It has no variant of its own.
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "the server's certificate is an authority's own: make one for the server, which is none (`basicConstraints=CA:FALSE`)"
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => WANTED,
        rustls::Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => NOT_TAKEN,
        rustls::Error::InvalidMessage(_) => "what answers there speaks no TLS: leave out https://, --ca and --cert",
        _ => return None,
    };
    Some(advice)
}

/// The same, once HTTP/2 runs over it: its library keeps of what is below it only the words.
fn by_words(text: &str) -> Option<&'static str> {
    const ALERTS: [(&str, &str); 4] = [
        ("fatal alert: CertificateRequired", WANTED),
        ("fatal alert: UnknownCA", NOT_TAKEN),
        ("fatal alert: Certificate", NOT_TAKEN),
        ("fatal alert: BadCertificate", NOT_TAKEN),
    ];
    // An alert of TLS, read as a frame of HTTP/2.
    const NO_FRAME: (&str, &str) =
        ("frame with invalid size", "what answers there may speak TLS: write https:// before it, or name --ca FILE");
    ALERTS.into_iter().chain([NO_FRAME]).find(|(words, _)| text.contains(words)).map(|(_, advice)| advice)
}

/// What TLS says, in whatever it is wrapped.
fn fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<rustls::Error>() {
            return Some(fault);
        }
        // What an I/O error was made of is not its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| fault(inner)) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_whatever_it_is_wrapped() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let wrapped = io::Error::other(io::Error::other(alert));
        assert!(advice(&wrapped).unwrap().contains("--cert FILE"));
        assert_eq!(advice(&io::Error::other("refused")), None);
    }
}
