//! Callers that are told by their certificates.

use completiond::proto::{CompleteRequest, ListModelsRequest};
use rcgen::SanType;
use tonic::Code;
use tonic::Request;
use tonic_types::StatusExt;

use crate::desk::{Client, Desk, Tls};
use crate::pki::{Authority, Holds, dns, uri};
use crate::stage::prompt;

const WEB: &str = "spiffe://prod.example/ns/search/sa/web";

/// Each may ask for a model that the other may not.
const CALLERS: &str = "callers:
  - { name: by-uri, certificates: ['spiffe://prod.example/ns/search/sa/web'], models: [up/one] }
  - { name: by-dns, certificates: [Search.Prod.example], models: [up/two] }
";

async fn asked(client: &mut Client, model: &str) -> Result<(), Code> {
    let request = CompleteRequest { model: model.to_owned(), ..prompt("hello") };
    client.complete(request).await.map(drop).map_err(|status| status.code())
}

#[tokio::test]
async fn a_caller_is_told_by_its_spiffe_id_or_by_its_dns_name() {
    let desk = Desk::asking(CALLERS).await;
    for (names, may, may_not) in [
        (vec![uri(WEB)], "up/one", "up/two"),
        (vec![dns("search.prod.example")], "up/two", "up/one"),
        // A URI says more than a name of a machine.
        (vec![dns("search.prod.example"), uri(WEB)], "up/one", "up/two"),
        (vec![uri("spiffe://prod.example/else"), dns("search.prod.example")], "up/two", "up/one"),
    ] {
        let mut client = desk.client(Some(&desk.authority.client(&names)));
        assert_eq!(asked(&mut client, may).await, Ok(()), "{names:?}");
        assert_eq!(asked(&mut client, may_not).await, Err(Code::NotFound), "{names:?}");
    }
}

#[tokio::test]
async fn a_good_certificate_of_nobody_who_is_known_is_refused_with_the_reason() {
    let desk = Desk::asking(CALLERS).await;
    for names in [vec![uri("spiffe://prod.example/stranger")], vec![uri(&format!("{WEB}/more"))], vec![]] {
        let mut client = desk.client(Some(&desk.authority.client(&names)));
        let status = client.list_models(ListModelsRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{names:?}");
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "CREDENTIALS_INVALID");
    }
    let stranger = desk.authority.client(&[uri("spiffe://prod.example/stranger")]);
    let status = desk.client(Some(&stranger)).list_models(ListModelsRequest::default()).await.unwrap_err();
    assert!(status.message().contains("names no caller that is known here"), "{}", status.message());
}

#[tokio::test]
async fn where_certificates_are_optional_a_key_does_as_well() {
    let key = completiond::callers::KeyHash::of("the-key");
    let callers = format!("{CALLERS}  - {{ name: by-key, keys: ['{key}'] }}\n");
    let desk = Desk::with(|folder| folder.asking("tls", ", client_certificates: optional") + &callers).await;
    let shown = |key: &str| {
        let mut request = Request::new(ListModelsRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        request
    };
    let mut without = desk.client(None);
    without.list_models(shown("the-key")).await.unwrap();
    assert_eq!(without.list_models(shown("guessed")).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(without.list_models(ListModelsRequest::default()).await.unwrap_err().code(), Code::Unauthenticated);
    desk.client(Some(&desk.authority.client(&[uri(WEB)]))).list_models(ListModelsRequest::default()).await.unwrap();
    // One that is shown must be good all the same.
    let names: &[SanType] = &[uri(WEB)];
    let others = Authority::new().client(names);
    assert_eq!(desk.tells(Tls { identity: Some(&others), ..Tls::default() }).await, "received fatal alert: UnknownCA");
    let expired = desk.authority.client_that(names, Holds::NoMore);
    let told = desk.tells(Tls { identity: Some(&expired), ..Tls::default() }).await;
    assert_eq!(told, "received fatal alert: CertificateExpired");
}

#[tokio::test]
async fn where_nobody_is_asked_a_certificate_tells_nothing() {
    let desk = Desk::plain(CALLERS).await;
    let mut client = desk.client(Some(&desk.authority.client(&[uri(WEB)])));
    let status = client.list_models(ListModelsRequest::default()).await.unwrap_err();
    assert!(status.message().contains("a key is needed"), "{}", status.message());
}
