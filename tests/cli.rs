//! The command as a person or a script sees it: output, errors, exit codes. Each case runs the program itself, without
//! the environment of whoever runs the tests, so that the simulator answers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]
#![expect(clippy::panic, reason = "a case that should not be reached fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_completiond"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    told(command(arguments).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn with_input(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child =
        command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    told(child.wait_with_output().unwrap())
}

/// A server on a port that the system chose. It ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(more: &[&str]) -> Self {
        let any = "127.0.0.1:0";
        let mut child = command(&["serve", "--listen", any, "--admin-listen", any, "--ops-listen", any])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = said
            .map(|line| line.trim().to_owned())
            .find_map(|line| line.strip_prefix("calls").map(|address| address.trim().to_owned()))
            .unwrap_or_else(|| panic!("the server did not say where it listens"));
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_answer_goes_to_standard_output_and_nothing_else_does() {
    let (code, out, err) = run(&["complete", "sim: echo\nthe", "words"]);
    assert_eq!((code, out.as_str()), (0, "the words\n"), "{err}");
    assert!(err.contains("tokens") && err.contains("simulator/simulator"), "{err}");
    assert!(!err.contains('\u{1b}'), "colours without a terminal: {err:?}");
}

#[test]
fn a_prompt_comes_from_standard_input_too() {
    for arguments in [&["complete"][..], &["complete", "-"]] {
        assert_eq!(with_input(arguments, "sim: echo\nfrom a pipe").1, "from a pipe\n");
    }
    let (code, _, err) = with_input(&["complete"], " \n");
    assert_eq!(code, 2);
    assert!(err.contains("the prompt on standard input is empty"), "{err}");
}

#[test]
fn json_is_the_contracts_own() {
    let (code, out, _) = run(&["complete", "--json", "--max-tokens", "50", "sim: echo\nhi"]);
    let response: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &response["text"]), (0, &Value::from("hi")));
    assert_eq!(response["outcome"]["finish_reason"], "FINISH_REASON_STOP");
    assert_eq!(response["outcome"]["simulated"], true);
    assert_eq!(response["outcome"]["max_tokens"], 50);

    let (_, out, _) = run(&["complete", "--json", "--stream", "hi"]);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events[0].get("started").is_some());
    assert!(events.last().unwrap().get("completed").is_some());
}

#[test]
fn a_failed_call_is_told_in_words_with_what_to_do() {
    let (code, out, err) = run(&["complete", "sim: error=rate_limit retry_after=3"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("PROVIDER_RATE_LIMITED, RESOURCE_EXHAUSTED"), "{err}");
    assert!(err.contains("try again in 3s"), "{err}");

    let (code, _, err) = run(&["complete", "--model", "simulater", "hi"]);
    assert_eq!(code, 1);
    assert!(err.contains("MODEL_NOT_FOUND, NOT_FOUND") && err.contains("near to it: simulator"), "{err}");
}

#[test]
fn a_broken_answer_never_looks_complete() {
    let (code, out, err) = run(&["complete", "sim: cut_after=5 tokens=50"]);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("STREAM_INTERRUPTED, UNAVAILABLE"), "{err}");
}

#[test]
fn a_server_elsewhere_answers_the_same() {
    let server = Server::start(&[]);
    let (code, out, err) = run(&["complete", "--server", &server.address, "sim: echo\nover there"]);
    assert_eq!((code, out.as_str()), (0, "over there\n"), "{err}");
    let (code, out, err) = run(&["models", "--server", &server.address]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("simulator (default)"), "{out}");
    let (_, out, _) = run(&["models", "--json", "--server", &server.address]);
    let models: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(models[0]["id"], "simulator");
}

#[test]
fn a_server_that_is_not_there_is_not_reachable() {
    let (code, _, err) = run(&["complete", "--server", "127.0.0.1:1", "hi"]);
    assert_eq!(code, 4);
    assert!(err.contains("127.0.0.1:1 is not reachable: Connection refused"), "{err}");
    assert_eq!(run(&["models", "--server", "unix:/nowhere/x.sock"]).0, 4);
    assert_eq!(run(&["models", "--server", "not an address"]).0, 2);
}

