//! The body of a chat completion as a request of the contract: what becomes of each field.

use serde_json::{Value, json};

use super::super::item;
use crate::cli::json as contract;

fn line(body: &Value) -> String {
    json!({ "custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body }).to_string()
}

/// The request that a body becomes, as JSON with the names of the contract.
fn request(body: &Value) -> Value {
    let item = item::read(line(body).as_bytes(), 1);
    let request = item.request.unwrap_or_else(|faults| panic!("{body}: {faults:?}"));
    contract::of("CompleteRequest", &*request).unwrap()
}

/// The request of a body with these fields beside a message.
fn with(fields: &Value) -> Value {
    let mut request = request(&body(fields));
    request.as_object_mut().unwrap().remove("messages");
    request
}

fn body(fields: &Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// The messages that these become.
fn messages(messages: &Value) -> Value {
    request(&json!({ "messages": messages }))["messages"].take()
}

/// What is said of a body: each field with its rule.
fn faults(body: &Value) -> Vec<(String, String)> {
    let Err(faults) = item::read(line(body).as_bytes(), 1).request else { panic!("{body} was read") };
    faults.into_iter().map(|fault| (fault.field, fault.rule)).collect()
}

#[test]
fn a_conversation_keeps_its_turns_its_calls_and_their_results() {
    let request = request(&json!({
        "model": "some-model",
        "messages": [
            { "role": "developer", "content": "Be brief." },
            { "role": "system", "content": [{ "type": "text", "text": "Be kind." }] },
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "1", "type": "function", "function": { "name": "weather", "arguments": "{\"b\":1,\"a\":2}" } },
                { "id": "2", "type": "function", "function": { "name": "time", "arguments": "" } },
                { "id": "3", "type": "custom", "custom": { "name": "sql", "input": "SELECT 1" } },
            ] },
            { "role": "tool", "tool_call_id": "1", "content": "rain" },
            { "role": "tool", "tool_call_id": "2", "content": [{ "type": "text", "text": "noon" }] },
            { "role": "tool", "tool_call_id": "3", "content": "" },
            { "role": "assistant", "content": "It rains.", "refusal": null },
            { "role": "assistant", "content": "", "refusal": "No." },
        ],
    }));
    let text = |text: &str| json!({ "text": { "text": text } });
    let result = |id: &str, text: &str| json!({ "tool_result": { "tool_call_id": id, "content": [{ "text": { "text": text } }] } });
    let expected = json!({
        "model": "some-model",
        "system_blocks": [text("Be brief."), text("Be kind.")],
        "messages": [
            { "role": "ROLE_USER", "content": [text("Weather?")] },
            { "role": "ROLE_ASSISTANT", "content": [
                { "tool_call": { "id": "1", "name": "weather", "arguments_json": "{\"b\":1,\"a\":2}" } },
                { "tool_call": { "id": "2", "name": "time", "arguments_json": "{}" } },
                { "tool_call": { "id": "3", "name": "sql", "text": "SELECT 1" } },
            ] },
            { "role": "ROLE_TOOL", "content": [
                result("1", "rain"),
                result("2", "noon"),
                { "tool_result": { "tool_call_id": "3" } },
            ] },
            { "role": "ROLE_ASSISTANT", "content": [text("It rains.")] },
            { "role": "ROLE_ASSISTANT", "content": [{ "refusal": { "text": "No." } }] },
        ],
    });
    assert_eq!(request, expected);
}

