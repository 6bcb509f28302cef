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
    for flags in [&["--ca", &ca][..], &["--ca", &other, "--cert", &cert, "--key", &key]] {
        for (command, is_good, text) in commands(&server, flags) {
            assert!(!is_good, "{command}: {text}");
            let words = ["certificate required", "CertificateRequired", "UnknownIssuer"];
            assert!(words.iter().any(|words| text.contains(words)), "{command}: {text}");
        }
    }
}
