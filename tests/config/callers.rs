//! `callers` and `allow_anonymous`.

use completiond::callers::{Entry, KeyHash, LedgerView, Models};
use completiond::domain::ModelName;

use super::{parse, told, with_provider};

const HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn entry_of(more: &str) -> String {
    format!("callers: [{{ name: a, keys: ['{HASH}'], {more} }}]")
}

fn entry(more: &str) -> String {
    with_provider(&entry_of(more))
}

#[test]
fn each_rule_of_a_caller_broken_once() {
    let cases = [
        ("admin: maybe", "callers[0].admin: `maybe` is no truth value; `true` or `false`"),
        (
            "models: ['a*b']",
            "callers[0].models[0]: must be a name, or the beginning of names with a `*` at its end; as in `smart`, `home/*` or `*`",
        ),
        ("models: smart", "callers[0].models: must be a list; begin each item with `- `"),
        ("ledger: none", "callers[0].ledger: `none` is no view of the ledger; `full` or `without_endpoints`"),
        ("limits: { in_flight: 0 }", "callers[0].limits.in_flight: must be above 0"),
        (
            "limits: { inflight: 1 }",
            "callers[0].limits.inflight: is no key that is known here; did you mean `in_flight`?",
        ),
        (
            "certificates: ['a b']",
            "callers[0].certificates[0]: is no name of a certificate; a URI as `spiffe://prod.example/search`, or a DNS name",
        ),
        ("key: x", "callers[0].key: is no key that is known here; did you mean `keys`?"),
    ];
    for (more, expected) in cases {
        let told = told(&entry(more));
        assert!(told.ends_with(expected), "{more}: {told}");
    }
    let long = format!("labels: {{ team: {} }}", "x".repeat(64));
    assert!(told(&entry(&long)).ends_with("callers[0].labels.team: is longer than 63 characters; no label is"));
}

#[test]
fn a_caller_has_a_name_of_its_own_and_a_way_to_be_told() {
    let of = |entries: &str| told(&with_provider(&format!("callers: [{entries}]")));
    assert!(of("{ name: a }").contains(
        "has neither `keys` nor `certificates` nor `tokens`, so that nobody can be it; `completiond key new`"
    ));
    assert!(of(&format!("{{ keys: ['{HASH}'] }}")).contains("callers[0]: lacks `name`"));
    assert!(of(&format!("{{ name: Big, keys: ['{HASH}'] }}")).contains("callers[0].name: `Big` is no name"));
    let twice = of(&format!("{{ name: a, keys: ['{HASH}'] }}, {{ name: a, certificates: [x] }}"));
    assert!(twice.contains("callers[1].name: `a` stands here a second time, first in c.yaml:"), "{twice}");
    let shared = of(&format!("{{ name: a, keys: ['{HASH}'] }}, {{ name: b, keys: ['{HASH}'] }}"));
    assert!(
        shared.contains("callers[1].keys[0]: is the hash of a key that stands here already, in c.yaml:"),
        "{shared}"
    );
    let shared = of("{ name: a, certificates: [x] }, { name: b, certificates: [X] }");
    assert!(shared.contains("callers[1].certificates[0]: `x` stands here already, in c.yaml:"), "{shared}");
}

#[test]
fn a_key_in_plain_text_is_refused_and_not_quoted() {
    for key in ["cpd_secret-of-somebody", "sha256:abc", "${HIDDEN}"] {
        let told = told(&with_provider(&format!("callers: [{{ name: a, keys: ['{key}'] }}]")));
        assert!(told.contains("callers[0].keys[0]:") && !told.contains("secret"), "{told}");
    }
}

#[test]
fn hashes_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let one = KeyHash::of("one");
    std::fs::write(&file, format!("{one} # until March\n\n# the new one\n{}\n", KeyHash::of("two"))).unwrap();
    let text = with_provider(&format!("callers: [{{ name: a, keys: ['file:{}'] }}]", file.display()));
    let config = parse(&text).unwrap();
    let [entry] = config.admitted.callers.as_slice() else { panic!("one caller") };
    assert!(entry.keys.len() == 2 && entry.keys[0].is(&one));
    std::fs::write(&file, "# nothing\n").unwrap();
    assert!(told(&text).contains("is a file without a hash"));
    // As Kubernetes mounts it: links to a file.
    std::fs::create_dir(folder.path().join("..1")).unwrap();
    std::fs::write(folder.path().join("..1/keys"), one.to_string()).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("..1", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/keys", &file).unwrap();
    assert!(parse(&text).unwrap().admitted.callers[0].keys[0].is(&one));
}

