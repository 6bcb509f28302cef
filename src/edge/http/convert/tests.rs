//! What bodies become messages, and what is told about those that do not.

use http::header::{ACCEPT, CONTENT_TYPE};
use proptest::prelude::*;

use super::*;

fn head(content_type: &str, accept: &str, path: &str) -> Parts {
    let request = http::Request::post(path).header(CONTENT_TYPE, content_type).header(ACCEPT, accept);
    request.body(()).unwrap().into_parts().0
}

fn violated(error: &Error) -> (String, String) {
    let violation = &error.details.violations[0];
    (violation.field.clone(), violation.rule.to_string())
}

#[test]
fn a_prompt_is_taken_as_it_stands() {
    for content_type in ["text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"] {
        let (reader, form) = Reader::of(&head(content_type, "*/*", "/stream")).unwrap();
        assert_eq!(form, Form::Text);
        let message = reader.read("a=1&b=%20 what+is ü?\n".as_bytes()).unwrap();
        assert_eq!(message.prompt, "a=1&b=%20 what+is ü?\n");
        assert_eq!(message.model, "");
    }
    let (reader, _) = Reader::of(&head("text/plain", "*/*", "/stream?model=up%2Fsimulator")).unwrap();
    assert_eq!(reader.read(b"Hi").unwrap().model, "up/simulator");
}

#[test]
fn a_prompt_that_is_none_is_refused() {
    for (body, rule) in [(&b""[..], "empty"), (b"\xff\xfe", "UTF-8")] {
        let (field, told) = violated(&Reader::Prompt(None).read(body).unwrap_err());
        assert!(field == "body" && told.contains(rule), "{field}: {told}");
    }
}

#[test]
fn a_message_is_read_by_either_spelling_of_its_fields() {
    let expected = proto::CompleteRequest {
        model: "smart".to_owned(),
        prompt: "Hi".to_owned(),
        max_tokens: Some(7),
        max_cost_pico_usd: Some(1 << 60),
        ..Default::default()
    };
    for body in [
        r#"{"model":"smart","prompt":"Hi","max_tokens":7,"max_cost_pico_usd":"1152921504606846976"}"#,
        r#"{"model":"smart","prompt":"Hi","maxTokens":7,"maxCostPicoUsd":"1152921504606846976"} "#,
    ] {
        assert_eq!(Reader::Json(Form::Text).read(body.as_bytes()), Ok(expected.clone()), "{body}");
    }
}

