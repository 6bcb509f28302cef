//! What an answer can look like.

use serde_json::{Value, json};

use crate::ask::{FORMATS, Format, ask, instant, say};

fn weather(format: Format) -> Value {
    let schema = json!({
        "type": "object", "required": ["city", "days"],
        "properties": { "city": { "type": "string" }, "days": { "type": "integer", "minimum": 2 }, "unit": {} },
    });
    match format {
        Format::Chat => json!([
            { "type": "function", "function": { "name": "get_time", "parameters": { "type": "object" } } },
            { "type": "function", "function": { "name": "get_weather", "parameters": schema } },
        ]),
        Format::Messages => json!([
            { "name": "get_time", "input_schema": { "type": "object" } },
            { "name": "get_weather", "input_schema": schema },
        ]),
    }
}

/// The calls of a whole answer: names, ids and arguments.
fn calls(format: Format, body: &Value) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match format {
        Format::Chat => {
            let calls = body["choices"][0]["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
            let arguments =
                |call: &Value| serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
            calls.iter().map(|call| (text(&call["function"]["name"]), text(&call["id"]), arguments(call))).collect()
        }
        Format::Messages => {
            let blocks = body["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
            blocks.map(|call| (text(&call["name"]), text(&call["id"]), call["input"].clone())).collect()
        }
    }
}

fn finish(format: Format, body: &Value) -> String {
    let place = match format {
        Format::Chat => "/choices/0/finish_reason",
        Format::Messages => "/stop_reason",
    };
    body.pointer(place).and_then(Value::as_str).unwrap_or("none").to_owned()
}

fn text(format: Format, body: &Value) -> String {
    match format {
        Format::Chat => body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
        Format::Messages => {
            let blocks = body["content"].as_array().unwrap().iter();
            blocks.filter_map(|block| block["text"].as_str()).collect()
        }
    }
}

fn output_tokens(format: Format, body: &Value) -> u64 {
    let place = match format {
        Format::Chat => "/usage/completion_tokens",
        Format::Messages => "/usage/output_tokens",
    };
    body.pointer(place).and_then(Value::as_u64).unwrap()
}

#[tokio::test]
async fn every_answer_says_what_it_is() {
    for format in FORMATS {
        let answer = say(format, format.request("Why is the sky blue?", &json!({}))).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["model"]), (200, &json!("simulator")));
        assert_eq!(answer.headers["x-simulated"], "true");
        assert!(text(format, &body).contains("simulated") && text(format, &body).contains("Why is the sky blue?"));
        let streamed = say(format, format.streamed("Why is the sky blue?")).await;
        assert_eq!(streamed.headers["content-type"], "text/event-stream; charset=utf-8");
        assert!(streamed.is_complete(format));
        assert!(streamed.text().contains("simulated"), "{}", streamed.text());
    }
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes_and_another_one_another_id() {
    for format in FORMATS {
        let ask = |prompt: &str| say(format, format.streamed(prompt));
        assert_eq!(ask("sim: tokens=300 think=9").await.body, ask("sim: tokens=300 think=9").await.body);
        let id = |answer: crate::ask::Answer| answer.pieces(&["/id", "/message/id"]);
        assert_ne!(id(ask("one").await), id(ask("two").await));
    }
}

#[tokio::test]
async fn a_streamed_answer_and_a_whole_one_say_the_same() {
    for format in FORMATS {
        for prompt in ["hello", "sim: tokens=77", "sim: echo\nnaïve 日本語 🙂\nand a second line", "sim: refuse"]
        {
            let body = say(format, format.request(prompt, &json!({}))).await.json();
            let streamed = say(format, format.streamed(prompt)).await;
            let refusal = body["choices"][0]["message"]["refusal"].as_str().unwrap_or_default();
            let said = streamed.text() + &streamed.pieces(&["/choices/0/delta/refusal"]);
            assert_eq!(said, text(format, &body) + refusal, "{format:?} {prompt:?}");
        }
    }
}

#[tokio::test]
async fn what_is_echoed_is_the_text_without_its_directives() {
    for format in FORMATS {
        let body = say(format, format.request("one\n  sim: echo\ntwo  three", &json!({}))).await.json();
        assert_eq!(text(format, &body), "one\ntwo  three");
    }
}

