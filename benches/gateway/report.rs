//! What was measured, as one table or as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::samples::Samples;

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A time, in microseconds.
    Micros,
    /// A time, in milliseconds.
    Millis,
    /// A rate.
    PerSecond,
    /// Memory.
    Mebibytes,
    /// Less of it.
    Kibibytes,
    /// How often one goes into the other.
    Times,
    /// A part of a whole.
    Percent,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::PerSecond => "/s",
            Self::Mebibytes => "MiB",
            Self::Kibibytes => "KiB",
            Self::Times => "x",
            Self::Percent => "%",
        }
    }
}

/// Who all others are compared with.
pub(crate) const REFERENCE: &str = "reference";

struct Figure {
    name: String,
    unit: Unit,
    rows: Vec<(String, Samples)>,
}

impl Figure {
    fn ratio(&self, who: &str, samples: &Samples) -> Option<Samples> {
        if who == REFERENCE || matches!(self.unit, Unit::Times | Unit::Percent) {
            return None;
        }
        Some(samples.over(&self.rows.iter().find(|(other, _)| other == REFERENCE)?.1))
    }
}

/// All figures, in the order in which they came.
pub(crate) struct Report {
    cores: String,
    rounds: usize,
    figures: Vec<Figure>,
}

impl Report {
    /// Nothing yet, of so many rounds on these cores.
    pub(crate) fn new(cores: String, rounds: usize) -> Self {
        Self { cores, rounds, figures: Vec::new() }
    }

    /// One more sample of a figure.
    pub(crate) fn push(&mut self, figure: &str, unit: Unit, who: &str, sample: f64) {
        let known = self.figures.iter().position(|known| known.name == figure);
        let at = known.unwrap_or_else(|| {
            self.figures.push(Figure { name: figure.to_owned(), unit, rows: Vec::new() });
            self.figures.len() - 1
        });
        let Some(figure) = self.figures.get_mut(at) else { return };
        match figure.rows.iter_mut().find(|(known, _)| known == who) {
            Some((_, samples)) => samples.push(sample),
            None => {
                let mut samples = Samples::default();
                samples.push(sample);
                figure.rows.push((who.to_owned(), samples));
            }
        }
    }

    /// In the middle of the samples of a figure.
    pub(crate) fn median(&self, figure: &str, who: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|known| known.name == figure)?;
        figure.rows.iter().find(|(known, _)| known == who)?.1.median()
    }

    /// For people: Markdown, so that it can be pasted.
    pub(crate) fn table(&self) -> String {
        let head = ["figure", "who", "median", "spread", "ratio", "spread"].map(str::to_owned);
        let mut lines = vec![head];
        for figure in &self.figures {
            let name = format!("{}, {}", figure.name, figure.unit.name());
            for (row, (who, samples)) in figure.rows.iter().enumerate() {
                let [median, spread] = told(samples);
                let [ratio, ratios] = figure.ratio(who, samples).map_or_else(Default::default, |ratio| told(&ratio));
                let name = if row == 0 { name.clone() } else { String::new() };
                lines.push([name, who.clone(), median, spread, ratio, ratios]);
            }
        }
        let machine = machine();
        let mut text =
            format!("{machine}; {}; medians of {} rounds, ratios within a round\n\n", self.cores, self.rounds);
        text.push_str(&aligned(&lines));
        text
    }

    /// For machines, with every sample.
    pub(crate) fn json(&self) -> String {
        let figures: Vec<Value> = self.figures.iter().map(figure_json).collect();
        let report = json!({"machine": machine(), "cores": self.cores, "rounds": self.rounds, "figures": figures});
        format!("{report:#}")
    }
}

fn figure_json(figure: &Figure) -> Value {
    let rows = figure.rows.iter().map(|(who, samples)| {
        let ratio = figure.ratio(who, samples).map(|ratio| summary(&ratio));
        json!({"who": who, "of": summary(samples), "samples": samples.all(), "ratio": ratio})
    });
    json!({"figure": figure.name, "unit": figure.unit.name(), "rows": rows.collect::<Vec<_>>()})
}

fn summary(samples: &Samples) -> Value {
    let (least, greatest) = samples.spread().unzip();
    json!({"median": samples.median(), "least": least, "greatest": greatest})
}

fn told(samples: &Samples) -> [String; 2] {
    let Some((least, greatest)) = samples.spread() else { return Default::default() };
    [samples.median().map(short).unwrap_or_default(), format!("{} to {}", short(least), short(greatest))]
}

/// Three digits that count.
fn short(number: f64) -> String {
    match number.abs() {
        large if large >= 100.0 => format!("{number:.0}"),
        middle if middle >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn aligned(lines: &[[String; 6]]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, &width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            widths.iter().for_each(|width| text.push_str(&format!("|{}", "-".repeat(width + 2))));
            text.push_str("|\n");
        }
    }
    text
}

/// Where it was measured, and how busy it was besides.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("a processor without a name", |(_, name)| name.trim());
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("not known");
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} x {model}, load average {load} at the end")
}
