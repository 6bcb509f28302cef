//! Commands that make no sense, and what they end with.

use crate::desk::{Desk, command, done, item};
use crate::stage::Stage;

fn desk() -> Desk {
    Desk::with([item(1, 0)])
}

#[tokio::test]
async fn wrong_use_is_told_with_what_would_be_right() {
    let desk = desk();
    let (input, output) = (desk.input().display().to_string(), desk.output().display().to_string());
    let folder = desk.path("").display().to_string();
    let cases: [(&[&str], &str); 10] = [
        (&["batch"], "IN.jsonl"),
        (&["batch", &input], "--output"),
        (&["batch", "-", "-o", &output], "a batch needs files"),
        (&["batch", &input, "-o", "-"], "a batch needs files"),
        (&["batch", "nowhere.jsonl", "-o", &output], "nowhere.jsonl: No such file"),
        (&["batch", &folder, "-o", &output], "is no file"),
        (&["batch", &input, "-o", &folder], "is no name for a file"),
        (&["batch", &input, "-o", &input, "--overwrite"], "is the input"),
        (&["batch", &input, "-o", &output, "--max-concurrency", "101"], "101"),
        (&["batch", &input, "-o", &output, "--retry-failed"], "--retry-failed needs the output of an earlier batch"),
    ];
    for (arguments, told) in cases {
        let done = done(command(arguments)).await;
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.err);
        assert!(done.err.contains(told), "{arguments:?}: {}", done.err);
    }
    assert!(!desk.journal().exists(), "nothing was begun");
}

#[tokio::test]
async fn an_output_that_is_there_is_not_replaced_by_accident() {
    let (stage, desk) = (Stage::with("").await, desk());
    std::fs::write(desk.output(), "mine\n").unwrap();
    let done = desk.batch(stage.address(), &[]).await;
    assert_eq!(done.code, 2);
    assert!(done.err.contains("is there already: --retry-failed"), "{}", done.err);
    assert_eq!(std::fs::read_to_string(desk.output()).unwrap(), "mine\n");

    let done = desk.batch(stage.address(), &["--retry-failed"]).await;
    assert_eq!(done.code, 1);
    assert!(done.err.contains("is not the output of"), "{}", done.err);
    assert!(!desk.journal().exists() && std::fs::read_to_string(desk.output()).unwrap() == "mine\n");

    assert_eq!(desk.batch(stage.address(), &["--overwrite"]).await.code, 0);
    assert_eq!(desk.results().len(), 1);
}

#[tokio::test]
async fn nobody_there_and_a_wrong_configuration_have_codes_of_their_own() {
    let desk = desk();
    let gone = desk.batch("127.0.0.1:1".parse().unwrap(), &[]).await;
    assert_eq!(gone.code, 4, "{}", gone.err);
    assert!(gone.err.contains("is not reachable"), "{}", gone.err);
    // What was begun and has no result binds nobody.
    let stage = Stage::with("").await;
    let done_elsewhere = desk.batch(stage.address(), &["--model", "up/other"]).await;
    assert_eq!(done_elsewhere.code, 0, "{}", done_elsewhere.err);
    std::fs::remove_file(desk.output()).unwrap();
    let config = desk.path("wrong.yaml");
    std::fs::write(&config, "providers: 5\n").unwrap();
    let wrong = done(desk.alone(&["--config", config.to_str().unwrap()])).await;
    assert_eq!(wrong.code, 3, "{}", wrong.err);
    assert!(!desk.output().exists());
}

#[tokio::test]
async fn what_a_batch_keeps_beside_its_output_is_nobody_elses() {
    let (stage, desk) = (Stage::with("").await, desk());
    let output = desk.output().display().to_string();
    for name in ["out.jsonl.partial", "out.jsonl.partial.draft"] {
        let input = desk.path(name);
        std::fs::copy(desk.input(), &input).unwrap();
        let before = std::fs::read(&input).unwrap();
        let arguments = ["batch", &input.display().to_string(), "-o", &output];
        let server = stage.address().to_string();
        let done = done(command(&[&arguments[..], &["--server", &server]].concat())).await;
        assert_eq!(done.code, 2, "{name}: {}", done.err);
        assert!(done.err.contains("give it another name"), "{}", done.err);
        assert_eq!(std::fs::read(&input).unwrap(), before);
        std::fs::remove_file(input).unwrap();
    }
    // A link that somebody has put there is not followed.
    std::fs::write(desk.path("mine"), "mine\n").unwrap();
    std::os::unix::fs::symlink(desk.path("mine"), desk.path("out.jsonl.partial.draft")).unwrap();
    let ended = desk.batch(stage.address(), &[]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(desk.results().len(), 1);
    assert_eq!(std::fs::read_to_string(desk.path("mine")).unwrap(), "mine\n");
    // A pipe in the journal's place is not waited for.
    let pipe = std::process::Command::new("mkfifo").arg(desk.journal()).status().unwrap();
    assert!(pipe.success());
    let ended = desk.batch(stage.address(), &["--overwrite"]).await;
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(desk.journal().exists());
}
