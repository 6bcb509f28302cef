//! The terminal while a table is watched: taken over, read from, and given back as it was, however that ends. It knows
//! nothing of the table.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

/// What a person wants of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// To leave.
    Quit,
    /// The lines above or below.
    Scroll(Scroll),
    /// What only this table knows.
    Other(Other),
    /// Nothing, but the screen has another size.
    Resized,
}

/// How far the rows move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scroll {
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
}

/// Keys that not every table obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    /// A letter, a digit or a sign.
    Letter(char),
    /// To what comes next.
    Next,
    /// To what came before.
    Previous,
    Left,
    Right,
}

/// How long one who leaves waits before it looks again whether the reader has ended.
const GLANCE: Duration = Duration::from_millis(5);
/// How long the reader waits before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// The terminal, taken over. It is given back when this is dropped, and before a panic is told.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) terminal: DefaultTerminal,
    done: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal over, and gives what is typed.
    ///
    /// # Errors
    /// The terminal cannot do it; it is as it was.
    pub(crate) fn enter() -> io::Result<(Self, mpsc::Receiver<Input>)> {
        let terminal = ratatui::try_init().inspect_err(|_| restore())?;
        let done = Arc::new(AtomicBool::new(false));
        let (typed, inputs) = mpsc::channel(16);
        let seen = Arc::clone(&done);
        let mut screen = Self { terminal, done, reader: None };
        let reader = std::thread::Builder::new().name("keys".to_owned());
        screen.reader = Some(reader.spawn(move || read(&typed, &seen))?);
        Ok((screen, inputs))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        // What the terminal still has to say is read by nobody else meanwhile. Of one that was closed the reader never comes
        // back, and ends with the process.
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && io::stdin().is_terminal() {
            std::thread::sleep(GLANCE);
        }
        let _ = self.terminal.show_cursor();
        restore();
    }
}

/// A terminal that is gone cannot be given back.
fn restore() {
    let _ = ratatui::try_restore();
}

/// Reads until nobody listens any more. Without a terminal to read from it ends, and so does the table.
fn read(typed: &mpsc::Sender<Input>, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let input = match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => event::read().map(|event| input(&event)),
            Err(error) => Err(error),
        };
        match input {
            Ok(None) => {}
            Ok(Some(input)) => {
                // A held key may outrun the screen: what does not fit is as good as typed too early.
                let _ = typed.try_send(input);
            }
            Err(_) => return,
        }
    }
}

/// What an event of the terminal asks for; none: nothing.
pub(crate) fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(*key),
        _ => None,
    }
}

fn pressed(key: KeyEvent) -> Option<Input> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if control => Input::Quit,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Input::Quit,
        KeyCode::Up | KeyCode::Char('k') => Input::Scroll(Scroll::Up),
        KeyCode::Down | KeyCode::Char('j') => Input::Scroll(Scroll::Down),
        KeyCode::PageUp => Input::Scroll(Scroll::PageUp),
        KeyCode::PageDown | KeyCode::Char(' ') => Input::Scroll(Scroll::PageDown),
        KeyCode::Home | KeyCode::Char('g') => Input::Scroll(Scroll::Top),
        KeyCode::End | KeyCode::Char('G') => Input::Scroll(Scroll::Bottom),
        KeyCode::Tab => Input::Other(Other::Next),
        KeyCode::BackTab => Input::Other(Other::Previous),
        KeyCode::Left => Input::Other(Other::Left),
        KeyCode::Right => Input::Other(Other::Right),
        KeyCode::Char(letter) if !control => Input::Other(Other::Letter(letter)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_ctrl_c_leave_and_c_alone_does_not() {
        let key = |code, modifiers| input(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Input::Quit));
        assert_eq!(key(KeyCode::Esc, KeyModifiers::NONE), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), Some(Input::Other(Other::Letter('c'))));
        assert_eq!(key(KeyCode::Char('z'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Input::Other(Other::Previous)));
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Input::Scroll(Scroll::Bottom)));
        assert_eq!(input(&Event::Resize(80, 24)), Some(Input::Resized));
        assert_eq!(input(&Event::FocusGained), None);
    }
}