#[test]
fn what_is_wrong_with_a_message_is_told_by_field_and_rule_and_never_quoted() {
    for (body, field, rule) in [
        ("", "body", "line 1, column 0"),
        ("{\"prompt\":\"SECRET", "body", "line 1"),
        ("{\"prompt\":\"Hi\"} SECRET", "body", "line 1, column 17"),
        (r#"{"promt":"SECRET"}"#, "promt", "is no field"),
        (r#"{"prompt":["SECRET"]}"#, "prompt", "must be a string"),
        (r#"{"max_tokens":"SECRET"}"#, "max_tokens", "must be"),
        (r#"{"max_tokens":1.5}"#, "max_tokens", "must be integer value"),
        (r#"{"max_tokens":99999999999}"#, "max_tokens", "must be"),
        (r#"{"temperature":"SECRET"}"#, "temperature", "must be"),
        (
            r#"{"messages":[{},{"content":[{"text":{"txt":"SECRET"}}]}]}"#,
            "messages[1].content[0].text.txt",
            "is no field",
        ),
        (
            r#"{"messages":[{"role":"SECRET"}]}"#,
            "messages[0].role",
            "one of the contract's names for it: ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL",
        ),
        (r#"{"messages":[{"role":["SECRET"]}]}"#, "messages[0].role", ": ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL"),
        (r#"{"messages":["SECRET"]}"#, "messages[0]", "; fields that may stand there: role, content, provider_state"),
        (
            r#"{"messages":[{"contents":"SECRET"}]}"#,
            "messages[0].contents",
            "; fields that may stand there: role, content, provider_state",
        ),
        (
            r#"{"messages":[{"content":[{"text":{"text":"a"},"refusal":{"text":"b"}}]}]}"#,
            "messages[0].content[0]",
            "several",
        ),
        (r#"["SECRET"]"#, "body", "must be a map"),
        (r#"{"prompt":"SECRET","prompt":"SECRET"}"#, "prompt", "must be there once"),
        (r#"{"max_tokens":1,"maxTokens":2}"#, "max_tokens", "must be there once"),
        (r#"{"messages":[{"role":"ROLE_USER","role":"SECRET"}]}"#, "messages[0].role", "must be there once"),
    ] {
        let error = Reader::Json(Form::Text).read(body.as_bytes()).unwrap_err();
        let (found, told) = violated(&error);
        assert!(found.starts_with(field) && told.contains(rule), "{body}: {found}: {told}");
        assert!(!error.message.contains("SECRET"), "{body}: {}", error.message);
    }
}

#[test]
fn json_that_comes_as_a_form_is_a_message_or_refused_and_never_a_prompt() {
    let form = |query: &str| {
        let head = head("application/x-www-form-urlencoded", "*/*", &format!("/stream{query}"));
        Reader::of(&head).unwrap().0
    };
    assert_eq!(form("").read(br#" {"prompt": "Hi", "model": "smart"}"#).unwrap().model, "smart");
    for (body, field, rule) in [
        (r#"{"prompt": "SECRET}"#, "body", "must be JSON, and is none at line 1"),
        (r#"{'prompt': 'SECRET'}"#, "body", "must be JSON"),
        (r#"{"promt": "SECRET"}"#, "promt", "is no field"),
        ("\n{ SECRET }", "body", "must be JSON"),
        ("\u{feff}{\"prompt\": \"SECRET\"}", "body", "must be JSON"),
        ("\u{b}{\"prompt\": \"SECRET\"}", "body", "must be JSON"),
    ] {
        let error = form("").read(body.as_bytes()).unwrap_err();
        let (found, told) = violated(&error);
        assert!(found == field && told.contains(rule), "{body}: {found}: {told}");
        assert!(told.contains("send JSON with `content-type: application/json`"), "{told}");
        assert!(told.contains("a prompt that begins so with `content-type: text/plain`"), "{told}");
        assert!(!error.message.contains("SECRET"), "{body}: {}", error.message);
        // Who says that it is a prompt is believed.
        assert_eq!(Reader::Prompt(None).read(body.as_bytes()).unwrap().prompt, body);
    }
    assert_eq!(violated(&form("?model=a").read(b"{}").unwrap_err()).0, "query");
    assert_eq!(form("").read(b"[1] {").unwrap().prompt, "[1] {");
}

#[test]
fn a_body_that_is_packed_is_refused() {
    for (encoding, is_read) in
        [("identity", true), ("Identity", true), ("gzip", false), ("", false), ("identity, gzip", false)]
    {
        let mut head = head("text/plain", "*/*", "/stream");
        head.headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        match Reader::of(&head) {
            Ok(_) => assert!(is_read, "{encoding}"),
            Err(unreadable) => {
                assert!(!is_read, "{encoding}");
                assert_eq!(unreadable.status.as_u16(), 415);
                let (field, rule) = violated(&unreadable.error);
                assert!(field == "content-encoding" && rule.contains("gRPC takes gzip"), "{field}: {rule}");
            }
        }
    }
}

#[test]
fn what_cannot_be_a_fields_name_is_not_repeated() {
    let error = Reader::Json(Form::Text).read(b"{\"a name with spaces\":1}").unwrap_err();
    assert_eq!(violated(&error).0, "?");
    let deep = format!("{{\"labels\":{{\"{}\":1}}}}", "ü".repeat(1000));
    assert!(violated(&Reader::Json(Form::Text).read(deep.as_bytes()).unwrap_err()).0.len() <= MAX_PATH_BYTES);
}

#[test]
fn an_answer_that_may_begin_anew_cannot_be_text() {
    let body = br#"{"prompt":"Hi","restart_on_interruption":true}"#;
    assert_eq!(violated(&Reader::Json(Form::Text).read(body).unwrap_err()).0, "restart_on_interruption");
    assert!(Reader::Json(Form::Events).read(body).unwrap().restart_on_interruption);
}

#[test]
fn what_a_head_asks_for_in_vain_has_its_own_status() {
    for (content_type, accept, path, status, field) in [
        ("application/xml", "*/*", "/stream", 415, "content-type"),
        ("", "*/*", "/stream", 415, "content-type"),
        ("text/plain; charset=latin1", "*/*", "/stream", 415, "content-type"),
        ("text/plain", "application/xml", "/stream", 406, "accept"),
        ("text/plain", "*/*", "/stream?modle=x", 400, "query"),
        ("text/plain", "*/*", "/stream?model=", 400, "query"),
        ("text/plain", "*/*", "/stream?model=a&model=b", 400, "query"),
        ("application/json", "*/*", "/stream?model=a", 400, "query"),
    ] {
        let unreadable = Reader::of(&head(content_type, accept, path)).unwrap_err();
        assert_eq!(unreadable.status.as_u16(), status, "{content_type} {accept} {path}");
        assert_eq!(violated(&unreadable.error).0, field);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Reader::Prompt(None).read(&body);
        let _ = Reader::Json(Form::Events).read(&body);
    }

    #[test]
    fn any_json_is_read_or_refused_and_never_quoted(
        key in "[a-z_\u{e4}]{1,12}",
        field in prop::sample::select(vec!["prompt", "max_tokens", "messages", "tools", "temperature", "labels"]),
        value in prop::sample::select(vec!["\"SECRET\"", "[\"SECRET\"]", "{\"k\":\"SECRET\"}", "1e400", "null", "[[[]]]"]),
    ) {
        let body = format!("{{\"{field}\":{value},\"{key}\":{value}}}");
        if let Err(error) = Reader::Json(Form::Events).read(body.as_bytes()) {
            prop_assert!(!error.to_string().contains("SECRET"), "{}: {}", body, error);
        }
    }
}
