//! TLS in the file: each rule broken once, files that cannot be used, and what is read when nothing is wrong.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use completiond::config::{Config, Overrides};
use completiond::tls::ClientCertificates;

use super::pki::{Authority, Folder, Holds, Pair};
use super::{environment, parse, sources, told, with_provider};

/// The text of a file whose certificates are said to be in `/run/secrets/tls`, with a folder in which they are.
#[expect(clippy::unwrap_used, reason = "without the files there is nothing to test")]
pub(super) fn with_files(text: &str) -> String {
    static FILES: OnceLock<String> = OnceLock::new();
    let folder = FILES.get_or_init(|| {
        let folder = format!("{}/config-tls", env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(&folder).unwrap();
        let (authority, others) = (Authority::new(), Authority::new());
        let pair = authority.server();
        for name in ["server", "admin", "other"] {
            std::fs::write(format!("{folder}/{name}.crt"), &pair.certificate).unwrap();
            std::fs::write(format!("{folder}/{name}.key"), &pair.key).unwrap();
        }
        for (name, authority) in [("clients", &authority), ("operators", &authority), ("others", &others)] {
            std::fs::write(format!("{folder}/{name}.crt"), authority.pem()).unwrap();
        }
        for name in ["callers", "callers-elsewhere"] {
            std::fs::create_dir_all(format!("{folder}/{name}")).unwrap();
        }
        folder
    });
    text.replace("/run/secrets/tls", folder).replace("/run/secrets/callers", &format!("{folder}/callers"))
}

#[test]
fn each_rule_of_tls_broken_once() {
    let good = "certificate: /run/secrets/tls/server.crt, key: /run/secrets/tls/server.key";
    let cases = [
        ("tls", "key: /k".to_owned(), "tls: lacks `certificate`"),
        ("admin_tls", "certificate: /c".to_owned(), "admin_tls: lacks `key`"),
        ("tls", "certificate: '', key: /k".to_owned(), "tls.certificate: is empty"),
        (
            "tls",
            format!("{good}, client_certificates: optional"),
            "tls.client_certificates: asks for certificates, and no `client_ca` says whose count; write `client_ca`",
        ),
        (
            "admin_tls",
            format!("{good}, client_ca: /run/secrets/tls/clients.crt, client_certificates: maybe"),
            "admin_tls.client_certificates: `maybe` says nothing about certificates; `required` or `optional`",
        ),
        ("tls", format!("{good}, reload_interval: 0"), "tls.reload_interval: must be above 0"),
        (
            "tls",
            format!("{good}, clientca: /c"),
            "tls.clientca: is no key that is known here; did you mean `client_ca` or `client_certificates`?",
        ),
    ];
    for (section, keys, expected) in cases {
        let told = told(&with_files(&with_provider(&format!("{section}: {{ {keys} }}"))));
        assert!(told.contains(expected), "{keys}: {told}");
    }
}

#[test]
fn files_that_cannot_be_used_are_told_with_their_key_and_path_and_nothing_of_what_they_hold() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.server();
    let of = |certificate: &str, key: &str| Pair { certificate: certificate.into(), key: key.into(), serial: 0 };
    let cut = good.certificate.replace("-----END CERTIFICATE-----", "");
    let cases = [
        (of("", &good.key), "tls.certificate: the file FOLDER/server.crt has no certificate in PEM"),
        (of("a letter", &good.key), "tls.certificate: the file FOLDER/server.crt has no certificate in PEM"),
        (of(&cut, &good.key), "tls.certificate: the file FOLDER/server.crt is damaged: it is no PEM throughout"),
        (of(&good.key, &good.key), "tls.certificate: the file FOLDER/server.crt has no certificate in PEM"),
        (
            of(&good.certificate, &good.certificate),
            "tls.key: the file FOLDER/server.key has no private key in PEM (PKCS#8, PKCS#1 or SEC1; one with a password is not read)",
        ),
        (
            of(&good.certificate, &other.server().key),
            "tls.key: the key in FOLDER/server.key is not that of the certificate in FOLDER/server.crt",
        ),
        (
            of(&good.certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            "tls.key: the key in FOLDER/server.key is of no kind that is known here; RSA with 2048 to 8192 bits, ECDSA on P-256 or P-384, and Ed25519 are",
        ),
        (
            authority.server_that(Holds::NoMore),
            "tls.certificate: the certificate in FOLDER/server.crt has expired at 2021-01-01T00:00:00Z",
        ),
        (
            authority.server_that(Holds::NotYet),
            "tls.certificate: the certificate in FOLDER/server.crt does not hold before 2099-01-01T00:00:00Z",
        ),
    ];
    for (pair, expected) in cases {
        let folder = Folder::with(&pair, &authority);
        let told = told(&with_provider(&folder.asking("tls", "")));
        let expected = expected.replace("FOLDER", &folder.path().display().to_string());
        assert!(told.ends_with(&expected), "{expected}:\n{told}");
        assert!(told.lines().count() == 1 && !told.contains("MII"), "{told}");
    }
    let folder = Folder::with(&good, &authority);
    let text = with_provider(&folder.asking("tls", ""));
    folder.write("clients.crt", "nobody");
    assert!(told(&text).contains("tls.client_ca: the file") && told(&text).ends_with("has no certificate in PEM"));
    std::fs::remove_file(folder.path().join("server.key")).unwrap();
    folder.write("clients.crt", authority.pem());
    assert!(told(&text).contains("server.key cannot be read: No such file"), "{}", told(&text));
}

#[test]
fn a_section_is_read_as_it_stands_and_a_relative_path_begins_beside_the_file() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = authority.server();
    for (name, text) in [("crt", pair.certificate.as_str()), ("key", &pair.key), ("ca", authority.pem())] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let read = |more: &str| {
        let text = with_provider(&format!("tls: {{ certificate: crt, key: key{more} }}"));
        let path = folder.path().join("c.yaml");
        Config::parse(&text, &path, &Overrides::default(), &sources(&environment)).unwrap().tls.unwrap()
    };
    let plain = read("");
    assert_eq!((plain.files.certificate, plain.files.clients), (folder.path().join("crt"), None));
    assert_eq!(plain.reload_interval, Duration::from_secs(10));
    let clients = |more: &str| read(more).files.clients.unwrap().certificates;
    assert_eq!(clients(", client_ca: ca"), ClientCertificates::Required);
    assert_eq!(clients(", client_ca: ca, client_certificates: optional"), ClientCertificates::Optional);
}