#[tokio::test]
async fn directives_stand_behind_the_model_as_well() {
    for format in FORMATS {
        let more = json!({ "model": "anything?tokens=40&finish=pause" });
        let body = say(format, format.request("hello", &more)).await.json();
        assert_eq!(output_tokens(format, &body), 40);
        assert_eq!(finish(format, &body), if format == Format::Chat { "pause" } else { "pause_turn" });
    }
}

#[tokio::test]
async fn an_answer_has_the_tokens_that_it_is_asked_for_up_to_its_bound() {
    for format in FORMATS {
        let limit = |tokens: u64| match format {
            Format::Chat => json!({ "max_completion_tokens": tokens }),
            Format::Messages => json!({ "max_tokens": tokens }),
        };
        for (asked, bound, got, is_cut) in [(500, 1000, 500, false), (500, 500, 500, false), (500, 20, 20, true)] {
            let body = say(format, format.request(&format!("sim: tokens={asked}"), &limit(bound))).await.json();
            assert_eq!(output_tokens(format, &body), got, "{format:?}");
            let reasons = if format == Format::Chat { ["length", "stop"] } else { ["max_tokens", "end_turn"] };
            assert_eq!(finish(format, &body), reasons[usize::from(!is_cut)]);
        }
    }
}

#[tokio::test]
async fn a_stop_sequence_ends_the_answer_before_it() {
    for (format, key) in [(Format::Chat, "stop"), (Format::Messages, "stop_sequences")] {
        let prompt = "sim: echo\none two END three";
        let body = say(format, format.request(prompt, &json!({ key: ["nowhere", "END"] }))).await.json();
        assert_eq!(text(format, &body), "one two ");
        let expected = if format == Format::Chat { "stop" } else { "stop_sequence" };
        assert_eq!(finish(format, &body), expected);
        if format == Format::Messages {
            assert_eq!(body["stop_sequence"], "END");
        }
    }
}

#[tokio::test]
async fn tools_are_called_when_they_must_be_or_a_directive_asks() {
    let named = |format| match format {
        Format::Chat => json!({ "type": "function", "function": { "name": "get_weather" } }),
        Format::Messages => json!({ "type": "tool", "name": "get_weather" }),
    };
    let any = |format| if format == Format::Chat { json!("required") } else { json!({ "type": "any" }) };
    let none = |format| if format == Format::Chat { json!("none") } else { json!({ "type": "none" }) };
    for format in FORMATS {
        let cases = [
            ("hello", Value::Null, vec![]),
            ("hello", any(format), vec!["get_time"]),
            ("hello", named(format), vec!["get_weather"]),
            ("sim: tool", Value::Null, vec!["get_time"]),
            ("sim: tool=get_weather", Value::Null, vec!["get_weather"]),
            ("sim: tools=3", Value::Null, vec!["get_time", "get_weather", "get_time"]),
            ("sim: tool=get_weather tools=2", any(format), vec!["get_weather", "get_weather"]),
            ("sim: tool", none(format), vec![]),
        ];
        for (prompt, choice, expected) in cases {
            let mut request = format.request(prompt, &json!({ "tools": weather(format) }));
            if !choice.is_null() {
                request["tool_choice"] = choice;
            }
            let body = say(format, request).await.json();
            let calls = calls(format, &body);
            let names: Vec<_> = calls.iter().map(|(name, ..)| name.as_str()).collect();
            assert_eq!(names, expected, "{format:?} {prompt:?}");
            for (name, _, arguments) in &calls {
                if name == "get_weather" {
                    assert_eq!(*arguments, json!({ "city": "simulated", "days": 2 }));
                }
            }
            let ids: std::collections::BTreeSet<_> = calls.iter().map(|(_, id, _)| id).collect();
            assert_eq!(ids.len(), calls.len(), "ids are not told apart");
        }
    }
}

#[tokio::test]
async fn one_call_at_a_time_where_calls_may_not_stand_side_by_side() {
    for format in FORMATS {
        let mut request = format.request("sim: tools=3", &json!({ "tools": weather(format) }));
        match format {
            Format::Chat => request["parallel_tool_calls"] = json!(false),
            Format::Messages => request["tool_choice"] = json!({ "type": "auto", "disable_parallel_tool_use": true }),
        }
        assert_eq!(calls(format, &say(format, request).await.json()).len(), 1);
    }
}

