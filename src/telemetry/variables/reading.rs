//! How a variable is read: what is empty is not set, and what cannot be understood is complained of and ignored.

use std::time::Duration;

use super::Signal;

/// The variables, and what was found wrong with them.
pub(in crate::telemetry) struct Reading<F> {
    variable: F,
    /// What was asked for and cannot be had, for the log.
    pub(super) complaints: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reading<F> {
    pub(super) const fn new(variable: F) -> Self {
        Self { variable, complaints: Vec::new() }
    }

    /// What the variable says; none: it is not set, or empty.
    pub(in crate::telemetry) fn of(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// What an exporter's variable says, and which one: that of `signal` alone, or the one for all.
    pub(super) fn export(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.word()), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.of(&name).map(|text| (name, text)))
    }

    /// Whether a variable says `true`, in any case. Every other word is no.
    pub(super) fn is_true(text: Option<&str>) -> bool {
        text.is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Milliseconds from `least`; `default` where nothing is set, or no such number.
    pub(in crate::telemetry) fn milliseconds(
        &mut self,
        set: Option<(String, String)>,
        least: Duration,
        default: Duration,
    ) -> Duration {
        let Some((name, text)) = set else { return default };
        match text.parse().map(Duration::from_millis) {
            Ok(time) if time >= least => time,
            _ => {
                let (least, default) = (least.as_millis(), default.as_millis());
                self.complain(format!("{name} {text:?} is no number of milliseconds from {least}: {default} is used"));
                Duration::from_millis(u64::try_from(default).unwrap_or(u64::MAX))
            }
        }
    }

    pub(super) fn complain(&mut self, of: String) {
        self.complaints.push(of);
    }
}
