//! That something goes on, and how far: a line on the standard error output, where that is a terminal, once a command has
//! been silent for a second. It goes when the command has something to say, and stays away once the answer has begun:
//! whoever reads the output may draw on the same terminal (`less`).
//!
//! Nothing of the terminal is changed: Ctrl-C may end it at any time.

use std::borrow::Cow;
use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How long a command is silent before it is shown that it goes on, and how often that is drawn.
const SILENT: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(120);

/// The line: the process has one terminal. Not drawn until [`during`] says so.
static BAR: LazyLock<ProgressBar> =
    LazyLock::new(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));

/// What is known of how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    Unknown,
    Counted,
    Of(u64),
}

/// From now on this is done, however long it takes: `reading the table`.
pub fn say(what: impl Into<Cow<'static, str>>) {
    begin(&BAR, what, Amount::Unknown);
}

/// From now on these are counted, and nobody knows how many there are: `records of the stream`. [`step`] counts.
pub fn count(what: impl Into<Cow<'static, str>>) {
    begin(&BAR, what, Amount::Counted);
}

/// From now on these are done, so many of them: `clusters`. [`step`] counts.
pub fn all(what: impl Into<Cow<'static, str>>, total: u64) {
    begin(&BAR, what, Amount::Of(total));
}

/// So many more are done.
pub fn step(done: usize) {
    BAR.inc(done as u64);
}

/// Writes something else to the standard error output: the line is not in its way.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    BAR.suspend(write)
}

/// Takes the line away for good: the answer begins.
pub fn answer() {
    BAR.finish_and_clear();
}

fn begin(bar: &ProgressBar, what: impl Into<Cow<'static, str>>, amount: Amount) {
    let template = match amount {
        Amount::Unknown => "{spinner} {elapsed}  {wide_msg}",
        Amount::Counted => "{spinner} {elapsed}  {human_pos} {wide_msg}",
        Amount::Of(_) => "{spinner} {elapsed}  [{bar:24}] {human_pos} of {human_len} {wide_msg}",
    };
    // A template that is wrong is one of the three above: a test draws each.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style.tick_chars("|/-\\ ").progress_chars("##-"));
    match amount {
        Amount::Of(total) => bar.set_length(total),
        Amount::Unknown | Amount::Counted => bar.unset_length(),
    }
    bar.set_position(0);
    bar.set_message(what);
}

/// Does some work, and shows meanwhile that it goes on.
pub async fn during<T>(work: impl Future<Output = T>) -> T {
    let is_screen = std::io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb");
    if !is_screen {
        return work.await;
    }
    say("working");
    let mut work = pin!(work);
    let mut ticks = interval_at(Instant::now() + SILENT, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                answer();
                return done;
            }
            _ = ticks.tick() => {
                if BAR.is_hidden() && !BAR.is_finished() {
                    BAR.set_draw_target(ProgressDrawTarget::stderr());
                }
                BAR.tick();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;

    fn drawn(what: &'static str, amount: Amount, done: u64, columns: u16) -> (ProgressBar, InMemoryTerm) {
        let screen = InMemoryTerm::new(5, columns);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        begin(&bar, what, amount);
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        bar.inc(done);
        bar.tick();
        (bar, screen)
    }

    #[test]
    fn what_goes_on_is_drawn_in_one_line_with_how_far_it_is() {
        // Without the frame of the spinner: how often it was drawn depends on the time.
        let line = |amount, done| drawn("records of the stream", amount, done, 80).1.contents().split_off(1);
        insta::assert_snapshot!(line(Amount::Unknown, 0), @" 0s  records of the stream");
        insta::assert_snapshot!(line(Amount::Counted, 12_300), @" 0s  12,300 records of the stream");
        insta::assert_snapshot!(line(Amount::Of(2000), 500), @" 0s  [#######-----------------] 500 of 2,000 records of the stream");
        let narrow = drawn("records of the stream, which is long", Amount::Unknown, 0, 20).1.contents();
        assert_eq!(narrow.lines().count(), 1, "{narrow}");
    }

    #[test]
    fn it_goes_without_a_trace_and_stays_away_once_the_answer_has_begun() {
        let (bar, screen) = drawn("records", Amount::Unknown, 0, 80);
        assert_eq!(bar.suspend(|| screen.contents()), "", "what else is written has the line for itself");
        assert!(screen.contents().ends_with(" 0s  records"), "{}", screen.contents());
        bar.finish_and_clear();
        assert_eq!(screen.contents(), "");
        begin(&bar, "more", Amount::Of(3));
        bar.inc(1);
        bar.tick();
        assert_eq!(screen.contents(), "");
    }
}
