//! How long it is known what became of calls: each rule broken once, and what is read when none is.

use std::time::Duration;

use completiond::store::CompletionSettings;

use super::{parse, told, with_provider};

#[test]
fn each_rule_of_completions_broken_once() {
    let cases = [
        ("keep: 0", "c.yaml:2:22: completions.keep: must be above 0"),
        ("max_bytes: 0", "c.yaml:2:27: completions.max_bytes: must be above 0"),
        (
            "max_bytes: 1023KiB",
            "c.yaml:2:27: completions.max_bytes: is less than 1MiB; calls would be forgotten at once",
        ),
        ("keeps: 1m", "c.yaml:2:16: completions.keeps: is no key that is known here; did you mean `keep`?"),
    ];
    for (keys, expected) in cases {
        assert_eq!(told(&with_provider(&format!("completions: {{ {keys} }}"))), expected, "{keys}");
    }
}

#[test]
fn completions_are_read_as_they_stand() {
    let load = |text: &str| parse(&with_provider(text)).unwrap().completions;
    let expected = CompletionSettings { keep: Duration::from_secs(90), max_bytes: 1 << 20, shared: None };
    assert_eq!(load("completions: { keep: 90s, max_bytes: 1MiB }"), expected);
    let default = CompletionSettings { keep: Duration::from_secs(600), max_bytes: 64 << 20, shared: None };
    assert_eq!((load("completions:"), load("")), (default.clone(), default));
}
