//! Lines of styled text as plain text with the colours that a terminal knows. Whoever prints it takes the colours out where
//! no terminal reads them.

use anstyle::{AnsiColor, Effects};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;

/// `line`, without the spaces at its end.
pub(crate) fn written(line: &Line<'_>) -> String {
    let text: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
    let mut left = text.trim_end().len();
    let mut written = String::new();
    for span in &line.spans {
        let shown = span.content.get(..left.min(span.content.len())).unwrap_or_default();
        left = left.saturating_sub(span.content.len());
        let style = ansi(span.style);
        written.push_str(&format!("{style}{shown}{style:#}"));
    }
    written
}

fn ansi(style: Style) -> anstyle::Style {
    let color = match style.fg {
        Some(Color::Green) => Some(AnsiColor::Green.into()),
        Some(Color::Yellow) => Some(AnsiColor::Yellow.into()),
        Some(Color::Red) => Some(AnsiColor::Red.into()),
        Some(Color::Cyan) => Some(AnsiColor::Cyan.into()),
        _ => None,
    };
    let mut effects = Effects::new();
    for (modifier, effect) in [(Modifier::BOLD, Effects::BOLD), (Modifier::DIM, Effects::DIMMED)] {
        effects = effects.set(effect, style.add_modifier.contains(modifier));
    }
    anstyle::Style::new().fg_color(color).effects(effects)
}
