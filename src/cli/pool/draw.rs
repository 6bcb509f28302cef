//! The table on a screen: which of its lines are seen, and the lines above and below them. A pure function into a
//! buffer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::table::Table;
use crate::cli::watch::Rows;

/// Lines that are not rows: the titles with an empty line above, and the last line.
const FRAME: usize = 3;

/// Draws `table` with the rows from `top` on; as far as there are rows to fill the screen.
pub(super) fn draw(table: &Table, top: usize, area: Rect, buffer: &mut Buffer) {
    let rows = rows(table, area.height);
    let top = top.min(rows.last_top());
    let mut lines: Vec<Line<'_>> = table.head.clone();
    lines.push(Line::default());
    lines.push(table.titles.clone());
    lines.extend(table.rows.iter().skip(top).take(rows.seen).cloned());
    let last = area.height.saturating_sub(1);
    for (y, line) in (0..last).zip(&lines) {
        buffer.set_line(area.x, area.y.saturating_add(y), line, area.width);
    }
    if area.height > 0 {
        let footer = Line::styled(footer(rows, top), Style::new().add_modifier(Modifier::DIM));
        buffer.set_line(area.x, area.y.saturating_add(last), &footer, area.width);
    }
}

/// The rows, of which a screen of `height` lines shows some.
pub(super) fn rows(table: &Table, height: u16) -> Rows {
    Rows { all: table.rows.len(), seen: usize::from(height).saturating_sub(table.head.len() + FRAME) }
}

fn footer(rows: Rows, top: usize) -> String {
    rows.told(top).map_or("q quits".to_owned(), |told| format!("q quits · ↑ ↓ PgUp PgDn scroll · {told}"))
}