#[test]
fn an_interrupt_ends_a_call_and_a_server() {
    let interrupt = |child: &mut Child, signal: &str| {
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        child.wait().unwrap().code()
    };
    // The first event says that the call runs; nothing follows it.
    let mut call = command(&["complete", "--json", "--stream", "sim: stall_after=2 tokens=50"]);
    let mut call = call.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut events = BufReader::new(call.stdout.take().unwrap()).lines();
    assert!(events.next().unwrap().unwrap().contains("started"));
    assert_eq!(interrupt(&mut call, "-INT"), Some(130));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    std::fs::write(&path, "providers: [{ id: a, preset: simulator }]\ndrain_delay: 0\n").unwrap();
    let mut server = Server::start(&["--config", path.to_str().unwrap()]);
    assert_eq!(interrupt(&mut server.child, "-TERM"), Some(0));
}

#[test]
fn images_are_files_or_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.png");
    std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
    let (code, out, err) = run(&["complete", "--image", path.to_str().unwrap(), "sim: echo\nlook"]);
    assert_eq!((code, out.as_str()), (0, "look\n"), "{err}");
    let (code, _, err) = run(&["complete", "--image", "/nowhere.png", "look"]);
    assert_eq!(code, 2);
    assert!(err.contains("--image /nowhere.png: No such file"), "{err}");
}

#[test]
fn check_says_what_a_file_would_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    let file = path.to_str().unwrap();
    std::fs::write(
        &path,
        "providers:\n  - id: a\n    protocol: openai\n    base_url: http://127.0.0.1:9/v1\n    api_key: ${SECRET}\n    \
         max_in_flight: 64\n    adaptive_concurrency: true\n    http2: true\n\
         models:\n  - { id: smart, targets: [{ provider: a, model: m }], fallback_models: [fast, a/o], hedge: {} }\n  \
         - { id: fast, targets: [{ provider: a, model: n }] }\nretry: { max_attempts: 6 }\nlimits: { max_in_flight: 100 }\n\
         cache: { enabled: true }\nprompt_cache: { mode: automatic, ttl: 1h }\n",
    )
    .unwrap();
    let check = |more: &[&str], secret: &str| {
        let mut command = command(&["check", "--config", file]);
        told(command.args(more).env("SECRET", secret).output().unwrap())
    };
    let (code, out, err) = check(&[], "sk-hidden");
    assert_eq!(code, 0, "{out}{err}");
    let parts = [
        "ok  ",
        "at http://127.0.0.1:9/v1, key from environment variable SECRET",
        "    over HTTP/2, on connections that calls share\n",
        "    attempts in flight at each model: as many as it bears, at most 64\n",
        "smart\n    a/m",
        "    then fast, a/o\n    hedged at quantile 0.95, not before 200ms, share of calls 0.05\n",
        "at most 6 per call, delay 500ms up to 30s",
        "and 100 calls",
        "given again for 5m: those at temperature 0, and where a request asks for it; in memory, up to 256MiB\n",
        "known for 10m after their end, up to 64MiB\n",
        "asked of providers for all requests, for 1h or the next longer time\n",
    ];
    for part in parts {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, json, _) = check(&["--json"], "sk-hidden");
    let report: Value = serde_json::from_str(&json).unwrap();
    let plan = &report["plan"];
    assert_eq!(plan["providers"][0]["key"], "environment variable SECRET");
    assert_eq!((&plan["retry"]["max_attempts"], &plan["max_in_flight"]), (&Value::from(6), &Value::from(100)));
    assert_eq!(plan["models"][0]["fallback_models"], serde_json::json!(["fast", "a/o"]));
    assert_eq!((&plan["models"][0]["hedge"]["max_share"], &plan["models"][1]["hedge"]), (&0.05.into(), &Value::Null));
    assert!(!format!("{out}{err}{json}").contains("sk-hidden"));
}