#[test]
fn parts_become_blocks() {
    let parts = json!([
        { "type": "text", "text": "look", "prompt_cache_breakpoint": { "mode": "explicit", "ttl": "30m" } },
        { "type": "image_url", "image_url": { "url": "https://host/a.png", "detail": "high" } },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAEC" } },
        { "type": "input_audio", "input_audio": { "data": "AAEC", "format": "mp3" } },
        { "type": "file", "file": { "file_data": "data:text/plain;base64,aGk=", "filename": "a.txt" } },
        { "type": "file", "file": { "file_data": "JVBERi0x" } },
    ]);
    let content = messages(&json!([{ "role": "user", "content": parts }]))[0]["content"].take();
    let media = |data: &str, mime: &str| json!({ "data": data, "mime_type": mime });
    let expected = json!([
        { "text": { "text": "look" }, "cache_breakpoint": { "ttl": "1800s" } },
        { "image": { "media": { "uri": "https://host/a.png" }, "detail": "high" } },
        { "image": { "media": media("AAEC", "image/png") } },
        { "audio": { "media": media("AAEC", "audio/mpeg") } },
        { "document": { "media": media("aGk=", "text/plain"), "filename": "a.txt" } },
        { "document": { "media": media("JVBERi0x", "application/pdf") } },
    ]);
    assert_eq!(content, expected);
    let refused = json!([{ "role": "assistant", "content": [{ "type": "refusal", "refusal": "No." }] }]);
    assert_eq!(messages(&refused)[0]["content"], json!([{ "refusal": { "text": "No." } }]));
}

#[test]
fn each_parameter_has_its_place() {
    let cases = [
        (json!({ "max_tokens": 5 }), json!({ "max_tokens": 5 })),
        (json!({ "max_completion_tokens": 6 }), json!({ "max_tokens": 6 })),
        (json!({ "max_tokens": 7, "max_completion_tokens": 7 }), json!({ "max_tokens": 7 })),
        (json!({ "temperature": 0, "top_p": 0.5 }), json!({ "temperature": 0.0, "top_p": 0.5 })),
        (
            json!({ "frequency_penalty": -1, "presence_penalty": 1.5 }),
            json!({ "frequency_penalty": -1.0, "presence_penalty": 1.5 }),
        ),
        (json!({ "seed": i64::MAX }), json!({ "seed": i64::MAX.to_string() })),
        (json!({ "stop": "x" }), json!({ "stop_sequences": ["x"] })),
        (json!({ "stop": ["x", "y"] }), json!({ "stop_sequences": ["x", "y"] })),
        (json!({ "logprobs": true, "top_logprobs": 3 }), json!({ "top_logprobs": 3 })),
        (json!({ "logprobs": true }), json!({ "top_logprobs": 0 })),
        (json!({ "logprobs": false }), json!({})),
        (json!({ "parallel_tool_calls": false }), json!({ "parallel_tool_calls": false })),
        (json!({ "reasoning_effort": "xhigh" }), json!({ "reasoning": { "effort": "EFFORT_XHIGH" } })),
        (json!({ "reasoning_effort": "none" }), json!({ "reasoning": { "effort": "EFFORT_NONE" } })),
        (json!({ "service_tier": "flex" }), json!({ "service_tier": "flex" })),
        (json!({ "user": "u" }), json!({ "user": "u" })),
        (json!({ "safety_identifier": "s" }), json!({ "user": "s" })),
        (json!({ "user": "s", "safety_identifier": "s" }), json!({ "user": "s" })),
        (json!({ "metadata": { "team": "search" } }), json!({ "labels": { "team": "search" } })),
        (json!({ "n": 1, "stream": true, "stream_options": { "include_usage": true } }), json!({})),
        (json!({ "temperature": null, "stop": null, "n": null, "tools": null, "unheard_of": null }), json!({})),
        (json!({ "response_format": { "type": "text" } }), json!({ "response_format": { "text": {} } })),
        (json!({ "response_format": { "type": "json_object" } }), json!({ "response_format": { "json_object": {} } })),
    ];
    for (fields, expected) in cases {
        assert_eq!(with(&fields), expected, "{fields}");
    }
}