#[test]
fn a_whole_entry_is_read_as_it_stands() {
    let more = "certificates: ['spiffe://x/a'], models: [smart, 'up/*'], labels: { team: t }, ledger: full, admin: true, \
                limits: { in_flight: 3 }";
    let config = parse(&entry(more)).unwrap();
    let caller = &config.admitted.callers[0].caller;
    assert_eq!((caller.name.as_str(), caller.is_admin, caller.view), ("a", true, Some(LedgerView::Full)));
    assert_eq!((caller.labels["team"].as_str(), caller.allowance.in_flight), ("t", Some(3)));
    assert!(matches!(caller.models, Models::Only(_)) && caller.models.allow(&ModelName::new("up/x")));
    assert!(!config.admitted.anonymous);
}

#[test]
fn a_port_that_others_reach_asks_who_may_call() {
    let open = told(&with_provider("listen: 0.0.0.0:1"));
    assert!(
        open.contains("`listen` is 0.0.0.0:1, which others reach, and nobody is asked for a key; name who may call"),
        "{open}"
    );
    let admin = told(&with_provider("admin_listen: 0.0.0.0:1"));
    assert!(admin.contains("`admin_listen` is 0.0.0.0:1, which others reach, and no caller is an admin"), "{admin}");
    let [caller, chief] = ["", ", admin: true"].map(|more| format!("callers: [{{ name: a, keys: ['{HASH}']{more} }}]"));
    parse(&with_provider(&format!("listen: 0.0.0.0:1\n{caller}"))).unwrap();
    parse(&with_provider("listen: 0.0.0.0:1\nallow_anonymous: true")).unwrap();
    parse(&with_provider(&format!("admin_listen: 0.0.0.0:1\n{chief}"))).unwrap();
    assert!(told(&with_provider(&format!("admin_listen: 0.0.0.0:1\n{caller}"))).contains("no caller is an admin"));
    for local in ["localhost:1", "'[::1]:1'", "unix:/run/x.sock"] {
        parse(&with_provider(&format!("listen: {local}\nadmin_listen: 127.0.0.1:2"))).unwrap();
    }
}

#[test]
fn a_bound_on_spending_that_some_models_do_not_count_towards_is_doubtful() {
    let file = |models: &str, price: &str| {
        let own = with_provider(&entry_of(&format!("models: [{models}], limits: {{ spend_per_day: 5 }}")));
        format!("{own}\nmodels: [{{ id: smart, targets: [{{ provider: a, model: made-up }}]{price} }}]\n")
    };
    let doubts = |text: &str| parse(text).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let told = doubts(&file("'*'", ""));
    let words = "`a` has a `spend_per_day`, to which calls of `smart` add nothing, for their price is not known";
    assert!(told.iter().any(|told| told.contains(words)), "{told:?}");
    assert!(doubts(&file("other", "")).iter().all(|told| !told.contains("spend_per_day")));
    assert!(
        doubts(&file("'*'", ", price: { input: 1, output: 2 }")).iter().all(|told| !told.contains("spend_per_day"))
    );
}

