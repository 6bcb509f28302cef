//! A buffer as an SVG picture: text as text, blocks as rectangles, so that it looks the same in any font.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// The size of a cell, and what is around all of them, in pixels.
const CELL: (f64, f64) = (8.43, 19.0);
const EDGE: f64 = 16.0;
const BAR: f64 = 34.0;

const GROUND: &str = "#16181d";
const TEXT: &str = "#d7dae0";

/// The picture of `buffer`, in a window that is called `title`.
pub(super) fn picture(buffer: &Buffer, title: &str) -> String {
    let columns = f64::from(buffer.area.width);
    let (width, height) = (columns * CELL.0 + 2.0 * EDGE, f64::from(buffer.area.height) * CELL.1 + EDGE + BAR);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"9\" fill=\"{GROUND}\"/>\n"
    );
    for (at, color) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
        let _ = writeln!(svg, "<circle cx=\"{}\" cy=\"17\" r=\"5.5\" fill=\"{color}\"/>", 20 + 19 * at);
    }
    let _ = writeln!(
        svg,
        "<g font-family=\"'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\" \
         fill=\"{TEXT}\">\n<text x=\"{:.1}\" y=\"21\" text-anchor=\"middle\" font-size=\"13\" fill-opacity=\"0.6\">{title}</text>",
        width / 2.0
    );
    for (y, row) in buffer.content.chunks(usize::from(buffer.area.width)).enumerate() {
        let mut x = 0;
        while x < row.len() {
            let run = row[x..].iter().take_while(|cell| alike(cell, &row[x])).count();
            svg.push_str(&cells(&row[x..x + run], place(x, y)));
            x += run;
        }
    }
    svg + "</g>\n</svg>\n"
}

fn place(x: usize, y: usize) -> (f64, f64) {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap());
    (EDGE + number(x) * CELL.0, BAR + number(y) * CELL.1)
}

/// Whether two cells of a line are drawn as one.
fn alike(one: &Cell, other: &Cell) -> bool {
    (one.fg, one.modifier, height(one).is_some()) == (other.fg, other.modifier, height(other).is_some())
}

/// The height of a block, in eighths.
fn height(cell: &Cell) -> Option<u32> {
    let letter = cell.symbol().chars().next()?;
    ('▁'..='█').contains(&letter).then(|| u32::from(letter) - u32::from('▁') + 1)
}

fn cells(run: &[Cell], (x, y): (f64, f64)) -> String {
    let text: String = run.iter().map(Cell::symbol).collect();
    let reversed = run[0].modifier.contains(Modifier::REVERSED);
    if text.trim().is_empty() && !reversed {
        return String::new();
    }
    let width = f64::from(u32::try_from(run.len()).unwrap()) * CELL.0;
    let color = color(run[0].fg);
    if height(&run[0]).is_some() {
        return blocks(run, (x, y), color);
    }
    let mut svg = String::new();
    if reversed {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{color}\"/>",
            CELL.1
        );
    }
    let fill = if reversed { GROUND } else { color };
    let weight = if run[0].modifier.contains(Modifier::BOLD) { " font-weight=\"700\"" } else { "" };
    let dim = if run[0].modifier.contains(Modifier::DIM) { " fill-opacity=\"0.6\"" } else { "" };
    for (at, words) in apart(&text) {
        let wide = f64::from(u32::try_from(words.chars().count()).unwrap()) * CELL.0;
        let escaped = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
             fill=\"{fill}\"{weight}{dim}>{escaped}</text>",
            x + place(at, 0).0 - EDGE,
            y + 14.0
        );
    }
    svg
}

/// The pieces of a text between which there is more than one space, and where each begins: each is put in its own place, so
/// that no font shifts a column.
fn apart(text: &str) -> Vec<(usize, String)> {
    let mut pieces: Vec<(usize, String)> = Vec::new();
    let mut spaces = 2;
    for (at, letter) in text.chars().enumerate() {
        match (letter, spaces, pieces.last_mut()) {
            (' ', ..) => spaces += 1,
            (letter, 0 | 1, Some((_, piece))) => {
                piece.push_str(&" ".repeat(spaces));
                piece.push(letter);
                spaces = 0;
            }
            (letter, ..) => {
                pieces.push((at, letter.to_string()));
                spaces = 0;
            }
        }
    }
    pieces
}

fn blocks(run: &[Cell], (x, y): (f64, f64), color: &str) -> String {
    let mut path = String::new();
    for (at, cell) in run.iter().enumerate() {
        let tall = f64::from(height(cell).unwrap()) / 8.0 * (CELL.1 - 4.0);
        let left = x + place(at, 0).0 - EDGE;
        let _ = write!(
            path,
            "M{left:.1} {:.1}h{:.1}v{tall:.1}h-{:.1}z",
            y + CELL.1 - 2.0 - tall,
            CELL.0 - 1.0,
            CELL.0 - 1.0
        );
    }
    format!("<path fill=\"{color}\" d=\"{path}\"/>\n")
}

fn color(color: Color) -> &'static str {
    match color {
        Color::Red => "#ff7b72",
        Color::Green => "#7ee787",
        Color::Yellow => "#e3b341",
        Color::Cyan => "#56d4dd",
        _ => TEXT,
    }
}
