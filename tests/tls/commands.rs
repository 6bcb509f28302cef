//! The commands as clients of a server behind TLS.

use crate::pki::{Authority, uri};
use crate::process::{Process, run};

fn commands(server: &Process, flags: &[&str]) -> Vec<(String, bool, String)> {
    let (public, admin) =
        (format!("https://localhost:{}", server.public.port()), format!("localhost:{}", server.admin.port()));
    let batch = server.folder.write("batch.jsonl", "{\"custom_id\": \"a\", \"request\": {\"prompt\": \"hello\"}}\n");
    let output = server.folder.path().join("results.jsonl");
    let _ = std::fs::remove_file(&output);
    let (batch, output) = (batch.display().to_string(), output.display().to_string());
    let cases: [&[&str]; 5] = [
        &["complete", "--server", &public, "hello"],
        &["models", "--server", &public],
        &["tokens", "--server", &public, "-"],
        &["batch", "--server", &public, &batch, "--output", &output, "--reconnect-for", "0s"],
        &["pool", "--server", &admin, "--once"],
    ];
    let run = |words: &[&str]| {
        let (is_good, text) = run(&[words, flags].concat(), "hello");
        (words[0].to_owned(), is_good, text)
    };
    cases.into_iter().map(run).collect()
}

#[test]
fn every_command_speaks_to_a_server_that_asks_for_certificates() {
    let callers = "callers: [{ name: web, certificates: ['spiffe://prod.example/web'] }]\n";
    let server = Process::with(|folder| folder.asking("tls", "") + &folder.asking("admin_tls", "") + callers);
    let file = |name: &str, text: &str| server.folder.write(name, text).display().to_string();
    let ca = file("ca.crt", server.authority.pem());
    let pair = server.authority.client(&[uri("spiffe://prod.example/web")]);
    let (cert, key) = (file("client.crt", &pair.certificate), file("client.key", &pair.key));
    for (command, is_good, text) in commands(&server, &["--ca", &ca, "--cert", &cert, "--key", &key]) {
        assert!(is_good, "{command}: {text}");
    }
    // Without a certificate, and with an authority that has not signed the server's.
    let other = file("other.crt", Authority::new().pem());
    let wrong: [(&[&str], [&str; 2], &str); 2] = [
        (&["--ca", &ca], ["certificate required", "CertificateRequired"], "--cert FILE and --key FILE"),
        (&["--ca", &other, "--cert", &cert, "--key", &key], ["UnknownIssuer"; 2], "--ca FILE names the one that has"),
    ];
    for (flags, words, advice) in wrong {
        for (command, is_good, text) in commands(&server, flags) {
            assert!(!is_good, "{command}: {text}");
            assert!(words.iter().any(|words| text.contains(words)), "{command}: {text}");
            // A batch tells of its server's loss in its own words.
            assert!(text.contains(advice) || command == "batch", "{command}: {text}");
        }
    }
}

#[test]
fn who_speaks_plain_text_to_tls_or_tls_to_plain_text_is_told_so() {
    let server = Process::with(|folder| folder.section("tls", ""));
    let port = server.public.port();
    let (_, text) = run(&["complete", "--server", &format!("localhost:{port}"), "hello"], "");
    assert!(text.contains("https://"), "{text}");
    let plain = server.admin.port();
    let (_, text) = run(&["pool", "--server", &format!("https://localhost:{plain}"), "--once"], "");
    assert!(text.contains("speaks no TLS: leave out https://"), "{text}");
}