#[test]
fn check_says_who_may_call() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    let file = path.to_str().unwrap();
    let hash = format!("sha256:{}", "0".repeat(64));
    let providers = "providers: [{ id: a, preset: simulator }]\n";
    let check = |text: &str| {
        std::fs::write(&path, format!("{providers}{text}")).unwrap();
        let (code, out, err) = run(&["check", "--config", file]);
        assert_eq!(code, 0, "{out}{err}");
        out
    };
    let out = check("");
    assert!(out.contains("for callers, plain text\n"), "{out}");
    assert!(out.contains("callers\n  whoever reaches the listener; no credentials are looked at\n"), "{out}");
    let out = check(&format!(
        "callers:\n  - {{ name: web, keys: ['{hash}'], models: [smart, 'a/*'], limits: {{ in_flight: 3, spend_per_day: 5 }} }}\n  \
         - {{ name: chief, certificates: ['spiffe://x/chief'], admin: true }}\n"
    ));
    for part in [
        "  web  told by a key\n    models smart, a/*; at most 3 calls at a time, 5 USD a day\n",
        "  chief  told by the certificate of spiffe://x/chief, administers the server\n    all models; no limits of its own\n",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("whoever"), "{out}");
    let (_, json, _) = run(&["check", "--json", "--config", file]);
    let access = &serde_json::from_str::<Value>(&json).unwrap()["plan"]["access"];
    assert_eq!((&access["anonymous"], &access["callers"][0]["keys"]), (&Value::from(false), &Value::from(1)));
    assert!(!format!("{out}{json}").contains("0000"), "a hash is shown");
}

#[test]
fn check_says_which_pages_and_which_tokens_may_what() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    let file = path.to_str().unwrap();
    let keys = directory.path().join("keys.json");
    let text = format!(
        "providers: [{{ id: a, preset: simulator }}]\nmodels: [{{ id: smart, targets: [{{ provider: a, model: m }}] }}]\n\
         web: {{ origins: ['https://app.example', 'http://localhost:5173'] }}\n\
         issuers:\n  - name: corp\n    issuer: https://login.example\n    audiences: [completiond]\n    jwks: file:{}\n    \
         caller_claim: email\n    models_claim: may\n    callers:\n      \
         - {{ claims: {{ groups: ops }}, admin: true }}\n      - {{ models: [smart], limits: {{ requests_per_minute: 60 }} }}\n",
        keys.display()
    );
    std::fs::write(&path, text).unwrap();
    let check = |warning: &str| {
        let (code, out, err) = run(&["check", "--config", file]);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(out.contains("issuers[0].jwks: "), !warning.is_empty(), "{out}");
        assert!(out.contains(warning), "{warning}: {out}");
        out
    };
    let out = check("cannot be read: No such file");
    for part in [
        "corp:*  told by tokens of https://login.example for completiond, keys from ",
        "    named by the claim email\n    with groups: ops, administers the server: all models; no limits of its own\n    \
         each token: models smart; at most 60 requests a minute\n",
        "    and of the models only those that the claim may names\n",
        "  from pages of https://app.example, http://localhost:5173\n",
        "for operators, plain text; who is on this machine is not asked for credentials\n",
        "    write a set of keys (JWKS) there: until it is there, tokens of this issuer cannot be checked\n",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, json, _) = run(&["check", "--json", "--config", file]);
    let access = &serde_json::from_str::<Value>(&json).unwrap()["plan"]["access"];
    assert_eq!(access["web_origins"], serde_json::json!(["https://app.example", "http://localhost:5173"]));
    let issuer = &access["issuers"][0];
    assert_eq!((&issuer["caller_claim"], &issuer["models_claim"]), (&"email".into(), &"may".into()));
    assert_eq!(
        issuer["callers"][0],
        serde_json::json!({
            "claims": { "groups": "ops" }, "models": null, "admin": true,
            "limits": { "requests_per_minute": null, "tokens_per_minute": null, "in_flight": null, "spend_per_day": null },
        })
    );
    for (set, warning) in [
        ("[]", "is no set of keys (JWKS)"),
        ("{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}", "has no key with which a signature is verified"),
        ("{\"keys\": []}", "has no key, which refuses all tokens"),
        // The public key of RFC 8037.
        (r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJHURdo"}]}"#, ""),
    ] {
        std::fs::write(&keys, set).unwrap();
        check(warning);
    }
    std::fs::remove_file(&keys).unwrap();
    std::fs::create_dir(&keys).unwrap();
    check("is a directory; only a regular file");
}

