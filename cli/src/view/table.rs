//! Tables as lists show them: a heading, a line a row, columns that line up, nothing else.

use anstyle::Style;

use crate::view::style::{Tone, paint};
use crate::view::text::{clean, fit, pad, width};

/// Between two columns.
const GAP: &str = "  ";
/// No column that is cut gets narrower than this.
const NARROWEST: usize = 8;

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// Text. Names from outside are made safe to show.
    pub fn text(text: impl AsRef<str>) -> Self {
        Cell { text: clean(text.as_ref()).into_owned(), style: Style::new(), right: false }
    }

    /// A number, at the right of its column.
    pub fn number(number: u64) -> Self {
        Cell { text: number.to_string(), style: Style::new(), right: true }
    }

    /// Text at the right of its column.
    pub fn right(text: impl AsRef<str>) -> Self {
        Cell { right: true, ..Cell::text(text) }
    }

    /// A number of things that should not be: marked when there are any.
    pub fn trouble(number: u64, tone: Tone) -> Self {
        Cell { style: if number > 0 { tone.style() } else { Style::new() }, ..Cell::number(number) }
    }

    /// The same in a tone.
    #[must_use]
    pub fn toned(mut self, tone: Tone) -> Self {
        self.style = tone.style();
        self
    }
}

/// Lays out rows under a heading, in at most `most` columns of a terminal where that is given: the widest columns
/// are cut until it fits.
pub fn table(heading: &[&str], rows: &[Vec<Cell>], most: Option<usize>) -> Vec<String> {
    let mut widths: Vec<usize> = heading.iter().map(|text| width(text)).collect();
    for row in rows {
        for (wide, cell) in widths.iter_mut().zip(row) {
            *wide = (*wide).max(width(&cell.text));
        }
    }
    if let Some(most) = most {
        shrink(&mut widths, most);
    }
    let right: Vec<bool> = (0..heading.len())
        .map(|column| rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.right))
        .collect();
    let bold = Style::new().bold();
    let heading = heading.iter().zip(&right).map(|(text, right)| Cell {
        text: (*text).to_owned(),
        style: bold,
        right: *right,
    });
    let heading: Vec<Cell> = heading.collect();
    std::iter::once(&heading).chain(rows).map(|row| line(row, &widths)).collect()
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    let last = row.len().saturating_sub(1);
    for (column, (cell, wide)) in row.iter().zip(widths).enumerate() {
        let text = fit(&cell.text, *wide);
        if column == last && text.is_empty() {
            line.truncate(line.trim_end().len());
            break;
        }
        if column > 0 {
            line.push_str(GAP);
        }
        match (cell.right, column == last) {
            (true, _) => {
                line.push_str(&" ".repeat(wide.saturating_sub(width(&text))));
                line.push_str(&paint(cell.style, &text));
            }
            (false, true) => line.push_str(&paint(cell.style, &text)),
            // Painted without the filling, so that a coloured background or underline never shows in it.
            (false, false) => {
                let filled = pad(&text, *wide);
                line.push_str(&paint(cell.style, &text));
                line.push_str(&filled[text.len()..]);
            }
        }
    }
    line
}

fn shrink(widths: &mut [usize], most: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > most {
        let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROWEST) else { return };
        *widest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec![Cell::text("zk-01"), Cell::number(5), Cell::text("healthy").toned(Tone::Good)],
            vec![Cell::text("a-rather-long-name"), Cell::number(12), Cell::text("down\x1b[2J")],
        ]
    }

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn columns_line_up_and_numbers_stand_at_the_right() {
        insta::assert_snapshot!(plain(&table(&["NAME", "NODES", "HEALTH"], &rows(), None)), @"
        NAME                NODES  HEALTH
        zk-01                   5  healthy
        a-rather-long-name     12  down�[2J
        ");
    }

    #[test]
    fn the_widest_columns_are_cut_to_the_terminal() {
        let lines = table(&["NAME", "NODES", "HEALTH"], &rows(), Some(28));
        insta::assert_snapshot!(plain(&lines), @"
        NAME         NODES  HEALTH
        zk-01            5  healthy
        a-rather-l…     12  down�[2J
        ");
        assert!(lines.iter().all(|line| width(&plain(std::slice::from_ref(line))) <= 28));
    }

    #[test]
    fn colours_do_not_shift_columns() {
        let styled = table(&["NAME", "NODES", "HEALTH"], &rows(), None).join("\n");
        assert!(styled.contains("\x1b[32mhealthy\x1b[0m"));
    }
}