#[test]
fn what_is_doubtful_about_keys_and_certificates_is_said() {
    let warned = |text: &str| {
        let config = parse(&with_files(&with_provider(text))).unwrap();
        config.warnings.into_iter().map(|warning| warning.rule).collect::<Vec<_>>().join("\n")
    };
    let hash = completiond::callers::KeyHash::of("a");
    let (key, named) =
        (format!("callers: [{{ name: a, keys: ['{hash}'] }}]"), "callers: [{ name: a, certificates: [a] }]");
    let tls = "tls: { certificate: /run/secrets/tls/server.crt, key: /run/secrets/tls/server.key";
    let told = warned(&format!("listen: 0.0.0.0:1\n{key}"));
    assert!(told.contains("`listen` is 0.0.0.0:1, which others reach, and keys go there in plain text"), "{told}");
    assert_eq!(warned(&format!("listen: 0.0.0.0:1\n{key}\n{tls} }}")), "");
    assert_eq!(warned(&key), "");
    let told = warned(&format!("{named}\n{tls} }}"));
    assert!(told.contains("`a` is told by its certificate alone, and no listener asks for one"), "{told}");
    assert_eq!(warned(&format!("{named}\n{tls}, client_ca: /run/secrets/tls/clients.crt }}")), "");
    let told = warned(&format!("listen: unix:/run/x.sock\n{tls} }}"));
    assert!(told.contains("is not used: what goes through a socket in the file system stays in plain text"), "{told}");
}