#[test]
fn check_says_what_is_wrong_with_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "lisen: x\nproviders:\n  - id: a\n    protocol: opnai\n").unwrap();
    let (code, out, _) = run(&["check", "--config", file]);
    assert_eq!(code, 3);
    let expected = format!(
        "{file}:1:1: error: lisen: is no key that is known here\n    did you mean `listen`?\n\
         {file}:4:15: error: providers[0].protocol: `opnai` is no protocol that is known here\n    did you mean `openai`?\n\
         {file}: 2 errors\n"
    );
    assert_eq!(out, expected);
    let (code, out, _) = run(&["check", "--json", "--config", file]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["ok"], &report["errors"][1]["line"]), (3, &Value::from(false), &Value::from(4)));
    // The server does not start with it either, and says the same.
    let (code, _, err) = run(&["--config", file]);
    assert_eq!((code, err), (3, expected));
}

#[test]
fn a_configuration_that_would_be_left_unread_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    std::fs::write(&path, "providers: [{ id: a, preset: simulator }]\n").unwrap();
    let file = path.to_str().unwrap();
    for (arguments, words) in [
        (&["pool", "--once"][..], "`admin_listen` of its configuration"),
        (&["top", "--once"], "`ops_listen` of its configuration"),
        (&["key", "new"], "keys are made without a configuration"),
        (&["models", "--server", "127.0.0.1:1"], "127.0.0.1:1 is asked (--server, or COMPLETIOND_SERVER)"),
        (&["complete", "--server", "127.0.0.1:1", "hi"], "127.0.0.1:1 is asked"),
        (&["tokens", "--server", "127.0.0.1:1", "hi"], "127.0.0.1:1 is asked"),
        (&["batch", "--server", "127.0.0.1:1", "in.jsonl", "-o", "out.jsonl"], "127.0.0.1:1 is asked"),
    ] {
        // Before the command and behind it.
        for with_file in [[&["--config", file], arguments].concat(), [arguments, &["--config", file]].concat()] {
            let (code, out, err) = run(&with_file);
            assert_eq!((code, out.as_str()), (2, ""), "{with_file:?}: {err}");
            assert!(err.contains("--config says nothing here") && err.contains(words), "{with_file:?}: {err}");
        }
    }
    // The variable is there for other commands, and no error.
    let told = |arguments: &[&str]| told(command(arguments).env("COMPLETIOND_CONFIG", file).output().unwrap());
    assert_eq!(told(&["key", "new"]).0, 0);
    assert_eq!(told(&["models", "--server", "127.0.0.1:1"]).0, 4);
    assert_eq!(run(&["models", "--config", file]).0, 0);
}

#[test]
fn check_refuses_what_is_nested_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    let file = path.to_str().unwrap();
    for (unit, column) in [("[", 25), ("- ", 49), ("{a: ", 97)] {
        std::fs::write(&path, unit.repeat(20_000)).unwrap();
        let (code, out, err) = run(&["check", "--config", file]);
        let told = format!("{file}:1:{column}: error: lists and maps stand in each other deeper than 24 levels");
        assert!(code == 3 && out.starts_with(&told), "{unit}: {code} {out}{err}");
    }
}

#[test]
fn the_simulator_is_not_served_to_other_machines() {
    let (code, _, err) = run(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, 3);
    assert!(err.contains("there is no provider, and 0.0.0.0:0 can be reached from other machines"), "{err}");
}