#[tokio::test]
async fn streamed_calls_come_in_fragments_that_join_to_their_arguments() {
    for format in FORMATS {
        let mut request = format.streamed("sim: tool=get_weather args={\"city\":\"Köln\",\"days\":3}");
        request["tools"] = weather(format);
        let answer = say(format, request).await;
        let pieces = answer.pieces(&["/choices/0/delta/tool_calls/0/function/arguments", "/delta/partial_json"]);
        assert_eq!(serde_json::from_str::<Value>(&pieces).unwrap(), json!({ "city": "Köln", "days": 3 }));
        let name = answer.pieces(&["/choices/0/delta/tool_calls/0/function/name", "/content_block/name"]);
        assert_eq!(name, "get_weather");
    }
}

#[tokio::test]
async fn after_results_comes_the_answer_that_they_were_wanted_for() {
    for format in FORMATS {
        let mut request = format.request("sim: tool=get_weather", &json!({ "tools": weather(format) }));
        let body = say(format, request.clone()).await.json();
        let id = calls(format, &body)[0].1.clone();
        let messages = request["messages"].as_array_mut().unwrap();
        match format {
            Format::Chat => {
                messages.push(body["choices"][0]["message"].clone());
                messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "sunny" }));
            }
            Format::Messages => {
                messages.push(json!({ "role": "assistant", "content": body["content"] }));
                let result = json!({ "type": "tool_result", "tool_use_id": id, "content": "sunny" });
                messages.push(json!({ "role": "user", "content": [result] }));
            }
        }
        let body = say(format, request.clone()).await.json();
        assert!(text(format, &body).contains("one tool result"), "{body}");
        request["messages"].as_array_mut().unwrap().pop();
        assert_eq!(say(format, request).await.status, 400, "a call without its result");
    }
}

#[tokio::test]
async fn reasoning_comes_first_where_it_is_asked_for() {
    let mut chat = Format::Chat.streamed("hello");
    chat["reasoning_effort"] = json!("low");
    let answer = say(Format::Chat, chat).await;
    assert!(answer.pieces(&["/choices/0/delta/reasoning_content"]).contains("simulated"));
    let events = answer.events();
    let usage = events.iter().find(|event| event["usage"].is_object()).unwrap();
    assert_eq!(usage["usage"]["completion_tokens_details"]["reasoning_tokens"], 24);

    let mut messages = Format::Messages.streamed("hello");
    messages["thinking"] = json!({ "type": "adaptive" });
    let answer = say(Format::Messages, messages.clone()).await;
    let shown = answer.pieces(&["/delta/thinking"]);
    assert!(shown.contains("simulated") && answer.pieces(&["/delta/signature"]).starts_with("sim"));
    messages["thinking"]["display"] = json!("omitted");
    let hidden = say(Format::Messages, messages).await;
    assert_eq!(hidden.pieces(&["/delta/thinking"]), "");
    assert!(!hidden.pieces(&["/delta/signature"]).is_empty());
}

#[tokio::test]
async fn reasoning_that_comes_back_changed_is_refused() {
    let format = Format::Messages;
    let mut request = format.request("hello", &json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } }));
    let body = say(format, request.clone()).await.json();
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": body["content"] }));
    messages.push(json!({ "role": "user", "content": "go on" }));
    assert_eq!(say(format, request.clone()).await.status, 200);
    request["messages"][1]["content"][0]["thinking"] = json!("something else");
    assert_eq!(say(format, request).await.status, 400);
}

#[tokio::test]
async fn refusals_and_filters_are_answers() {
    for format in FORMATS {
        let chat = format == Format::Chat;
        let refused = say(format, format.request("sim: refuse", &json!({}))).await.json();
        assert_eq!(finish(format, &refused), if chat { "stop" } else { "refusal" });
        assert_eq!(refused["choices"][0]["message"]["refusal"].is_string(), chat);
        let filtered = say(format, format.request("sim: filter", &json!({}))).await.json();
        assert_eq!(finish(format, &filtered), if chat { "content_filter" } else { "refusal" });
        let prompt = say(format, format.request("sim: filter=prompt", &json!({}))).await;
        if chat {
            assert_eq!((prompt.status, &prompt.json()["error"]["code"]), (400, &json!("content_filter")));
        } else {
            assert_eq!((prompt.status, finish(format, &prompt.json())), (200, "refusal".to_owned()));
        }
    }
}

