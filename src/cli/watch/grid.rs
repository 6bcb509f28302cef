//! Columns of text: how wide each is, which are left out where there is no room, and a row of them as a line.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// What stands between two columns.
pub(crate) const GAP: usize = 2;

/// The least of the first column: a beginning of a name is still more than nothing.
const LEAST_NAME: usize = 8;

/// What stands in a cell.
pub(crate) type Cell = (String, Style);

/// What a column asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// The word above it.
    pub(crate) title: &'static str,
    /// Where its text begins: at the left, or, as numbers do, so that it ends at the right.
    pub(crate) side: Side,
    /// The width that it keeps, so that the table does not jump while it is watched.
    pub(crate) steady: usize,
    /// The width with which it still says something, where that is less than all of it.
    pub(crate) least: usize,
    /// When it goes, where there is no room: the lowest first. None: it stays.
    pub(crate) goes: Option<u8>,
}

/// The side of a column at which its text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A column that is shown: which of all, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) column: usize,
    pub(crate) width: usize,
}

impl Column {
    /// A column that stays, with text.
    pub(crate) const fn text(title: &'static str) -> Self {
        Self { title, side: Side::Left, steady: 0, least: usize::MAX, goes: None }
    }

    /// A column that stays, with numbers.
    pub(crate) const fn number(title: &'static str) -> Self {
        Self { side: Side::Right, ..Self::text(title) }
    }

    /// The same, as wide as this at least.
    pub(crate) const fn steady(self, steady: usize) -> Self {
        Self { steady, ..self }
    }

    /// The same, which may be cut to this.
    pub(crate) const fn least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// The same, which goes where there is no room.
    pub(crate) const fn goes(self, turn: u8) -> Self {
        Self { goes: Some(turn), ..self }
    }
}

/// The columns that have room in `room` cells, in their order, for `rows`: the less important are left out; what is left of
/// the room goes to the last ones first, so that they are whole, and to names last.
pub(crate) fn fit(columns: &[Column], rows: &[Vec<Cell>], room: usize) -> Vec<Shown> {
    let natural = |at: usize, column: &Column| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|(text, _)| width(text));
        cells.max().unwrap_or(0).max(width(column.title)).max(column.steady)
    };
    let natural: Vec<usize> = columns.iter().enumerate().map(|(at, column)| natural(at, column)).collect();
    let all = columns.iter().zip(&natural).enumerate();
    let mut shown: Vec<Shown> =
        all.map(|(column, (asked, natural))| Shown { column, width: (*natural).min(asked.least) }).collect();
    let mut dispensable: Vec<(u8, usize)> =
        columns.iter().enumerate().filter_map(|(at, column)| Some((column.goes?, at))).collect();
    dispensable.sort_unstable();
    for (_, dropped) in dispensable {
        if total(&shown) <= room {
            break;
        }
        shown.retain(|shown| shown.column != dropped);
    }
    let missing = total(&shown).saturating_sub(room);
    for at in (0..shown.len()).rev() {
        let free = room.saturating_sub(total(&shown));
        if let Some(shown) = shown.get_mut(at) {
            let natural = natural.get(shown.column).copied().unwrap_or(0);
            shown.width = natural.min(shown.width.saturating_add(free));
        }
    }
    if let Some(Shown { column: 0, width }) = shown.first_mut() {
        *width = (*width).min(width.saturating_sub(missing).max(LEAST_NAME));
    }
    shown
}

/// The cells of the columns that are shown, as a line.
pub(crate) fn line(columns: &[Column], shown: &[Shown], cell: impl Fn(usize) -> Cell) -> Line<'static> {
    let mut spans = Vec::new();
    for (at, Shown { column, width: room }) in shown.iter().enumerate() {
        let (text, style) = cell(*column);
        let text = cut(&text, *room);
        let padding = " ".repeat(room.saturating_sub(width(&text)));
        let gap = " ".repeat(if at == 0 { 0 } else { GAP });
        match columns.get(*column).map_or(Side::Left, |column| column.side) {
            Side::Right => spans.extend([Span::raw(gap + &padding), Span::styled(text, style)]),
            Side::Left => spans.extend([Span::raw(gap), Span::styled(text, style), Span::raw(padding)]),
        }
    }
    Line::from(spans)
}

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// `text` in at most `room` cells; what is cut ends with a mark.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut taken = 1;
    for letter in text.chars() {
        taken += width(letter.encode_utf8(&mut [0; 4]));
        if taken > room {
            break;
        }
        kept.push(letter);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}

fn total(shown: &[Shown]) -> usize {
    shown.iter().map(|shown| shown.width + GAP).sum::<usize>().saturating_sub(GAP)
}
