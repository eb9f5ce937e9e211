//! That something goes on: a line on the standard error output, where that is a terminal, once a command has been silent for
//! a second. It goes when the command has something to say, and stays away once the answer has begun: whoever reads
//! the output may draw on the same terminal (`less`).
//!
//! Nothing of the terminal is changed, and the cursor stands at the beginning of the line: Ctrl-C may end it at any time.

use std::borrow::Cow;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::view::text::fit;

/// How long a command is silent before it is shown that it goes on, and how often that is drawn.
const SILENT: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(120);
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
/// Columns where the terminal does not tell how many it has.
const COLUMNS: usize = 80;

/// The line: the process has one terminal.
static LINE: Mutex<Line> = Mutex::new(Line::new());

#[derive(Debug)]
struct Line {
    /// What is done.
    says: Cow<'static, str>,
    /// How often it was drawn.
    drawn: usize,
    is_shown: bool,
    /// Whether the answer has begun.
    is_over: bool,
}

impl Line {
    const fn new() -> Self {
        Line { says: Cow::Borrowed("working"), drawn: 0, is_shown: false, is_over: false }
    }

    fn draw(&mut self, lasted: Duration, columns: usize, to: &mut impl Write) {
        if self.is_over {
            return;
        }
        let frame = FRAMES[self.drawn % FRAMES.len()];
        let text = format!("{frame} {}, {} s", self.says, lasted.as_secs());
        (self.drawn, self.is_shown) = (self.drawn + 1, true);
        // Nobody to tell is no reason to stop.
        let _ = write!(to, "\r{}\x1b[K\r", fit(&text, columns)).and_then(|()| to.flush());
    }

    fn clear(&mut self, to: &mut impl Write) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(to, "\r\x1b[K").and_then(|()| to.flush());
        }
    }
}

fn line() -> MutexGuard<'static, Line> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on this is done: `reading the stream`.
pub fn say(what: impl Into<Cow<'static, str>>) {
    line().says = what.into();
}

/// Takes the line away before something is written to the standard error output.
pub fn clear() {
    line().clear(&mut std::io::stderr());
}

/// Takes the line away for good: the answer begins.
pub fn answer() {
    let mut line = line();
    line.clear(&mut std::io::stderr());
    line.is_over = true;
}

/// Does some work, and shows meanwhile that it goes on.
pub async fn during<T>(work: impl Future<Output = T>) -> T {
    let is_screen = std::io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb");
    if !is_screen {
        return work.await;
    }
    let mut work = pin!(work);
    let began = Instant::now();
    let mut ticks = interval_at(began + SILENT, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                clear();
                return done;
            }
            _ = ticks.tick() => {
                let size = terminal_size::terminal_size_of(std::io::stderr());
                let columns = size.map_or(COLUMNS, |(width, _)| usize::from(width.0).max(1));
                // The last column is left free: some terminals go on to the next line behind it.
                line().draw(began.elapsed(), columns - 1, &mut std::io::stderr());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_drawn_in_place_and_goes_without_a_trace() {
        let mut line = Line::new();
        let mut drawn = Vec::new();
        line.clear(&mut drawn);
        assert!(drawn.is_empty(), "what is not shown is not taken away");
        line.says = "reading the stream".into();
        line.draw(Duration::from_millis(1200), 80, &mut drawn);
        line.draw(Duration::from_millis(2100), 12, &mut drawn);
        line.clear(&mut drawn);
        line.clear(&mut drawn);
        let text = String::from_utf8(drawn).unwrap();
        assert_eq!(text, "\r| reading the stream, 1 s\x1b[K\r\r/ reading t…\x1b[K\r\r\x1b[K");
    }

    #[test]
    fn nothing_is_drawn_once_the_answer_has_begun() {
        let mut line = Line::new();
        let mut drawn = Vec::new();
        line.is_over = true;
        line.draw(Duration::from_secs(5), 80, &mut drawn);
        assert!(drawn.is_empty());
    }
}
