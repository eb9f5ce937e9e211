//! What was measured, for people and for programs.

use serde::Serialize;

use crate::view::style::bold;
use crate::view::table::{Cell, table};
use crate::view::text::thousands;

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it should be, where that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
}

/// A figure, and what it should be.
pub fn figure(what: impl Into<String>, value: f64, unit: &'static str, wanted: Option<Wanted>) -> Figure {
    Figure { what: what.into(), value, unit, wanted }
}

/// What a value should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
    /// Just so.
    Exactly(f64),
}

impl Wanted {
    /// Whether the value is as it should be.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Wanted::AtLeast(least) => value >= least,
            Wanted::AtMost(most) => value <= most,
            Wanted::Exactly(wanted) => (value - wanted).abs() < 1e-9,
        }
    }

    fn text(self) -> String {
        match self {
            Wanted::AtLeast(least) => format!(">= {}", number(least)),
            Wanted::AtMost(most) => format!("<= {}", number(most)),
            Wanted::Exactly(wanted) => number(wanted),
        }
    }
}

/// All measurements of a run, and where it ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// The command.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// What runs where.
    pub setup: &'static str,
    /// The measurements.
    pub figures: Vec<Figure>,
}

/// Where it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name, where the system tells.
    pub processor: String,
    /// Operating system and architecture.
    pub system: String,
    /// `release` or `debug`.
    pub build: &'static str,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: name.map_or_else(|| "unknown".into(), |(_, name)| name.trim().to_owned()),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

impl Figures {
    /// Whether everything is as it should be.
    pub fn are_met(&self) -> bool {
        self.figures.iter().all(|figure| figure.wanted.is_none_or(|wanted| wanted.is_met(figure.value)))
    }

    /// The lines.
    pub fn lines(&self) -> Vec<String> {
        let Machine { cores, processor, system, build } = &self.machine;
        let mut lines = vec![
            bold(&self.command),
            format!("{cores} cores ({processor}), {system}, {build} build; {}", self.setup),
            String::new(),
        ];
        let rows: Vec<Vec<Cell>> = self
            .figures
            .iter()
            .map(|figure| {
                let met = figure.wanted.map(|wanted| wanted.is_met(figure.value));
                let tone = match met {
                    Some(true) => crate::view::style::Tone::Good,
                    Some(false) => crate::view::style::Tone::Bad,
                    None => crate::view::style::Tone::Plain,
                };
                vec![
                    Cell::text(&figure.what),
                    Cell::right(number(figure.value)).toned(tone),
                    Cell::text(figure.unit),
                    Cell::text(figure.wanted.map(Wanted::text).unwrap_or_default()),
                ]
            })
            .collect();
        lines.extend(table(&["MEASURED", "VALUE", "UNIT", "WANTED"], &rows, None));
        lines
    }
}

/// A number with as many digits as it needs.
fn number(value: f64) -> String {
    if value >= 100.0 {
        thousands(value.round() as u64)
    } else {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_what_they_should_be() {
        let figure = |what: &str, value, unit, wanted| Figure { what: what.into(), value, unit, wanted };
        let figures = Figures {
            command: "replicante bench refresh".into(),
            machine: Machine {
                cores: 2,
                processor: "A CPU".into(),
                system: "linux x86_64".into(),
                build: "release",
            },
            setup: "services, fleet and worker in one process",
            figures: vec![
                figure("node refreshes", 2345.6, "a second", Some(Wanted::AtLeast(1500.0))),
                figure("cost of an unchanged refresh", 3.0, "write units", Some(Wanted::Exactly(3.0))),
                figure("ratio", 2.625, "times", Some(Wanted::AtMost(2.5))),
                figure("refreshes", 12.0, "", None),
            ],
        };
        assert!(!figures.are_met());
        let text = anstream::adapter::strip_str(&figures.lines().join("\n")).to_string();
        insta::assert_snapshot!(text, @"
        replicante bench refresh
        2 cores (A CPU), linux x86_64, release build; services, fleet and worker in one process

        MEASURED                      VALUE  UNIT         WANTED
        node refreshes                2,346  a second     >= 1,500
        cost of an unchanged refresh      3  write units  3
        ratio                          2.62  times        <= 2.5
        refreshes                        12
        ");
    }
}
