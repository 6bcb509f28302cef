//! Batches that nothing happens to.

use serde_json::{Value, json};

use crate::desk::{Desk, done, item};
use crate::stage::Stage;

fn chat(name: &str, text: &str) -> String {
    let body = json!({ "model": "up/simulator", "max_tokens": 100, "messages": [
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": [{ "type": "text", "text": format!("sim: echo pace=0ms first_event=0ms\n{text}") }] },
    ] });
    json!({ "custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body }).to_string()
}

#[tokio::test]
async fn results_have_the_order_of_the_input_and_no_more_run_than_may() {
    let stage = Stage::with("").await;
    // The first of each handful takes longest, so that they finish in another order.
    let desk = Desk::with((0..60).map(|number| item(number, 40 - 10 * (number % 5))));
    let done = desk.batch(stage.address(), &["--max-concurrency", "7", "--json"]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(desk.names(), (0..60).map(|number| format!("n{number}")).collect::<Vec<_>>());
    for (number, result) in desk.results().iter().enumerate() {
        assert_eq!(result["response"]["text"], format!("item {number}"));
        assert_eq!(result["id"], result["response"]["outcome"]["id"]);
    }
    // A machine that is busy elsewhere may not bring all of them together.
    let most_open = stage.upstream.simulator().counts().borrow().most_open;
    assert!((2..=7).contains(&most_open), "{most_open}");
    assert!(!desk.journal().exists(), "the journal is gone with the output there");
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&summary["items"], &summary["answered"], &summary["failed"]), (&json!(60), &json!(60), &json!(0)));
    assert!(
        summary["input_tokens"].as_i64().unwrap() > 0 && summary["output_tokens"].as_i64().unwrap() > 0,
        "{summary}"
    );
    assert!(done.err.contains("60 items: 60 answered, 0 failed"), "{}", done.err);
}

#[tokio::test]
async fn every_line_has_its_result_whatever_it_says() {
    let stage = Stage::with("").await;
    let lines = [
        chat("chat", "one"),
        String::new(),
        "not JSON".to_owned(),
        r#"{"prompt":"sim: echo pace=0ms first_event=0ms\nbare"}"#.to_owned(),
        r#"{"custom_id":"twice","request":{"prompt":"sim: echo pace=0ms\nfirst"}}"#.to_owned(),
        r#"{"custom_id":"twice","request":{"prompt":"sim: echo pace=0ms\nsecond"}}"#.to_owned(),
        r#"{"custom_id":"elsewhere","method":"POST","url":"/v1/embeddings","body":{"input":"x"}}"#.to_owned(),
        r#"{"custom_id":"invalid","request":{"prompt":"x","temperature":9}}"#.to_owned(),
        chat("last", "end"),
    ];
    let desk = Desk::with(lines);
    let done = desk.batch(stage.address(), &["--json"]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    let results = desk.results();
    let told = |result: &Value| match result.get("response") {
        Some(response) => response["text"].as_str().unwrap().to_owned(),
        None => {
            format!("{}: {}", result["status"]["code"].as_str().unwrap(), result["status"]["reason"].as_str().unwrap())
        }
    };
    let told: Vec<_> = results.iter().map(|result| (result["custom_id"].as_str().unwrap(), told(result))).collect();
    let invalid = "INVALID_ARGUMENT: INVALID_REQUEST".to_owned();
    let expected = [
        ("chat", "one".to_owned()),
        ("3", invalid.clone()),
        ("4", "bare".to_owned()),
        ("twice", "first".to_owned()),
        ("twice", "second".to_owned()),
        ("elsewhere", invalid.clone()),
        ("invalid", invalid.clone()),
        ("last", "end".to_owned()),
    ];
    assert_eq!(told, expected);
    assert_eq!(results[1]["status"]["line"], 3);
    assert_eq!(results[5]["status"]["violations"][0]["field"], "url");
    assert_eq!(results[6]["status"]["violations"][0]["field"], "temperature");
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(summary["failed_by_reason"], json!({ "INVALID_REQUEST": 3 }));
}

#[tokio::test]
async fn without_a_server_one_inside_answers() {
    let desk = Desk::with([r#"{"prompt":"sim: echo pace=0ms\nhi"}"#.to_owned()]);
    let done = done(desk.alone(&["--model", "simulator"])).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(desk.results()[0]["response"]["text"], "hi");
}

#[tokio::test]
async fn the_model_of_the_command_takes_the_place_of_the_lines() {
    let stage = Stage::with("").await;
    let line = |model: &str| json!({ "request": { "model": model, "prompt": "sim: echo pace=0ms\nhi" } }).to_string();
    let desk = Desk::with([line("unheard-of"), line("")]);
    assert_eq!(desk.batch(stage.address(), &["--model", "up/other"]).await.code, 0);
    for result in desk.results() {
        assert_eq!(result["response"]["outcome"]["attempts"][0]["model"], "other");
    }
    let done = desk.batch(stage.address(), &["--overwrite"]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    assert_eq!(desk.results()[0]["status"]["reason"], "MODEL_NOT_FOUND");
}

#[tokio::test]
async fn an_empty_input_has_an_empty_output() {
    let desk = Desk::with([String::new(), "  ".to_owned()]);
    // Nobody is asked, so nobody has to be there.
    let done = desk.batch("127.0.0.1:1".parse().unwrap(), &[]).await;
    assert_eq!((done.code, desk.results().len()), (0, 0), "{}", done.err);
}