#[test]
fn an_empty_list_of_callers_lets_nobody_in_and_is_refused() {
    for (list, key) in [("callers: []", "callers"), ("callers:", "callers"), ("issuers: []", "issuers")] {
        let told = told(&with_provider(list));
        let expected = format!(
            "{key}: names nobody, and would let in whoever reaches `listen`; name who may call; or leave it out"
        );
        assert!(
            told.ends_with(&format!("{expected} if whoever is on this machine may, or write `allow_anonymous: true`")),
            "{list}: {told}"
        );
        // Where something else says who may call, it opens nothing.
        assert!(parse(&with_provider(&format!("{list}\nallow_anonymous: true"))).unwrap().admitted.anonymous);
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = format!("callers: []\ncallers_dir: {{ path: {} }}", folder.path().display());
    assert!(!parse(&with_provider(&dir)).unwrap().admitted.is_open());
    assert!(parse(&with_provider("")).unwrap().admitted.is_open(), "what is left out is another matter");
    let wrong = told(&with_provider("callers: [{ name: a }]"));
    assert!(!wrong.contains("names nobody"), "{wrong}");
}

#[test]
fn a_pattern_that_fits_no_name_is_doubtful() {
    let warned = |models: &str| {
        let models = format!("models: [{models}]");
        let issuer = format!(
            "issuers: [{{ name: corp, issuer: i, audiences: [c], jwks: 'https://x.example/k', callers: [{{ {models} }}] }}]"
        );
        let named = "models: [{ id: smart, targets: [{ provider: a, model: m-1 }] }]";
        let text = with_provider(&format!("{}\n{named}\n{issuer}", entry_of(&models)));
        let warnings = parse(&text).unwrap().warnings.into_iter();
        warnings.map(|warning| format!("{}; {}", warning.rule, warning.right)).collect::<Vec<_>>()
    };
    for good in ["smart", "'sm*'", "'*'", "m-1", "'m*'", "a/any", "'a/*'", "'a/an*'", "'a*'", ""] {
        assert_eq!(warned(good), Vec::<String>::new(), "{good}");
    }
    let rule = "in `models` of caller `a`, issuer `corp` fits no name that may be asked for; ";
    for (bad, right) in [
        ("smrt", "did you mean `smart`?"),
        ("'b/*'", "known: `smart` or `a/*`"),
        ("a/", "did you mean `a/*`?"),
        ("zzz", "known: `smart` or `a/*`"),
    ] {
        assert_eq!(warned(bad), [format!("`{}` {rule}{right}", bad.trim_matches('\''))]);
    }
}

#[test]
fn callers_stand_in_files_of_their_own_and_two_of_one_name_are_told_with_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let main = format!("callers: [{{ name: main, keys: ['{HASH}'] }}]\ncallers_dir: {{ path: {at} }}\n");
    let text = with_provider(&main);
    let config = parse(&text).unwrap();
    assert!(config.warnings.iter().any(|warning| warning.rule == "names no callers yet"), "{:?}", config.warnings);
    put("b.yaml", "name: alone\ncertificates: [alone.example]\n");
    put(
        "a.yaml",
        "- { name: first, certificates: [first.example] }\n- { name: second, certificates: [second.example] }\n",
    );
    let config = parse(&text).unwrap();
    let names: Vec<&str> = config.admitted.entries().map(|entry| entry.caller.name.as_str()).collect();
    assert_eq!(names, ["main", "first", "second", "alone"]);
    for (bad, expected) in [
        (
            "name: main\ncertificates: [x]",
            "c.yaml.bad.yaml:1:7: name: `main` stands here a second time, first in c.yaml:",
        ),
        (
            "name: alone\ncertificates: [x]",
            "/bad.yaml:1:7: name: `alone` stands here a second time, first in DIR/b.yaml:1:7",
        ),
        ("name: x\ncertificates: [FIRST.example]", "`first.example` stands here already, in DIR/a.yaml:1:33"),
        (&format!("name: x\nkeys: ['{HASH}']"), "is the hash of a key that stands here already, in c.yaml:"),
        (
            "name: x\ncertificates: [x]\nadmn: true",
            "bad.yaml:3:1: admn: is no key that is known here; did you mean `admin`?",
        ),
        ("callers: []\nmore: 1", "bad.yaml:2:1: more: is no key that is known here"),
        ("- 7", "bad.yaml:1:3: [0]: must be a map"),
        ("7", "bad.yaml:1:1: must be a list"),
        ("a: [", "bad.yaml:1:"),
    ] {
        put("bad.yaml", bad);
        let told = told(&text);
        let expected = expected.replace("DIR", &at.to_string()).replace("c.yaml.bad.yaml", &format!("{at}/bad.yaml"));
        assert!(told.contains("callers_dir.path: ") && told.contains(&expected), "{bad}: {told}");
    }
    std::fs::remove_file(folder.path().join("bad.yaml")).unwrap();
    put("empty.yaml", "");
    assert_eq!(parse(&text).unwrap().admitted.entries().count(), 4, "a file without anything is no caller");
    let missing = told(&with_provider("callers_dir: { path: /nowhere/at/all }"));
    assert!(missing.contains("callers_dir.path: the directory /nowhere/at/all cannot be read"), "{missing}");
}

