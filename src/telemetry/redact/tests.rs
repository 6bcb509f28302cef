//! What is taken out of captured content, and what is left in it.

use super::*;

fn clean(text: &str) -> String {
    Redaction::default().text(text).into_owned()
}

#[test]
fn every_built_in_expression_can_be_read() {
    assert_eq!((KEYS.len(), PHONES.len()), (11, 3));
    assert!(EMAILS.is_some() && RUNS.is_some());
}

#[test]
fn what_shall_not_leave_is_replaced_by_the_name_of_its_kind() {
    let cases = [
        ("write to ann.b+c@mail.example.org, please", "write to [e-mail], please"),
        ("jürgen@bücher.example", "[e-mail]"),
        ("4111 1111 1111 1111", "[card]"),
        ("card 4111-1111-1111-1111.", "card [card]."),
        ("378282246310005", "[card]"),
        ("12 5555555555554444 9", "12 [card] 9"),
        ("call +49 30 1234567 now", "call [phone] now"),
        ("+1 (212) 555-0134", "[phone]"),
        ("030 1234567", "[phone]"),
        ("(212) 555-0134 or 212-555-0134", "[phone] or [phone]"),
        ("sk-abcdefghijklmnopqrstuvwx", "[key]"),
        ("sk-ab-c12_34567890abcdefghij", "[key]"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: [key]"),
        ("Bearer abcdefgh12345678", "[key]"),
        ("api_key=9f8e7d6c5b4a", "[key]"),
        ("\"password\": \"hunter22\"", "\"[key]\""),
        ("MY_SECRET: swordfish", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "[key]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[key]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "[key]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- after", "[key] after"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE and no end", "[key]"),
    ];
    for (text, expected) in cases {
        assert_eq!(clean(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "",
        "Why is the sky blue?",
        "on 2024-01-15 at 12:30:45 there were 1234567 of them",
        "4111 1111 1111 1112",
        "version 1.2.3-beta_4, 3.14159265358979",
        "a token is a piece of text; the key point is this",
        "10.0.0.1:50051 and ::1",
        "0af7651916cd43dd8448eb211c80319c",
        "f(x) = x@2",
    ] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn own_expressions_come_first_and_those_that_cannot_be_read_are_refused() {
    let own = Redaction::new(vec!["(?i)project\\s+heron".parse().unwrap(), r"EMP-\d+".parse().unwrap()]);
    assert_eq!(
        own.text("Project  Heron is led by EMP-42, ann@example.org"),
        "[redacted] is led by [redacted], [e-mail]"
    );
    for bad in ["(", r"(?=look)", r"(a)\1", "(?:a{1000}){1000}"] {
        assert!(bad.parse::<Pattern>().is_err(), "{bad}");
    }
}

#[test]
fn names_texts_and_numbers_of_json_are_searched() {
    let value =
        serde_json::json!({"ann@example.org": [4_111_111_111_111_111_u64, 7, true, null, {"to": "ann@example.org"}]});
    let expected = serde_json::json!({"[e-mail]": ["[card]", 7, true, null, {"to": "[e-mail]"}]});
    assert_eq!(Redaction::default().json(value), expected);
}

proptest::proptest! {
    /// Whatever surrounds them, they are found.
    #[test]
    fn secrets_are_found_among_any_words(before in "[a-z ,.]{0,40}", after in "[a-z ,.]{0,40}") {
        for secret in ["ann.heron@example.org", "4111 1111 1111 1111", "sk-Abcdefghijklmnop1234567890", "+49 30 1234567"] {
            let text = format!("{before} {secret} {after}");
            proptest::prop_assert!(!clean(&text).contains(secret), "{}", clean(&text));
        }
    }

    /// No text makes it fail.
    #[test]
    fn any_text_is_taken(text in "\\PC{0,200}") {
        clean(&text);
    }
}
