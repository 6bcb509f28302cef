//! One JSON object for each event, each on a line of its own: logs for machines.
//!
//! A call is waited for while its line is made, so it is written in one piece, without a tree or a map in between.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as Otherwise};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How long after 1970 a time is written fast: until the year 9999.
const MOST: Duration = Duration::from_secs(253_370_764_800);
/// The bytes that a line takes most often.
const ROOM: usize = 1024;

/// The form: the time, the level, the fields of the event in their order, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let of = event.metadata();
        let mut line = String::with_capacity(ROOM);
        line.push_str("{\"timestamp\":\"");
        time(&mut line, SystemTime::now())?;
        line.push_str("\",\"level\":\"");
        line.push_str(of.level().as_str());
        line.push('"');
        event.record(&mut Fields(&mut line));
        line.push_str(",\"target\":");
        quote(&mut line, of.target());
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

/// Adds a time. A clock that is wrong by lifetimes does not keep a line from being written.
fn time(line: &mut String, now: SystemTime) -> fmt::Result {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) if since < MOST => write!(line, "{}", humantime::format_rfc3339_micros(now)),
        _ => Otherwise.format_time(&mut Writer::new(line)),
    }
}

/// Adds fields to a line.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        let name = field.name();
        // A name stands in the code, where none has what JSON would write otherwise.
        self.0.push_str(",\"");
        self.0.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.0.push_str("\":");
    }

    fn word(&mut self, field: &Field, word: &str) {
        self.name(field);
        self.0.push_str(word);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // What is no number is null, as JSON has it.
        self.word(field, &serde_json::Value::from(value).to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.word(field, itoa::Buffer::new().format(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.word(field, itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.word(field, if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        quote(self.0, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        quote(self.0, &format!("{value:?}"));
    }
}

/// Adds `text` as JSON has it.
fn quote(line: &mut String, text: &str) {
    line.push('"');
    // Nearly always, and then it is copied in one piece.
    if text.bytes().fold(true, |is_plain, byte| is_plain & (byte >= b' ' && byte != b'"' && byte != b'\\')) {
        line.push_str(text);
    } else {
        text.chars().for_each(|c| escape(line, c));
    }
    line.push('"');
}

fn escape(line: &mut String, c: char) {
    match c {
        '"' => line.push_str("\\\""),
        '\\' => line.push_str("\\\\"),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        c if c < ' ' => {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        }
        c => line.push(c),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek};
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::super::{LogFormat, subscriber};
    use super::*;

    fn written(log: impl FnOnce()) -> String {
        let file: Arc<File> = Arc::new(tempfile::tempfile().unwrap());
        let layer = subscriber::layer(LogFormat::Json, subscriber::Surface::File, Arc::clone(&file));
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        let (mut file, mut written) = (file.as_ref(), String::new());
        file.rewind().unwrap();
        file.read_to_string(&mut written).unwrap();
        written
    }

    #[test]
    fn an_event_is_a_line_with_its_fields_in_their_order() {
        let error = std::io::Error::other("a \"reason\"\nin two lines");
        let line = written(|| {
            let (none, some) = (None::<u64>, Some("é\u{1}\\"));
            tracing::warn!(
                target: "here", count = 3_u64, below = -1_i64, share = 0.5, whole = 1.0, never = f64::NAN, yes = true,
                none, some, error = &error as &dyn std::error::Error, shown = %"x", debug = ?"y", r#type = "z",
                "a message of {} words", 5
            );
        });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let told: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "timestamp": told["timestamp"], "level": "WARN", "message": "a message of 5 words", "count": 3, "below": -1,
            "share": 0.5, "whole": 1.0, "never": null, "yes": true, "some": "é\u{1}\\",
            "error": "a \"reason\"\nin two lines", "shown": "x", "debug": "\"y\"", "type": "z", "target": "here",
        });
        assert_eq!(told, expected);
        let time = told["timestamp"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 27, "{time}");
        let order = ["timestamp", "level", "message", "count", "type", "target"].map(|key| line.find(key).unwrap());
        assert!(order.is_sorted(), "{line}");
    }

    #[test]
    fn a_time_is_written_whatever_the_clock_says() {
        let written = |now: SystemTime| {
            let mut line = String::new();
            time(&mut line, now).map(|()| line)
        };
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(written(epoch + Duration::from_micros(1_000_001)).unwrap(), "1970-01-01T00:00:01.000001Z");
        assert_eq!(written(epoch + MOST - Duration::from_micros(1)).unwrap(), "9998-12-31T23:59:59.999999Z");
        // Then it is the time of now: whoever writes that asks the clock by itself.
        for strange in [epoch - Duration::from_secs(1), epoch + MOST] {
            assert!(written(strange).unwrap().ends_with('Z'));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_quoted_as_json_has_it(text in any::<String>()) {
            let mut line = String::new();
            quote(&mut line, &text);
            prop_assert!(!line.contains(|c: char| c < ' '), "{line}");
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
