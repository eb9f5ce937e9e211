//! Colours: few, and each with one meaning. They are dropped where the output is no terminal.

use anstyle::{AnsiColor, Color, Style};
use replicante_model::view::Health;

/// What a thing means to whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something works again.
    Good,
    /// Something is wrong with a part.
    Warn,
    /// Something is broken.
    Bad,
    /// Something is otherwise.
    Plain,
    /// Of little interest.
    Quiet,
}

impl Tone {
    /// Its colour.
    pub fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(Color::Ansi(colour)));
        match self {
            Tone::Good => colour(AnsiColor::Green),
            Tone::Warn => colour(AnsiColor::Yellow),
            Tone::Bad => colour(AnsiColor::Red),
            Tone::Plain => Style::new(),
            Tone::Quiet => Style::new().dimmed(),
        }
    }

    /// Paints text.
    pub fn paint(self, text: &str) -> String {
        paint(self.style(), text)
    }
}

/// The tone of a cluster's health.
pub fn of_health(health: Option<Health>) -> Tone {
    match health {
        Some(Health::Healthy) => Tone::Good,
        Some(Health::Degraded) => Tone::Warn,
        Some(Health::Down) => Tone::Bad,
        Some(Health::Unknown) => Tone::Bad,
        None => Tone::Quiet,
    }
}

/// Paints text.
pub fn paint(style: Style, text: &str) -> String {
    if style.is_plain() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// Headings.
pub fn bold(text: &str) -> String {
    paint(Style::new().bold(), text)
}
