//! What goes with traces: each rule broken once, and what is read when none is.

use completiond::config::Telemetry;

use super::{parse, told, with_provider};

#[test]
fn each_rule_of_telemetry_broken_once() {
    let cases = [
        (
            "capture_content: perhaps",
            "c.yaml:2:31: telemetry.capture_content: `perhaps` is no truth value; `true` or `false`",
        ),
        (
            "redact: ['(']",
            "c.yaml:2:23: telemetry.redact[0]: is no regular expression, or too large; as in `EMP-[0-9]{6}`; look-around and back-references are not known",
        ),
        (
            "baggage: ['a b']",
            "c.yaml:2:24: telemetry.baggage[0]: `a b` is no key of baggage; letters, digits and `-._` as in `tenant.id`",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(told(&with_provider(&format!("telemetry: {{ {keys} }}"))), expected, "{keys}");
    }
    let many = format!("telemetry: {{ redact: [{}] }}", "a, ".repeat(65));
    assert!(told(&with_provider(&many)).contains("has 65 entries, and may have at most 64"));
}

#[test]
fn telemetry_is_read_as_it_stands() {
    let load = |text: &str| parse(&with_provider(text)).unwrap().telemetry;
    let expected = Telemetry {
        genai_semconv: completiond::telemetry::GenAiNames::Both,
        capture_content: true,
        redact: vec!["EMP-[0-9]{6}".parse().unwrap()],
        baggage: vec!["tenant.id".to_owned()],
    };
    let text =
        "telemetry: { genai_semconv: dup, capture_content: true, redact: ['EMP-[0-9]{6}'], baggage: [tenant.id] }";
    assert_eq!(load(text), expected);
    assert_eq!((load("telemetry:"), load("")), (Telemetry::default(), Telemetry::default()));
    assert!(!Telemetry::default().capture_content);
}
