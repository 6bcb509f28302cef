//! What is kept between runs: the journal, the plan it belongs to, and the output that is made of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use tempfile::TempDir;

use super::super::figures::{Figures, Tally};
use super::super::journal::{Found, Journal, Record, Settings, Unusable};
use super::super::output;
use super::super::plan::{Changed, Plan};
use super::super::stop::Stop;

/// A folder with an input of three items, one of them behind an empty line.
struct Desk {
    folder: TempDir,
}

const INPUT: &str = "{\"custom_id\":\"a\",\"request\":{}}\n\n{\"request\":{}}\nnonsense\n";

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(desk.input(), INPUT).unwrap();
        desk
    }

    fn input(&self) -> PathBuf {
        self.folder.path().join("in.jsonl")
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out.jsonl")
    }

    fn journal(&self) -> PathBuf {
        output::beside(&self.output(), ".partial")
    }

    fn plan(&self) -> Plan {
        Plan::survey(&self.input()).unwrap()
    }

    /// Reads the journal for a plan: what it says, and how many items have a result.
    fn read(&self, plan: &mut Plan) -> Result<(Journal, Found), Stop> {
        let mut journal = Journal::open(&self.journal())?;
        let found = journal.read(|record, at| {
            plan.settle(record.line, record.hash, at)?;
            Ok::<_, Stop>(())
        })?;
        Ok((journal, found))
    }

    /// Begins a journal with the results of these lines.
    fn begin(&self, lines: &[u64]) -> (Journal, Plan) {
        let mut plan = self.plan();
        let (mut journal, _) = self.read(&mut plan).unwrap();
        journal.begin(&Settings::new(String::new(), false)).unwrap();
        for line in lines {
            put(&mut journal, &mut plan, *line, "response");
        }
        journal.keep().unwrap();
        (journal, plan)
    }
}

fn put(journal: &mut Journal, plan: &mut Plan, line: u64, kind: &str) {
    let hash = plan.items().iter().find(|item| item.line == line).unwrap().hash;
    let custom_id = if line == 1 { "a".to_owned() } else { line.to_string() };
    let result = format!("{{\"custom_id\":\"{custom_id}\",\"{kind}\":{{}}}}");
    let result = RawValue::from_string(result).unwrap();
    let at = journal.append(Record { line, hash, figures: Figures::default(), result: &result }).unwrap();
    assert!(plan.settle(line, hash, at).unwrap());
}

fn names(path: &Path) -> Vec<String> {
    let line =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["custom_id"].as_str().unwrap().to_owned();
    fs::read_to_string(path).unwrap().lines().map(line).collect()
}

#[test]
fn the_output_has_the_order_of_the_input_and_is_there_only_when_it_is_whole() {
    let desk = Desk::new();
    assert_eq!(desk.plan().items().iter().map(|item| item.line).collect::<Vec<_>>(), [1, 3, 4]);
    let (journal, plan) = desk.begin(&[4, 1, 3]);
    assert!(!desk.output().exists());
    output::write(journal, &plan, &desk.output()).unwrap();
    assert_eq!(names(&desk.output()), ["a", "3", "4"]);
    assert_eq!(fs::read_dir(desk.folder.path()).unwrap().count(), 2, "the journal and the draft are gone");
}

#[test]
fn a_journal_that_was_torn_loses_only_its_last_line() {
    let desk = Desk::new();
    drop(desk.begin(&[1, 3]));
    let whole = fs::read(desk.journal()).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [last, last + 1, whole.len() - 1] {
        fs::write(desk.journal(), &whole[..cut]).unwrap();
        let mut plan = desk.plan();
        let (mut journal, found) = desk.read(&mut plan).unwrap();
        assert_eq!((plan.left(), found.settings.is_some(), found.unreadable), (2, true, 0), "cut at {cut}");
        // What comes next begins a line of its own.
        put(&mut journal, &mut plan, 4, "response");
        drop(journal);
        let mut plan = desk.plan();
        desk.read(&mut plan).unwrap();
        assert_eq!(plan.left(), 1, "cut at {cut}");
    }
    fs::write(desk.journal(), &whole[..5]).unwrap();
    let (_journal, found) = desk.read(&mut desk.plan()).unwrap();
    assert!(found.settings.is_none(), "a torn beginning is none");
}

