//! A screen that is redrawn in place: the terminal's alternate screen, one write a frame.

use crate::error::CliError;
use crate::out;

/// To the alternate screen; no cursor, no wrapping of long lines.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// Back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Terminals that know it show a frame when it is whole.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// The terminal, until this is dropped.
#[derive(Debug)]
pub struct Screen {
    colours: bool,
}

impl Screen {
    /// Takes the terminal that the standard output is.
    ///
    /// # Errors
    /// When it can't be written to.
    pub fn enter() -> Result<Self, CliError> {
        let colours = out::has_colours(&std::io::stdout());
        out::now(ENTER)?;
        Ok(Screen { colours })
    }

    /// Draws lines that fit the terminal, in place of those before.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn draw(&mut self, lines: &[String]) -> Result<(), CliError> {
        out::now(&compose(lines, self.colours))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = out::now(LEAVE);
    }
}

/// The bytes of a frame.
fn compose(lines: &[String], colours: bool) -> String {
    let mut frame = String::from(BEGIN);
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            frame.push_str("\r\n");
        }
        if colours {
            frame.push_str(line);
        } else {
            frame.push_str(&anstream::adapter::strip_str(line).to_string());
        }
        frame.push_str("\x1b[K");
    }
    frame.push_str(END);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::style::bold;

    #[test]
    fn a_frame_overwrites_the_one_before_line_by_line_and_is_never_cleared_first() {
        let frame = compose(&[bold("a"), "b".into()], true);
        assert_eq!(frame, "\x1b[?2026h\x1b[H\x1b[1ma\x1b[0m\x1b[K\r\nb\x1b[K\x1b[J\x1b[?2026l");
        assert_eq!(compose(&[bold("a")], false), "\x1b[?2026h\x1b[Ha\x1b[K\x1b[J\x1b[?2026l");
    }
}