#[test]
fn what_only_that_vendor_knows_is_for_that_vendor() {
    let options = |fields: &Value| with(fields)["provider_options"]["openai"]["body_json"].take();
    let fields = json!({
        "logit_bias": { "5": -100 }, "verbosity": "low", "prompt_cache_key": "k", "prediction": { "type": "content" },
    });
    let text = r#"{"logit_bias":{"5":-100},"prediction":{"type":"content"},"prompt_cache_key":"k","verbosity":"low"}"#;
    assert_eq!(options(&fields), text);
    let stored = with(&json!({ "store": true, "metadata": { "a": "b" } }));
    assert_eq!(stored["labels"], json!({ "a": "b" }));
    assert_eq!(stored["provider_options"]["openai"]["body_json"], r#"{"metadata":{"a":"b"},"store":true}"#);
    let both = with(&json!({ "user": "u", "safety_identifier": "s" }));
    assert_eq!(
        (&both["user"], options(&json!({ "user": "u", "safety_identifier": "s" }))),
        (&json!("s"), json!(r#"{"user":"u"}"#))
    );
}

#[test]
fn tools_and_the_choice_among_them() {
    let request = with(&json!({ "tools": [
        { "type": "function", "function": { "name": "f", "description": "d", "strict": true } },
        { "type": "custom", "custom": { "name": "c", "format": { "type": "text" } } },
        { "type": "custom", "custom": { "name": "g", "format": {
            "type": "grammar", "grammar": { "syntax": "lark", "definition": "start: A" } } } },
    ] }));
    let expected = json!([
        { "function": { "name": "f", "description": "d", "strict": true } },
        { "custom": { "name": "c" } },
        { "custom": { "name": "g", "grammar": { "syntax": "lark", "definition": "start: A" } } },
    ]);
    assert_eq!(request["tools"], expected);

    let named = |kind: &str, name: &str| json!({ "type": kind, kind: { "name": name } });
    let required = |names: &[&str]| json!({ "mode": "TOOL_CHOICE_MODE_REQUIRED", "names": names });
    let allowed = |mode: &str| {
        let tools = [named("function", "f"), named("custom", "c")];
        json!({ "type": "allowed_tools", "allowed_tools": { "mode": mode, "tools": tools } })
    };
    let cases = [
        (json!("auto"), json!({ "mode": "TOOL_CHOICE_MODE_AUTO" })),
        (json!("none"), json!({ "mode": "TOOL_CHOICE_MODE_NONE" })),
        (json!("required"), json!({ "mode": "TOOL_CHOICE_MODE_REQUIRED" })),
        (named("function", "f"), required(&["f"])),
        (named("custom", "c"), required(&["c"])),
        (allowed("required"), required(&["f", "c"])),
        (allowed("auto"), json!({ "mode": "TOOL_CHOICE_MODE_AUTO", "names": ["f", "c"] })),
    ];
    for (choice, expected) in cases {
        assert_eq!(with(&json!({ "tool_choice": choice.clone() }))["tool_choice"], expected, "{choice}");
    }
}

#[test]
fn schemas_keep_the_order_of_their_keys_and_the_size_of_their_numbers() {
    // The macro would sort the keys: this is the text itself.
    let line = r#"{"url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"hi"}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"z":12345678901234567890123,"a":1.50}}}],
        "response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"z":{},"a":{}}}}}}"#
        .replace('\n', " ");
    let request = item::read(line.as_bytes(), 1).request.unwrap();
    let request = contract::of("CompleteRequest", &*request).unwrap();
    assert_eq!(request["tools"][0]["function"]["parameters_json"], r#"{"z":12345678901234567890123,"a":1.50}"#);
    let schema = json!({ "name": "n", "strict": true, "schema_json": r#"{"z":{},"a":{}}"# });
    assert_eq!(request["response_format"]["json_schema"], schema);
}

#[test]
fn what_has_no_place_is_told_and_never_dropped() {
    let cases = [
        (json!({ "n": 2 }), "body.n", "must be 1"),
        (json!({ "unheard_of": 1 }), "body.unheard_of", "is not a field"),
        (json!({ "temperature": "hot" }), "body.temperature", "must be a number"),
        (json!({ "max_tokens": 1.5 }), "body.max_tokens", "must be a whole number"),
        (json!({ "max_tokens": 1, "max_completion_tokens": 2 }), "body.max_tokens", "must be the same"),
        (json!({ "top_logprobs": 2 }), "body.top_logprobs", "must come with logprobs"),
        (json!({ "reasoning_effort": "much" }), "body.reasoning_effort", "must be none, minimal"),
        (json!({ "stop": 5 }), "body.stop", "must be a list"),
        (json!({ "functions": [] }), "body.functions", "write `tools`"),
        (json!({ "function_call": "auto" }), "body.function_call", "write `tool_choice`"),
        (json!({ "metadata": { "a": 1 } }), "body.metadata", "must be an object of strings"),
        (json!({ "response_format": { "type": "xml" } }), "body.response_format.type", "must be text"),
        (json!({ "response_format": { "type": "json_object", "x": 1 } }), "body.response_format.x", "is not a field"),
        (
            json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "n" } } }),
            "body.response_format.json_schema.schema",
            "is missing",
        ),
        (json!({ "tools": [{ "type": "web_search" }] }), "body.tools[0].type", "must be function or custom"),
        (
            json!({ "tools": [{ "type": "function", "function": { "name": "f", "parameters": [] } }] }),
            "body.tools[0].function.parameters",
            "must be an object",
        ),
        (json!({ "tool_choice": "any" }), "body.tool_choice", "must be none, auto, required"),
        (json!({ "tool_choice": { "type": "mcp" } }), "body.tool_choice.type", "must be function, custom"),
        (json!({ "tool_choice": {} }), "body.tool_choice.type", "is missing"),
        (json!({ "messages": null }), "body.messages", "is missing"),
        (json!({ "messages": [{ "role": "function", "content": "x" }] }), "body.messages[0].role", "must be system"),
        (
            json!({ "messages": [{ "role": "user", "content": "x", "name": "Ann" }] }),
            "body.messages[0].name",
            "no place",
        ),
        (json!({ "messages": [{ "role": "user" }] }), "body.messages[0].content", "is missing"),
        (
            json!({ "messages": [{ "role": "user", "content": "x" }, { "role": "system", "content": "y" }] }),
            "body.messages[1].role",
            "must stand before",
        ),
        (
            json!({ "messages": [{ "role": "assistant", "audio": { "id": "a" } }] }),
            "body.messages[0].audio",
            "no place",
        ),
        (
            json!({ "messages": [{ "role": "assistant", "tool_calls": [{ "id": "c", "type": "x" }] }] }),
            "body.messages[0].tool_calls[0].type",
            "must be function or custom",
        ),
        (json!({ "messages": [{ "role": "tool", "content": "x" }] }), "body.messages[0].tool_call_id", "is missing"),
    ];
    for (fields, field, rule) in cases {
        let told = faults(&body(&fields));
        assert!(told.iter().any(|(at, what)| at == field && what.contains(rule)), "{fields}: {told:?}");
    }
}

#[test]
fn parts_that_cannot_be_taken_are_told() {
    let cases = [
        (json!({ "type": "video" }), "type", "must be text, image_url"),
        (json!({ "type": "refusal", "refusal": "x" }), "type", "must be text, image_url"),
        (json!({ "type": "text", "text": "x", "x": 1 }), "x", "is not a field"),
        (json!({ "type": "image_url", "image_url": {} }), "image_url.url", "is missing"),
        (json!({ "type": "image_url", "image_url": { "url": "data:image/png,AA" } }), "image_url.url", "base64"),
        (json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,A" } }), "image_url.url", "base64"),
        (
            json!({ "type": "input_audio", "input_audio": { "data": "AA==", "format": "ogg" } }),
            "input_audio.format",
            "must be wav or mp3",
        ),
        (json!({ "type": "file", "file": { "file_id": "f" } }), "file.file_id", "is a file of one account"),
        (json!({ "type": "file", "file": { "file_data": "AAEC" } }), "file.file_data", "must be a data: URL"),
        (
            json!({ "type": "text", "text": "x", "prompt_cache_breakpoint": { "ttl": "soon" } }),
            "prompt_cache_breakpoint.ttl",
            "",
        ),
    ];
    for (part, field, rule) in cases {
        let told = faults(&json!({ "messages": [{ "role": "user", "content": [part.clone()] }] }));
        let field = format!("body.messages[0].content[0].{field}");
        assert!(told.iter().any(|(at, what)| *at == field && what.contains(rule)), "{part}: {told:?}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let told = faults(&body(&json!({ "n": 2, "temperature": "hot", "stop": 5 })));
    let fields: Vec<_> = told.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["body.n", "body.temperature", "body.stop"]);
}
