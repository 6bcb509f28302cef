//! What the commands share that show a table of a running server and draw it again and again: the terminal, the columns, the
//! words. Nothing here knows what stands in a table.

mod asking;
mod freshness;
pub(crate) mod grid;
pub(crate) mod plain;
mod rows;
pub(crate) mod screen;
mod share;
pub(crate) mod words;

pub(crate) use asking::keep_asking;
pub(crate) use freshness::{Freshness, REDRAW};
pub(crate) use rows::Rows;
pub(crate) use share::Share;

use std::io::IsTerminal as _;

use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, runtime, tell};

/// Runs `shown` until it is done or the process is told to end: by Ctrl-C where no table has the terminal, or by a signal.
/// What is dropped then gives the terminal back.
pub(crate) fn until_interrupted(shown: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let ending = |kind| signal(kind).map_err(|error| unable(&error));
        let (mut terminated, mut hung_up) = (ending(SignalKind::terminate())?, ending(SignalKind::hangup())?);
        tokio::select! {
            done = shown => done,
            _ = tokio::signal::ctrl_c() => Err(Exit::Interrupted),
            _ = terminated.recv() => Err(Exit::Interrupted),
            _ = hung_up.recv() => Err(Exit::Interrupted),
        }
    });
    // A name that is being looked up is waited for by nobody.
    runtime.shutdown_background();
    done
}

/// Tells that the terminal does not do what it is asked to.
pub(crate) fn unable(error: &std::io::Error) -> Exit {
    tell(format_args!("the table cannot be shown: {error}; --once prints it"));
    Exit::Failed
}

/// Whether there is a terminal that can do more than write lines.
pub(crate) fn can_be_drawn_on() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How wide text may be: as a terminal is. None: nobody minds.
pub(crate) fn room() -> Option<usize> {
    let size = std::io::stdout().is_terminal().then(ratatui::crossterm::terminal::size);
    size.and_then(Result::ok).map(|(columns, _)| usize::from(columns))
}
