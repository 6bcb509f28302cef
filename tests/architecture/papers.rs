//! What is written about the code agrees with it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source::files;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Names of all tests, in `src/` and `tests/`.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for file in [files(&root.join("src"), "rs"), files(&root.join("tests"), "rs")].concat() {
        names.extend(tests_of(&std::fs::read_to_string(file).unwrap()));
    }
    names
}

fn tests_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let (true, Some(rest)) = (marked, line.trim_start_matches("async ").strip_prefix("fn ")) {
            names.extend(rest.split('(').next().map(str::to_owned));
            marked = false;
        }
    }
    names
}

/// Every invariant with the tests that it names.
fn invariants(text: &str) -> Vec<(String, Vec<String>)> {
    let section = text.split("\n## Invariants").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    section
        .split("\n- ")
        .skip(1)
        .map(|item| {
            let item = item.split_whitespace().collect::<Vec<_>>().join(" ");
            let (rule, held) = item.split_once("Held by").unwrap_or((item.as_str(), ""));
            let names = held.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (rule.trim().to_owned(), names)
        })
        .collect()
}

fn unheld(text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (rule, names) in invariants(text) {
        if names.is_empty() {
            complaints.push(format!("nothing holds: {rule}"));
        }
        complaints.extend(names.into_iter().filter(|name| !tests.contains(name)).map(|name| format!("no test {name}")));
    }
    complaints
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let text = read("ARCHITECTURE.md");
    assert!(invariants(&text).len() >= 7, "the invariants were not found");
    let complaints = unheld(&text, &tests());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_invariant_names_tests_that_exist_is_a_rule_that_can_fail() {
    let tests = tests_of("#[test]\nfn one() {}\n#[tokio::test(start_paused = true)]\nasync fn two() {}\nfn three() {}");
    assert_eq!(tests, ["one", "two"]);
    let tests = tests.into_iter().collect();
    let text = "# A\n\n## Invariants\n\n- First. Held\n  by `one` and\n  `two`.\n- Second.\n- Third. Held by `three`.\n\n## B\n\n- x\n";
    assert_eq!(unheld(text, &tests), ["nothing holds: Second.", "no test three"]);
}

fn misfiled(records: &[String], list: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, name) in records.iter().enumerate() {
        if !name.starts_with(&format!("{:04}-", at + 1)) {
            complaints.push(format!("{name} is out of sequence"));
        }
        if !list.contains(&format!("({name})")) {
            complaints.push(format!("{name} is not listed"));
        }
    }
    complaints
}

#[test]
fn every_decision_is_numbered_and_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adr");
    let names = files(&root, "md").into_iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned());
    let records: Vec<String> = names.filter(|name| name != "README.md").collect();
    assert!(!records.is_empty());
    let complaints = misfiled(&records, &read("docs/adr/README.md"));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_decision_is_numbered_and_listed_is_a_rule_that_can_fail() {
    let records = ["0001-a.md".to_owned(), "0003-b.md".to_owned()];
    assert_eq!(misfiled(&records, "[a](0001-a.md)"), ["0003-b.md is out of sequence", "0003-b.md is not listed"]);
}

/// What is wrong with the column "held by" of the tables of a text: a cell without a test, or a test that is not there.
fn unheld_rows(text: &str, tests: &BTreeSet<String>) -> (usize, Vec<String>) {
    let (mut column, mut rows, mut complaints) = (None, 0, Vec::new());
    for line in text.lines() {
        let Some(row) = line.trim().strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            column = None;
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let Some(place) = column else {
            column = Some(cells.iter().position(|cell| *cell == "held by"));
            continue;
        };
        let Some(cell) = place.and_then(|place: usize| cells.get(place)).filter(|cell| !cell.starts_with("---")) else {
            continue;
        };
        rows += 1;
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            complaints.push(format!("nothing holds: {}", cells[0]));
        }
        complaints.extend(names.iter().filter(|name| !tests.contains(**name)).map(|name| format!("no test {name}")));
    }
    (rows, complaints)
}

#[test]
fn every_threat_names_tests_that_exist() {
    let (rows, complaints) = unheld_rows(&read("docs/threat-model.md"), &tests());
    assert!(rows > 40, "the tables were not found: {rows}");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_threat_names_tests_that_exist_is_a_rule_that_can_fail() {
    let tests = ["one".to_owned(), "two".to_owned()].into();
    let text = "| a | b |\n|---|---|\n| x | none |\n\n| what | held by | more |\n|---|---|---|\n| A | `one`, `two` | - |\n| B | | `one` |\n| C | `three` | |\n";
    let complaints = vec!["nothing holds: B".to_owned(), "no test three".to_owned()];
    assert_eq!(unheld_rows(text, &tests), (3, complaints));
}