#[test]
fn what_is_doubtful_about_operators_from_elsewhere_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let warned = |text: &str| {
        let config = parse(&with_files(&with_provider(text))).unwrap();
        config.warnings.into_iter().map(|warning| format!("{}; {}", warning.rule, warning.right)).collect::<Vec<_>>()
    };
    let hash = completiond::callers::KeyHash::of("a");
    let reached = "admin_listen: 0.0.0.0:1";
    let chief = format!("callers: [{{ name: a, keys: ['{hash}'], admin: true }}]");
    let tls = "admin_tls: { certificate: /run/secrets/tls/server.crt, key: /run/secrets/tls/server.key";
    let plain =
        "`admin_listen` is 0.0.0.0:1, which others reach, and keys of admins go there in plain text; write `admin_tls`";
    let told = warned(&format!("{reached}\n{chief}"));
    assert!(told.len() == 1 && told[0].starts_with(plain), "{told:?}");
    assert_eq!(warned(&format!("{reached}\n{chief}\n{tls} }}")), Vec::<String>::new());
    assert_eq!(warned(&chief), Vec::<String>::new(), "nobody else reaches it");
    let issuer = "issuers: [{ name: corp, issuer: i, audiences: [c], jwks: 'https://login.example/k', callers: [{ admin: true }] }]";
    let told = warned(&format!("{reached}\n{issuer}"));
    assert!(told.len() == 1 && told[0].contains("and tokens of admins go there in plain text"), "{told:?}");
    let named = "callers: [{ name: a, certificates: [a.example], admin: true }]";
    let told = warned(&format!("{reached}\n{named}\n{tls} }}"));
    assert!(
        told.iter().any(|told| told.contains("and `admin_listen` asks for none; write `admin_tls` with `client_ca`")),
        "{told:?}"
    );
    assert_eq!(
        warned(&format!("{reached}\n{named}\n{tls}, client_ca: /run/secrets/tls/clients.crt }}")),
        Vec::<String>::new()
    );
    std::fs::write(folder.path().join("a.yaml"), format!("{{ name: a, keys: ['{hash}'] }}")).unwrap();
    let told = warned(&format!("{reached}\ncallers_dir: {{ path: {} }}", folder.path().display()));
    assert!(
        told.len() == 1 && told[0].contains("no caller in `callers_dir` is an admin yet; write `admin: true`"),
        "{told:?}"
    );
}

#[test]
fn certificates_and_callers_that_show_them_are_enough_to_listen_elsewhere() {
    let text = "listen: 0.0.0.0:1\ncallers: [{ name: a, certificates: [A.example] }]\n\
                tls: { certificate: /run/secrets/tls/server.crt, key: /run/secrets/tls/server.key, client_ca: /run/secrets/tls/clients.crt }";
    let config = parse(&with_files(&with_provider(text))).unwrap();
    assert_eq!(config.admitted.callers[0].certificates, ["a.example"]);
    // Nobody is let in by encryption alone.
    let open = "listen: 0.0.0.0:1\ntls: { certificate: /run/secrets/tls/server.crt, key: /run/secrets/tls/server.key }";
    assert!(told(&with_files(&with_provider(open))).contains("nobody is asked for a key"));
}

#[test]
fn a_server_that_only_its_process_reaches_looks_at_no_certificates() {
    let overrides = Overrides { plain_text: true, ..Overrides::default() };
    let text = with_provider("tls: { certificate: /nowhere, key: /nowhere }\nadmin_tls: { certificate: /x, key: /x }");
    let config = Config::parse(&text, Path::new("c.yaml"), &overrides, &sources(&environment)).unwrap();
    assert!(config.tls.is_none() && config.admin_tls.is_none());
}
