//! What goes on, on a terminal: one line of the standard error output, drawn again and again, and gone in the end.

use std::io::{IsTerminal, Write};

/// The turns of what shows that something goes on.
const TURNS: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// To the first column, and nothing behind it.
const CLEAR: &str = "\r\x1b[2K";

/// A line that tells what goes on, until this is dropped. Where the standard error output is no terminal it tells nothing.
#[derive(Debug)]
pub struct Progress {
    shows: bool,
    turn: usize,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn start() -> Self {
        let shows = std::io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb");
        Progress { shows, turn: 0 }
    }

    /// Shows what goes on, in place of what was shown.
    pub fn show(&mut self, text: &str) {
        if self.shows {
            self.turn = (self.turn + 1) % TURNS.len();
            self.draw(&format!("{CLEAR}{} {text}", TURNS[self.turn]));
        }
    }

    fn draw(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        // Nobody to tell is no reason to stop.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shows && self.turn > 0 {
            self.draw(CLEAR);
        }
    }
}
