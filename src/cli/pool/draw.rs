//! The table on a screen: which of its lines are seen, and the lines above and below them. A pure function into a
//! buffer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::table::Table;

/// Lines that are not rows: the titles with an empty line above, and the last line.
const FRAME: usize = 3;

/// Draws `table` with the rows from `top` on; as far as there are rows to fill the screen.
pub(super) fn draw(table: &Table, top: usize, area: Rect, buffer: &mut Buffer) {
    let rows = rows_seen(table, area.height);
    let top = top.min(last_top(table, area.height));
    let mut lines: Vec<Line<'_>> = table.head.clone();
    lines.push(Line::default());
    lines.push(table.titles.clone());
    lines.extend(table.rows.iter().skip(top).take(rows).cloned());
    let last = area.height.saturating_sub(1);
    for (y, line) in (0..last).zip(&lines) {
        buffer.set_line(area.x, area.y.saturating_add(y), line, area.width);
    }
    if area.height > 0 {
        let footer = Line::styled(footer(table, top, rows), Style::new().add_modifier(Modifier::DIM));
        buffer.set_line(area.x, area.y.saturating_add(last), &footer, area.width);
    }
}

/// The first row of the last screen: beyond it there is nothing to scroll to.
pub(super) fn last_top(table: &Table, height: u16) -> usize {
    table.rows.len().saturating_sub(rows_seen(table, height))
}

/// How many rows a screen of `height` lines shows.
pub(super) fn rows_seen(table: &Table, height: u16) -> usize {
    usize::from(height).saturating_sub(table.head.len() + FRAME)
}

fn footer(table: &Table, top: usize, rows: usize) -> String {
    let all = table.rows.len();
    if all <= rows {
        return "q quits".to_owned();
    }
    let last = all.min(top.saturating_add(rows));
    format!("q quits · ↑ ↓ PgUp PgDn scroll · {} to {last} of {all}", all.min(top.saturating_add(1)))
}