#[test]
fn a_file_of_callers_reads_nothing_of_the_environment_and_no_file_that_it_names_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let text = with_provider(&format!("callers_dir: {{ path: {at} }}"));
    let told = |file: &str| {
        std::fs::write(folder.path().join("a.yaml"), file).unwrap();
        told(&text)
    };
    for (file, place) in [
        ("name: ${KEY}\ncertificates: [x]", "1:7: name: "),
        ("name: a\nkeys: ['${KEY}']", "2:8: keys[0]: "),
        ("name: a\nkeys: ['file:/x/${KEY}']", "2:8: keys[0]: "),
        ("name: a\ncertificates: ['${KEY} x']", "2:16: certificates[0]: "),
        ("name: a\ncertificates: [x]\nlabels: { team: '-${KEY}' }", "3:17: labels.team: "),
        ("name: a\ncertificates: [x]\nmodels: ['${KEY}*b']", "3:10: models[0]: "),
        ("name: a\ncertificates: [x]\nadmin: ${KEY}", "3:8: admin: "),
        ("name: a\ncertificates: [x]\nlimits: { in_flight: '${KEY}' }", "3:22: limits.in_flight: "),
    ] {
        let told = told(file);
        let rule = "names the environment variable KEY, and a file of `callers_dir` has none; write the value itself";
        assert!(told.contains(&format!("{at}/a.yaml:{place}{rule}")) && !told.contains("sk-hidden"), "{file}: {told}");
    }
    // Nor whether there is such a variable.
    assert!(told("name: ${NONE}\ncertificates: [x]").contains("names the environment variable NONE, and a file of"));
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "sk-hidden\nsha256:hidden\n").unwrap();
    let told = told(&format!("name: a\nkeys: ['file:{}']", secret.display()));
    assert!(told.contains("keys[0]: must be `sha256:`") && !told.contains("hidden"), "{told}");
    std::fs::write(folder.path().join("a.yaml"), "name: a\ncertificates: [x]\nlabels: { team: '$${KEY}' }").unwrap();
    assert_eq!(parse(&text).unwrap().admitted.entries().next().unwrap().caller.labels["team"], "${KEY}");
}

#[test]
fn what_is_nested_without_end_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = with_provider(&format!("callers_dir: {{ path: {} }}", folder.path().display()));
    for (shape, nested) in super::nested() {
        std::fs::write(folder.path().join("a.yaml"), nested).unwrap();
        let told = told(&text);
        assert!(told.contains("/a.yaml:") && told.contains("in each other deeper than 24 levels"), "{shape}: {told}");
    }
}

#[test]
fn a_directory_of_callers_or_an_issuer_is_enough_for_a_port_that_others_reach() {
    let folder = tempfile::tempdir().unwrap();
    let dir = format!("listen: 0.0.0.0:1\ncallers_dir: {{ path: {} }}", folder.path().display());
    assert!(!parse(&with_provider(&dir)).unwrap().admitted.is_open());
    let issuer = "listen: 0.0.0.0:1\nissuers: [{ name: i, issuer: x, audiences: [a], jwks: 'https://x/k' }]";
    let config = parse(&with_provider(issuer)).unwrap();
    assert!(!config.admitted.is_open());
    assert!(config.warnings.iter().any(|warning| warning.rule.contains("and tokens go there in plain text")));
    let admin = "admin_listen: 0.0.0.0:1\nissuers: [{ name: i, issuer: x, audiences: [a], jwks: 'https://x/k', callers: [{ADMIN}] }]";
    assert!(told(&with_provider(&admin.replace("ADMIN", ""))).contains("no caller is an admin"));
    parse(&with_provider(&admin.replace("ADMIN", " admin: true "))).unwrap();
}

#[test]
fn what_kubernetes_mounts_is_read_as_one_version_whenever_it_is_replaced() {
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    const FILES: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let version = |version: usize| {
        let own = format!("..{version}");
        std::fs::create_dir(at.join(&own)).unwrap();
        for file in 0..FILES {
            let text = format!("name: caller-{file}.{version}\ncertificates: [{file}.example]");
            std::fs::write(at.join(&own).join(format!("{file}.yaml")), text).unwrap();
        }
        symlink(&own, at.join("..next")).unwrap();
        std::fs::rename(at.join("..next"), at.join("..data")).unwrap();
    };
    version(0);
    for file in 0..FILES {
        symlink(format!("..data/{file}.yaml"), at.join(format!("{file}.yaml"))).unwrap();
    }
    let config = parse(&with_provider(&format!("callers_dir: {{ path: {} }}", at.display()))).unwrap();
    let dir = config.admitted.dir.unwrap();
    let over = AtomicBool::new(false);
    let mixed = std::thread::scope(|scope| {
        scope.spawn(|| (1..10_000).take_while(|_| !over.load(Ordering::Relaxed)).for_each(version));
        let looked = (0..10_000).filter_map(|_| {
            let read = dir.look(&super::sources(&super::environment));
            // What is wrong with one is told when nothing is written any more: nobody would end the writing.
            read.map_err(|problems| problems.join("\n")).transpose()
        });
        let versions = |callers: &[Entry]| {
            let of = |entry: &Entry| entry.caller.name.as_str().rsplit('.').next().map(str::to_owned);
            (callers.len(), callers.iter().map(of).collect::<BTreeSet<_>>())
        };
        let read = looked.take(30).map(|read| read.map(|dir| versions(&dir.callers)));
        let mixed = read.filter(|read| !matches!(read, Ok((FILES, versions)) if versions.len() == 1)).count();
        over.store(true, Ordering::Relaxed);
        mixed
    });
    assert_eq!(mixed, 0, "of 30 versions");
}
