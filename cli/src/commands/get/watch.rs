//! Showing a list: once, or again and again.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{ListArgs, ListOutput};
use crate::demo::screen::Screen;
use crate::error::CliError;
use crate::out;
use crate::signals::Interrupts;
use crate::view::style::Tone;
use crate::view::text::{clean, short};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// A list, ready to be shown.
#[derive(Debug)]
pub struct Shown {
    /// For programs.
    pub json: Vec<Value>,
    /// For people, in so many columns at most.
    pub lines: Vec<String>,
    /// What is said when there is nothing.
    pub nothing: String,
    /// What can't be read, and is left out.
    pub notes: Vec<String>,
    /// A name that was given, and that nothing has.
    pub unknown: Option<CliError>,
}

impl Shown {
    /// The lines for people.
    fn told(&self) -> &[String] {
        if self.json.is_empty() { std::slice::from_ref(&self.nothing) } else { &self.lines }
    }
}

/// Shows a list, or again and again.
///
/// # Errors
/// When it can't be read. Once it was shown, a failure that may pass is told, and the list is read again.
pub async fn show(
    args: &ListArgs,
    list: impl AsyncFn(Option<usize>) -> Result<Shown, CliError>,
) -> Result<(), CliError> {
    let width = || if args.output == ListOutput::Wide { None } else { out::size().map(|(width, _)| width) };
    if args.watch {
        return watch(args, || list(width())).await;
    }
    let shown = list(width()).await?;
    shown.notes.iter().for_each(out::note);
    if let Some(error) = shown.unknown {
        return Err(error);
    }
    match args.output {
        ListOutput::Json => out::json(&shown.json),
        ListOutput::Yaml => out::yaml(&Value::from(shown.json)),
        _ if shown.json.is_empty() => {
            out::note(shown.nothing);
            Ok(())
        }
        _ => shown.lines.into_iter().try_for_each(out::line),
    }
}

async fn watch(args: &ListArgs, list: impl AsyncFn() -> Result<Shown, CliError>) -> Result<(), CliError> {
    if !matches!(args.output, ListOutput::Table | ListOutput::Wide) {
        return Err(CliError::Usage("--watch is for people: it needs -o table or -o wide".into()));
    }
    let mut interrupts = Interrupts::watch()?;
    let mut screen: Option<Screen> = None;
    // What was read last, and when.
    let mut last: Option<(Shown, Instant)> = None;
    loop {
        let read = tokio::select! {
            read = list() => read,
            () = interrupts.next() => return Ok(()),
        };
        let problem = match (read, &last) {
            (Ok(Shown { unknown: Some(error), notes, .. }), None) => {
                notes.iter().for_each(out::note);
                return Err(error);
            }
            (Ok(shown), _) => {
                last = Some((shown, Instant::now()));
                None
            }
            (Err(error), Some((_, at))) if error.is_passing() => Some(failed(&error, at.elapsed())),
            (Err(error), _) => return Err(error),
        };
        if screen.is_none() && out::is_screen() {
            screen = Some(Screen::enter()?);
        }
        let shown = last.as_ref().map(|(shown, _)| shown);
        match (&mut screen, shown, problem) {
            (Some(screen), Some(shown), problem) => {
                let height = out::size().map_or(usize::MAX, |(_, height)| height);
                screen.draw(&frame(problem, shown, height))?;
            }
            (None, Some(shown), None) => {
                shown.notes.iter().for_each(out::note);
                shown.told().iter().chain([&String::new()]).try_for_each(out::line)?;
            }
            (None, _, Some(problem)) => out::note(problem),
            (_, None, _) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = interrupts.next() => return Ok(()),
        }
    }
}

/// What a screen of that height shows: first what is wrong, then the list, as far as there is room.
fn frame(problem: Option<String>, shown: &Shown, height: usize) -> Vec<String> {
    let mut lines: Vec<String> =
        problem.into_iter().chain(shown.notes.iter().chain(shown.told()).cloned()).collect();
    let room = height.saturating_sub(1);
    let more = lines.len().saturating_sub(room);
    if more > 0 {
        lines.truncate(room);
        lines.push(Tone::Quiet.paint(&format!("and {more} more")));
    }
    lines
}

fn failed(error: &CliError, age: Duration) -> String {
    let text =
        format!("what is shown is of {} ago: {}; it is tried again", short(age), clean(&error.to_string()));
    Tone::Bad.paint(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::plain;
    use replicante_aws::AwsError;
    use serde_json::json;

    fn shown(lines: &[&str]) -> Shown {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        Shown {
            json: lines.iter().map(|line| json!(line)).collect(),
            lines,
            nothing: "no clusters yet".into(),
            notes: vec!["the head of b is not as expected".into()],
            unknown: None,
        }
    }

    fn refused(reason: &str) -> CliError {
        CliError::Aws(AwsError::Call { action: "listing heads".into(), reason: reason.into(), passing: true })
    }

    #[test]
    fn a_screen_begins_with_what_is_wrong_and_is_cut_to_its_height() {
        let list = shown(&["CLUSTER", "a", "c", "d"]);
        insta::assert_snapshot!(plain(&frame(None, &list, 24)), @"
        the head of b is not as expected
        CLUSTER
        a
        c
        d
        ");
        let problem = failed(&refused("no answer in time"), Duration::from_secs(12));
        insta::assert_snapshot!(plain(&frame(Some(problem), &list, 5)), @"
        what is shown is of 12s ago: listing heads failed: no answer in time; it is tried again
        the head of b is not as expected
        CLUSTER
        a
        and 2 more
        ");
        insta::assert_snapshot!(plain(&frame(None, &shown(&[]), 24)), @"
        the head of b is not as expected
        no clusters yet
        ");
    }
}
