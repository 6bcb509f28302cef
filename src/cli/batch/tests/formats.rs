//! Which of the formats a line has, and what is said of one that has none.

use proptest::prelude::*;

use super::super::item::{self, Item};
use crate::proto::CompleteRequest;

fn read(line: &str) -> Item {
    item::read(line.as_bytes(), 7)
}

/// The item's name and its prompt.
fn good(line: &str) -> (String, String) {
    let item = read(line);
    let request = item.request.unwrap_or_else(|faults| panic!("{line}: {faults:?}"));
    (item.custom_id, request.prompt.clone())
}

/// The item's name and its first fault.
fn bad(line: &str) -> (String, String, String) {
    let item = read(line);
    let Err(faults) = item.request else { panic!("{line} was read") };
    (item.custom_id, faults[0].field.clone(), faults[0].rule.clone())
}

#[test]
fn a_line_is_a_request_with_or_without_a_name() {
    let named = |name: &str, prompt: &str| (name.to_owned(), prompt.to_owned());
    assert_eq!(good(r#"{"custom_id":"a","request":{"prompt":"hi"}}"#), named("a", "hi"));
    assert_eq!(good(r#"{"request":{"prompt":"hi"}}"#), named("7", "hi"));
    assert_eq!(good(r#"{"custom_id":null,"request":{"prompt":"hi"}}"#), named("7", "hi"));
    assert_eq!(good(r#"  {"prompt":"hi"}  "#), named("7", "hi"));
    assert_eq!(good("{\"prompt\":\"hi\"}\r"), named("7", "hi"));
    assert_eq!(read("{}").request, Ok(Box::new(CompleteRequest::default())), "the server says what is missing");
    let first = item::read("\u{feff}{\"prompt\":\"hi\"}".as_bytes(), 1);
    assert_eq!(first.request.unwrap().prompt, "hi");
}

#[test]
fn what_cannot_be_read_is_told_with_the_field_and_the_rule() {
    let url = "/v1/chat/completions";
    let cases = [
        ("garbage", "7", "", "is not JSON: expected value at column 1"),
        ("{\"prompt\":\"hi\"", "7", "", "is not JSON: EOF while parsing an object at column 14"),
        ("[]", "7", "", "must be an object"),
        ("{} {}", "7", "", "is not JSON: trailing characters at column 4"),
        (r#"{"promt":"hi"}"#, "7", "", "is no CompleteRequest: unrecognized field name 'promt' at column 8"),
        (r#"{"custom_id":"a","prompt":"hi"}"#, "a", "", "must have `request`, or `method`"),
        (r#"{"custom_id":"a","request":{"promt":1}}"#, "a", "request", "unrecognized field name"),
        (r#"{"custom_id":"a","request":[]}"#, "a", "request", ""),
        (r#"{"custom_id":"a","request":{},"model":"m"}"#, "a", "model", "is not known beside"),
        (r#"{"custom_id":5,"request":{}}"#, "7", "custom_id", "must be a string"),
        (r#"{"custom_id":"a","custom_id":"b","request":{}}"#, "7", "", "has `custom_id` twice"),
        (r#"{"custom_id":"a","url":"/v1/embeddings","body":{}}"#, "a", "url", "must be /v1/chat/completions"),
        (r#"{"custom_id":"a","url":"/v1/responses","body":{}}"#, "a", "url", "must be /v1/chat/completions"),
        (r#"{"custom_id":"a","body":{}}"#, "a", "url", "is missing"),
        (r#"{"custom_id":"a","url":"URL"}"#, "a", "body", "is missing"),
        (r#"{"custom_id":"a","method":"GET","url":"URL","body":{"messages":[]}}"#, "a", "method", "must be POST"),
        (r#"{"custom_id":"a","url":"URL","body":{"messages":[]},"x":1}"#, "a", "x", "is not known beside"),
    ];
    for (line, name, field, rule) in cases {
        let (told_name, told_field, told_rule) = bad(&line.replace("URL", url));
        assert_eq!((told_name.as_str(), told_field.as_str()), (name, field), "{line}");
        assert!(told_rule.contains(rule), "{line}: {told_rule}");
    }
    let not_text = item::read(b"{\"prompt\":\"\xff\"}", 7).request.unwrap_err();
    assert_eq!(not_text[0].rule, "is not UTF-8");
}

#[test]
fn json_of_any_depth_is_refused_and_does_no_harm() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    for line in [deep.clone(), format!(r#"{{"request":{{"messages":{deep}}}}}"#)] {
        assert!(read(&line).request.is_err());
    }
    let line = format!(r#"{{"url":"/v1/chat/completions","body":{{"messages":{deep}}}}}"#);
    assert!(read(&line).request.is_err());
}

proptest! {
    #[test]
    fn no_line_does_any_harm(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = item::read(&line, 1);
    }

    #[test]
    fn no_part_of_a_line_does_any_harm(cut in 0..LINE.len(), byte in any::<u8>()) {
        let mut line = LINE.as_bytes().to_vec();
        line[cut] = byte;
        let _ = item::read(&line, 1);
        let _ = item::read(&line[..cut], 1);
    }
}

const LINE: &str = r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":
[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text",
"text":"x"}]},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
{"role":"tool","tool_call_id":"c","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],
"tool_choice":{"type":"function","function":{"name":"f"}},"seed":5,"temperature":0.5,"metadata":{"a":"b"}}}"#;
