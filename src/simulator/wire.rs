//! A wire format, seen from the side that answers.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::Value;

use super::answer::Answer;
use super::ask::Ask;
use super::directive::End;
use super::failure::Failure;
use super::play::Step;

/// A wire format.
pub(super) trait Wire: Send + Sync + std::fmt::Debug {
    /// Reads a request.
    ///
    /// # Errors
    /// What a provider would refuse, in words for its sender.
    fn read(&self, body: &Value) -> Result<Ask, Failure>;

    /// The frame of a step of a streamed answer; none: the format says nothing there.
    fn frame(&self, answer: &Answer, step: Step<'_>) -> Option<String>;

    /// Whether a step is the first of what makes an answer complete.
    fn completes(&self, step: Step<'_>) -> bool;

    /// An answer in one piece; without what makes it complete where `end` says so.
    fn whole(&self, answer: &Answer, end: End) -> Value;

    /// A failure's status and body.
    fn error(&self, failure: &Failure, id: &str) -> (StatusCode, Value);

    /// A failure in the middle of a streamed answer.
    fn error_frame(&self, failure: &Failure, id: &str) -> String;

    /// How the format says that the prompt was filtered, where that is not an answer.
    fn filtered_prompt(&self) -> Option<(StatusCode, Value)>;

    /// How the format says that `left` of [`LIMIT`](super::advice::LIMIT) requests and tokens are left, and that all of
    /// them are there again [`WINDOW`](super::advice::WINDOW) after `now`: names and values of headers.
    fn rate_limits(&self, left: u32, now: SystemTime) -> Vec<(&'static str, String)>;

    /// What shows only that the connection is alive.
    fn keep_alive(&self) -> &'static str;
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