#[test]
fn a_line_in_the_middle_that_cannot_be_read_costs_its_item_only() {
    let desk = Desk::new();
    drop(desk.begin(&[1, 3]));
    let mut lines: Vec<String> = fs::read_to_string(desk.journal()).unwrap().lines().map(str::to_owned).collect();
    lines[1] = "\0\0\0".to_owned();
    fs::write(desk.journal(), lines.join("\n") + "\n").unwrap();
    let mut plan = desk.plan();
    let (_, found) = desk.read(&mut plan).unwrap();
    assert_eq!((found.unreadable, plan.left()), (1, 2));
    assert!(plan.items()[0].result().is_none() && plan.items()[1].result().is_some());
}

#[test]
fn an_input_that_was_changed_is_noticed() {
    let cases = [
        (INPUT.replace("\"a\"", "\"b\""), Some(1)),
        (format!("\n{INPUT}"), Some(1)),
        ("{\"custom_id\":\"a\",\"request\":{}}\n".to_owned(), Some(3)),
        // Lines that come behind are new items, and those without a result may be corrected.
        (format!("{INPUT}{{}}\n"), None),
        (INPUT.replace("nonsense", "{}"), None),
    ];
    for (input, changed) in cases {
        let desk = Desk::new();
        drop(desk.begin(&[1, 3]));
        fs::write(desk.input(), &input).unwrap();
        let told = match desk.read(&mut desk.plan()) {
            Ok(_) => None,
            Err(Stop::Changed(Changed { line })) => Some(line),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(told, changed, "{input}");
    }
}

#[test]
fn a_journal_belongs_to_one_process_and_to_this_command() {
    let desk = Desk::new();
    let held = desk.begin(&[1]);
    assert!(matches!(desk.read(&mut desk.plan()), Err(Stop::Journal(Unusable::Taken))));
    drop(held);
    assert!(desk.read(&mut desk.plan()).is_ok());
    for foreign in ["hello\n", "hello", "{\"begun\":{\"version\":2,\"model\":\"\",\"retries_failed\":false}}\n"] {
        fs::write(desk.journal(), foreign).unwrap();
        assert!(matches!(desk.read(&mut desk.plan()), Err(Stop::Journal(Unusable::Foreign))), "{foreign}");
        assert_eq!(fs::read_to_string(desk.journal()).unwrap(), foreign, "what is not ours is left alone");
    }
}

#[test]
fn of_an_output_that_is_there_only_what_failed_is_open() {
    let desk = Desk::new();
    let earlier = [
        r#"{"custom_id":"a","id":"i","response":{"text":"hi"}}"#,
        r#"{"custom_id":"3","status":{"code":"UNAVAILABLE"}}"#,
        r#"{"custom_id":"4","response":{}}"#,
    ];
    let take_over = |lines: &[&str]| {
        fs::write(desk.output(), lines.join("\n") + "\n").unwrap();
        let (mut plan, mut tally) = (desk.plan(), Tally::default());
        let (mut journal, _) = desk.read(&mut desk.plan()).unwrap();
        journal.begin(&Settings::new(String::new(), true)).unwrap();
        output::take_over(&desk.input(), &desk.output(), &mut plan, &mut tally, &mut journal)?;
        drop(journal);
        let (_, found) = desk.read(&mut desk.plan()).unwrap();
        assert!(found.taken_over);
        Ok::<_, Stop>((plan, tally))
    };
    let (plan, tally) = take_over(&earlier).unwrap();
    assert_eq!((plan.left(), tally.answered, tally.failed), (1, 2, 0));
    assert!(plan.items()[1].result().is_none());

    let mut other = earlier;
    other[0] = r#"{"custom_id":"b","response":{}}"#;
    let cases: [(&[&str], &str); 4] = [
        (&other, "line 1 of the input is a here and b there"),
        (&earlier[..2], "line 4 of the input has no result there"),
        (&[earlier[0], earlier[1], earlier[2], earlier[2]], "line 4 of the input is its last"),
        (&[r#"{"custom_id":"a"}"#], "line 1 of the input has neither"),
    ];
    for (lines, expected) in cases {
        match take_over(lines) {
            Err(Stop::Failed(told)) => assert!(told.ends_with(expected) || told.contains(expected), "{told}"),
            other => panic!("{lines:?}: {other:?}"),
        }
    }
}
