//! Text: names from outside made safe to show, counts, spans, widths.

use std::borrow::Cow;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Text from outside (agents, sources) without what could steer a terminal: control characters, escape
/// sequences, and marks that turn the direction of text.
pub fn clean(text: &str) -> Cow<'_, str> {
    let unsafe_char = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(unsafe_char) {
        Cow::Owned(text.replace(unsafe_char, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Reads a reason: one line of at most 200 characters.
///
/// # Errors
/// Says what was expected.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 || clean(text) != text {
        return Err("expected one line of 1 to 200 characters".into());
    }
    Ok(text.to_owned())
}

/// Columns that text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Text cut to so many columns; what is cut is marked.
pub fn fit(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > most {
            break;
        }
        used += wide;
        cut.push(c);
    }
    if most > 0 {
        cut.push('…');
    }
    Cow::Owned(cut)
}

/// A painted line cut to so many columns: styles take none, and what ends them is kept.
pub fn cut(line: &str, most: usize) -> Cow<'_, str> {
    let mut kept = String::with_capacity(line.len());
    let (mut used, mut escape, mut is_cut) = (0, false, false);
    for c in line.chars() {
        if escape || c == '\u{1b}' {
            escape = c != 'm';
            kept.push(c);
            continue;
        }
        let wide = c.width().unwrap_or(0);
        is_cut |= used + wide > most;
        if !is_cut {
            used += wide;
            kept.push(c);
        }
    }
    if is_cut { Cow::Owned(kept) } else { Cow::Borrowed(line) }
}

/// A word as a POSIX shell reads it back: in quotes, where it needs them.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', "'\\''")))
    }
}

/// Text filled with spaces to so many columns.
pub fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

/// `1 node`, `2 refreshes`, `1,234 nodes`.
pub fn count(number: u64, word: &str) -> String {
    let plural = match number {
        1 => "",
        _ if word.ends_with("sh") => "es",
        _ => "s",
    };
    format!("{} {word}{plural}", thousands(number))
}

/// A number with commas.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span in one unit, short: `830ms`, `12s`, `5m`, `3h`, `2d`.
pub fn short(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{}ms", span.as_millis()),
        seconds @ 1..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A span with its tenths: `0.3s`, `12.4s`; below a tenth of a second in milliseconds.
pub fn tenths(span: Duration) -> String {
    if span < Duration::from_millis(100) {
        format!("{}ms", span.as_millis())
    } else {
        format!("{:.1}s", span.as_secs_f64())
    }
}

/// `a, b and c`; more than `most` are counted: `a, b and 7 more`.
pub fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>, most: usize) -> String {
    let items: Vec<T> = items.into_iter().collect();
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    let more = items.len() - shown.len();
    match (shown.as_slice(), more) {
        ([], _) => String::new(),
        (shown, more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        ([only], _) => (*only).to_owned(),
        ([first @ .., last], _) => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_is_safe_to_show() {
        assert_eq!(reason(" new racks ").as_deref(), Ok("new racks"));
        assert!(reason(&"x".repeat(200)).is_ok());
        for text in ["", " ", "a\nb", "\u{1b}[31m", &"x".repeat(201)] {
            assert!(reason(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_painted_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(cut("\u{1b}[1mname\u{1b}[0m  更更", 7), "\u{1b}[1mname\u{1b}[0m  ");
        assert_eq!(cut("\u{1b}[1mname\u{1b}[0m", 2), "\u{1b}[1mna\u{1b}[0m");
        assert_eq!(cut("\u{1b}[1mname\u{1b}[0m", 4), "\u{1b}[1mname\u{1b}[0m");
    }

    #[test]
    fn words_are_quoted_for_a_shell_where_they_must_be() {
        assert_eq!(quoted("/var/lib/replicante-1"), "/var/lib/replicante-1");
        assert_eq!(quoted("my data"), "'my data'");
        assert_eq!(quoted("it's; rm"), "'it'\\''s; rm'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn names_from_outside_can_not_steer_a_terminal() {
        assert_eq!(clean("zk-01"), "zk-01");
        assert_eq!(clean("a\x1b[2Jb\r\n\u{9b}c\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c\u{fffd}d");
    }

    #[test]
    fn text_is_cut_and_filled_to_columns_not_to_characters() {
        assert_eq!(
            (fit("abc", 3).as_ref(), fit("abcd", 3).as_ref(), fit("abcd", 0).as_ref()),
            ("abc", "ab…", "")
        );
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(pad("日本", 5), "日本 ");
    }

    #[test]
    fn counts_spans_and_lists_read_as_people_write_them() {
        assert_eq!((count(1, "node"), count(1234, "node")), ("1 node".into(), "1,234 nodes".into()));
        assert_eq!(thousands(1_234_567), "1,234,567");
        let spans = [830, 12_000, 300_000, 3 * 3_600_000, 3 * 86_400_000]
            .map(|millis| short(Duration::from_millis(millis)));
        assert_eq!(spans, ["830ms", "12s", "5m", "3h", "3d"]);
        assert_eq!([40, 340, 12_400].map(|ms| tenths(Duration::from_millis(ms))), ["40ms", "0.3s", "12.4s"]);
        assert_eq!(list(["a"], 3), "a");
        assert_eq!(list(["a", "b", "c"], 3), "a, b and c");
        assert_eq!(list(["a", "b", "c", "d"], 2), "a, b and 2 more");
    }
}
