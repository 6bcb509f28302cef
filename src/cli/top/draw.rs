//! The page on a screen: which of its lines are seen, and what stands below them. A pure function into a buffer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::page::Page;
use crate::cli::watch::Rows;

/// What is always there: the first line, the tabs, the titles, and the last line.
const FRAME: usize = 4;
/// The height from which on empty lines keep the parts apart, and the rows that figures leave to the table on a low screen.
const AIRY: u16 = 24;
const LEAST_ROWS: usize = 3;

/// What the keys do, and what the words mean. As much as a screen of 60 by 20 shows.
const HELP: [&str; 18] = [
    "q Esc Ctrl-C  leave          p     hold the picture",
    "Tab 1 2 3     choose a table  ← →   sort by a column",
    "↑ ↓ PgUp PgDn Home End        scroll the table",
    "",
    "calls     rpcs of the completion service that ended",
    "failed    of them: neither OK nor cancelled",
    "duration  from the request being there to the end",
    "to first  streams: until the first chunk of an answer",
    "tokens    of prompts and answers, at the providers",
    "cost      at this rate, and since the server's start",
    "cache     hits, joined and repeated calls, of those that",
    "          asked the cache; what that saved",
    "gateway   what the gateway itself adds to a call",
    "process   memory, and how busy its workers are",
    "",
    "Rates, shares and percentiles are of the window that the",
    "first line names; graphs end at the right with the latest.",
    "docs/top.md has more.          ? goes back",
];

/// What is drawn below the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Below {
    /// The figures and a table, from this row on.
    Table {
        top: usize,
    },
    Help,
}

/// Draws `page`.
pub(super) fn draw(page: &Page, below: Below, area: Rect, buffer: &mut Buffer) {
    let mut lines = vec![page.head.clone()];
    let footer = match below {
        Below::Help => {
            lines.extend(HELP.map(Line::raw));
            "? goes back".to_owned()
        }
        Below::Table { top } => {
            let rows = rows(page, area.height);
            let top = top.min(rows.last_top());
            let air = (area.height >= AIRY).then(Line::default);
            lines.extend(air.clone());
            lines.extend(page.figures.iter().take(figures_seen(page, area.height)).cloned());
            lines.extend(air);
            lines.extend([page.tabs.clone(), page.titles.clone()]);
            lines.extend(page.rows.iter().skip(top).take(rows.seen).cloned());
            footer(rows, top)
        }
    };
    let last = area.height.saturating_sub(1);
    for (y, line) in (0..last).zip(&lines) {
        buffer.set_line(area.x, area.y.saturating_add(y), line, area.width);
    }
    if area.height > 0 {
        let footer = Line::styled(footer, Style::new().add_modifier(Modifier::DIM));
        buffer.set_line(area.x, area.y.saturating_add(last), &footer, area.width);
    }
}

/// The rows, of which a screen of `height` lines shows some.
pub(super) fn rows(page: &Page, height: u16) -> Rows {
    let air = if height >= AIRY { 2 } else { 0 };
    let taken = FRAME + air + figures_seen(page, height);
    Rows { all: page.rows.len(), seen: usize::from(height).saturating_sub(taken) }
}

/// A low screen shows the most important figures only.
fn figures_seen(page: &Page, height: u16) -> usize {
    page.figures.len().min(usize::from(height).saturating_sub(FRAME + LEAST_ROWS))
}

fn footer(rows: Rows, top: usize) -> String {
    let told = rows.told(top).map(|told| format!(" · ↑ ↓ {told}")).unwrap_or_default();
    format!("q quits · ? help{told} · Tab table · ← → sort · p pause")
}