#[tokio::test]
async fn images_and_documents_are_seen() {
    let chat = json!([
        { "type": "text", "text": "look" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
        { "type": "file", "file": { "file_data": "data:application/pdf;base64,AAAA" } },
    ]);
    let messages = json!([
        { "type": "text", "text": "look" },
        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
        { "type": "document", "source": { "type": "text", "media_type": "text/plain", "data": "x" } },
    ]);
    for (format, content) in [(Format::Chat, chat), (Format::Messages, messages)] {
        let body =
            say(format, format.request("", &json!({ "messages": [{ "role": "user", "content": content }] }))).await;
        assert!(text(format, &body.json()).contains("one image and one document"), "{:?}", body.body);
    }
}

#[tokio::test]
async fn usage_is_reported_the_way_of_the_format() {
    let answer = say(Format::Chat, Format::Chat.streamed("sim: cached=3 tokens=10")).await;
    let events = answer.events();
    let usage = events.last().unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(10)));
    assert_eq!(usage["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
    assert!(events[0]["usage"].is_null() && events[0].get("usage").is_some());
    assert_eq!(answer.frames().last().unwrap().1, "[DONE]");
    let silent = Format::Chat.request("hello", &json!({ "stream": true }));
    assert!(say(Format::Chat, silent).await.events().iter().all(|event| event.get("usage").is_none()));

    let body = say(Format::Messages, Format::Messages.request("sim: cached=3 tokens=10", &json!({}))).await.json();
    assert_eq!(body["usage"]["cache_read_input_tokens"], 3);
    assert_eq!(body["usage"]["output_tokens"], 10);
    for format in FORMATS {
        let none = say(format, format.streamed("sim: no_usage")).await;
        assert!(none.is_complete(format));
        assert!(none.events().iter().all(|event| !event.to_string().contains("\"usage\":{")));
    }
}

#[tokio::test]
async fn log_probabilities_come_with_each_token() {
    let mut request = Format::Chat.request("sim: tokens=5", &json!({ "logprobs": true, "top_logprobs": 2 }));
    let whole = say(Format::Chat, request.clone()).await.json();
    let tokens = whole["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    assert_eq!((tokens.len(), tokens[0]["top_logprobs"].as_array().unwrap().len()), (5, 2));
    request["stream"] = json!(true);
    let streamed = say(Format::Chat, request).await;
    let pieces = streamed.events().iter().filter(|event| event["choices"][0]["logprobs"].is_object()).count();
    assert_eq!(pieces, 5);
}

#[tokio::test]
async fn what_a_provider_would_refuse_is_refused() {
    let chat = [
        json!({ "model": "" }),
        json!({ "messages": [] }),
        json!({ "stream_options": { "include_usage": true } }),
        json!({ "n": 2 }),
        json!({ "max_tokens": 1, "max_completion_tokens": 1 }),
        json!({ "messages": [{ "role": "tool", "tool_call_id": "x", "content": "" }] }),
        json!({ "messages": [{ "role": "ghost", "content": "boo" }] }),
        json!({ "tool_choice": "required" }),
        json!({ "tools": [{ "type": "unheard_of" }] }),
        json!({ "response_format": { "type": "json_schema" } }),
        json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": { "not": {} } } } }),
    ];
    let messages = [
        json!({ "model": null }),
        json!({ "messages": [] }),
        json!({ "max_tokens": null }),
        json!({ "temperature": 1.5 }),
        json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "" }] }] }),
        json!({ "messages": [{ "role": "tool", "content": "x" }] }),
        json!({ "messages": [{ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "x" }] }] }),
        json!({ "thinking": { "type": "enabled", "budget_tokens": 10 } }),
        json!({ "thinking": { "type": "loud" } }),
        json!({ "tool_choice": { "type": "any" } }),
    ];
    let cases = chat.map(|more| (Format::Chat, more)).into_iter().chain(messages.map(|more| (Format::Messages, more)));
    for (format, more) in cases {
        let answer = ask(&instant(), format, &format.request("hello", &more)).await.unwrap();
        assert_eq!(answer.status, 400, "{format:?} {more}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error", "{more}");
    }
}