#[test]
fn an_answer_that_nobody_reads_any_more_is_not_made_to_its_end() {
    for more in [&[][..], &["--json", "--stream"]] {
        // More than a minute, for who reads it all.
        let mut child = command(&["complete", "sim: tokens=4000 pace=20ms"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let began = std::time::Instant::now();
        let mut some = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut some).unwrap();
        drop(child.stdout.take());
        let (code, _, err) = told(child.wait_with_output().unwrap());
        assert_eq!((code, err.contains("tokens")), (0, false), "{err}");
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "it was made to its end");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_standard_output_does_not_take_is_no_success() {
    for arguments in [&["complete", "sim: echo\nhi"][..], &["check"], &["key", "new"], &["prices", "--json"]] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let (code, _, err) = told(command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap());
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains("standard output does not take it"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_port_is_never_guessed_where_a_key_may_be_sent() {
    for address in ["127.0.0.1", "127.0.0.1:abc", "127.0.0.1:99999", "50051", "ftp://host:1", ":50051", "http://:1", ""]
    {
        let (code, _, err) = run(&["models", "--server", address]);
        assert_eq!(code, 2, "{address}: {err}");
        assert!(err.contains("is no address; write `host:port`"), "{address}: {err}");
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    for arguments in [
        &["complete", "--max-tokens", "0", "x"][..],
        &["--listen", "50051"],
        &["nothing"],
        &["complete", "--stream", "x"],
    ] {
        assert_eq!(run(arguments).0, 2, "{arguments:?}");
    }
    assert!(run(&["--version"]).1.starts_with("completiond "));
}

#[test]
fn an_answer_that_breaks_off_begins_anew_where_that_is_asked_for_and_a_line_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("completiond.yaml");
    let target = |directives: &str, priority: u32| {
        format!("      - {{ provider: a, model: \"simulator?{directives}\", priority: {priority} }}\n")
    };
    let (breaks, spare) = (target("tokens=50&cut_after=20", 0), target("echo", 1));
    let text =
        format!("providers: [{{ id: a, preset: simulator }}]\nmodels:\n  - id: smart\n    targets:\n{breaks}{spare}");
    std::fs::write(&path, text).unwrap();
    let complete = ["complete", "--config", path.to_str().unwrap(), "--model", "smart", "the words"];
    let (code, out, err) = run(&complete);
    assert_eq!(code, 1, "{out} {err}");
    assert!(err.contains("STREAM_INTERRUPTED"), "{err}");
    let (code, out, err) = run(&[&complete[..], &["--restart"]].concat());
    assert_eq!(code, 0, "{out} {err}");
    assert!(err.contains("the answer broke off; it begins anew (a/simulator)"), "{err}");
    assert!(out.ends_with("\nthe words\n"), "{out}");
    let (code, out, err) = run(&[&complete[..], &["--restart", "--json", "--stream"]].concat());
    assert_eq!(code, 0, "{out} {err}");
    assert!(out.lines().any(|line| line.contains("\"restarted\":{")), "{out}");
}

#[test]
fn tokens_of_a_text_and_of_a_request_are_counted() {
    let (code, text, said) = run(&["tokens", "tests/tokens/corpus/prose.txt"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(text.starts_with("224 tokens  at simulator/simulator, estimated\n"), "{text}");
    let config = "tests/tokens/config.yaml";
    let (code, json, _) =
        with_input(&["--config", config, "tokens", "-", "--model", "nobody/gpt-4o", "--json"], "Why is the sky blue?");
    let counted: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &counted["source"]), (0, &"COUNT_SOURCE_TOKENIZER".into()));
    assert_eq!((&counted["parts"]["messages"], &counted["input_tokens"]), (&6.into(), &13.into()));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    let count = |request: &str| {
        std::fs::write(&file, request).unwrap();
        run(&["--config", config, "tokens", file.to_str().unwrap()])
    };
    let (code, text, _) = count(r#"{"model":"nobody/gpt-4o","system":"Be brief.","prompt":"Why is the sky blue?"}"#);
    assert_eq!((code, text.contains("system")), (0, true), "{text}");
    let (code, _, said) = count(r#"{"promt":"Why?"}"#);
    assert!(code == 2 && said.contains("is no request") && said.contains("promt"), "{code}: {said}");
    let (code, _, said) = count(r#"{"model":"nowhere","prompt":"Why?"}"#);
    assert!(code == 1 && said.contains("MODEL_NOT_FOUND"), "{code}: {said}");
    assert_eq!(run(&["tokens", "not/there.txt"]).0, 2);
}

#[test]
fn prices_are_shown_with_where_they_are_from() {
    let (code, table, said) = run(&["prices", "--vendor", "anthropic"]);
    assert_eq!((code, said.as_str()), (0, ""));
    let row = table.lines().find(|line| line.contains("claude-sonnet-4-20250514")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>().join(" "),
        "anthropic claude-sonnet-4-20250514 3 15 0.3 3.75 2026-11-23 litellm 1.80.0"
    );
    assert!(!table.contains("openai"));
    let (code, whole, _) = run(&["prices", "anthropic/claude-haiku-5-5"]);
    assert_eq!(code, 0);
    assert!(whole.contains("above 100000 tokens") && whole.contains("tier batch"), "{whole}");
    let (code, shown, said) = run(&["prices", "claude-haiku-5-6"]);
    assert_eq!((code, shown.as_str()), (1, ""));
    assert!(said.contains("no price of `claude-haiku-5-6` is known; did you mean `claude-haiku-5-5`?"), "{said}");
    let (code, rows, _) = run(&["prices", "gpt-4o", "--json"]);
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!((code, &rows[0]["price"]["input"], &rows[0]["version"]), (0, &2_500_000.into(), &"2026-11-23".into()));
}

#[test]
fn a_newer_price_table_goes_over_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("prices.json");
    let own = own.to_str().unwrap();
    let update = |more: &[&str]| run(&[&["prices", "update"], more].concat());
    let (code, changes, _) = update(&["tests/prices/newer.json", "--into", own, "--dry-run"]);
    assert_eq!((code, std::fs::exists(own).unwrap()), (0, false), "nothing is written");
    assert!(changes.contains("~ anthropic/claude-sonnet-5-5\n") && changes.contains("2 -> 1.5\n"), "{changes}");
    assert!(changes.contains("+ ollama/llama\n"), "{changes}");
    assert!(changes.contains("- anthropic/claude-opus-5-5 "), "{changes}");
    assert_eq!(update(&["tests/prices/newer.json", "--into", own]).0, 0);
    // What is there stays where the next one says nothing, and is what the next one is compared with.
    let (code, changes, _) = update(&["tests/prices/foreign.json", "--into", own]);
    assert_eq!(code, 0);
    assert!(changes.contains("1.5 -> 1.75\n"), "{changes}");
    let table = std::fs::read_to_string(own).unwrap();
    assert!(table.contains("\"llama\"") && table.contains("1750000") && table.contains("12000000000"), "{table}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    // The configuration says which table is one's own, and shows what is in it.
    let config = folder.path().join("c.yaml");
    std::fs::write(&config, "providers: [{ id: a, preset: ollama }]\nprice_table: prices.json\n").unwrap();
    let config = config.to_str().unwrap();
    let (code, shown, _) = run(&["prices", "--config", config, "ollama/llama"]);
    assert_eq!(code, 0);
    assert!(shown.contains("the electricity bill"), "{shown}");
    assert_eq!(run(&["prices", "update", "tests/prices/newer.json", "--config", config]).0, 0);
    assert!(std::fs::read_to_string(own).unwrap().contains("1500000"));
    // What is no table changes nothing.
    let before = std::fs::read_to_string(own).unwrap();
    let (code, _, said) = update(&["data/models.json", "--into", own]);
    assert_eq!(code, 3);
    assert!(said.contains("data/models.json: line 2: unknown field `date`"), "{said}");
    assert_eq!(std::fs::read_to_string(own).unwrap(), before);
    assert_eq!(update(&["tests/prices/newer.json"]).0, 2, "nothing says which table");
    assert_eq!(update(&["tests/prices/newer.json", "--into", "/no/such/folder/p.json"]).0, 1);
}

#[test]
fn a_server_lists_the_prices_that_its_configuration_sets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy("tests/prices/newer.json", folder.path().join("prices.json")).unwrap();
    let config = folder.path().join("c.yaml");
    let text = "price_table: prices.json
providers: [{ id: home, preset: ollama }]
models:
  - { id: own, targets: [{ provider: home, model: llama }], price: { input: 0.0375, output: 1.5, cache_write: 2 } }
  - { id: listed, targets: [{ provider: home, model: llama }] }
  - { id: nobodys, targets: [{ provider: home, model: other }] }
";
    std::fs::write(&config, text).unwrap();
    let server = Server::start(&["--config", config.to_str().unwrap()]);
    let (code, models, said) = run(&["models", "--json", "--server", &server.address]);
    assert_eq!(code, 0, "{said}");
    let models: Value = serde_json::from_str(&models).unwrap();
    let price = |id: &str| {
        let model = models.as_array().unwrap().iter().find(|model| model["id"] == id);
        model.unwrap_or_else(|| panic!("{id}: {models}")).get("price").cloned().unwrap_or_default()
    };
    assert_eq!(price("own")["input_pico_usd"].to_string().trim_matches('"'), "37500", "{models}");
    assert_eq!(price("own")["cache_read_pico_usd"].to_string().trim_matches('"'), "37500", "left out: that of input");
    assert_eq!(price("listed")["output_pico_usd"].to_string().trim_matches('"'), "20000");
    assert_eq!(price("nobodys").get("input_pico_usd"), None);
}
