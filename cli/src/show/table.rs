//! Tables: columns aligned by what characters take on a screen.

use super::text::{cell, cut, width};

/// A column: its heading and the most columns of the screen that it takes.
pub type Column = (&'static str, usize);

/// A table with a line of headings.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; texts are made safe and cut here.
    pub fn row(&mut self, cells: &[&str]) {
        let cells = cells.iter().zip(&self.columns).map(|(text, (_, most))| cut(&cell(text), *most));
        self.rows.push(cells.collect());
    }

    /// The table, each line ended; columns in which nothing stands are left out.
    #[must_use]
    pub fn to_text(&self) -> String {
        let widest =
            |place: usize| self.rows.iter().filter_map(|row| row.get(place)).map(|c| width(c)).max().unwrap_or(0);
        let heads = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(place, (head, _))| match widest(place) {
                0 => 0,
                columns => columns.max(width(head)),
            })
            .collect();
        let lines = std::iter::once(&heads).chain(&self.rows);
        lines.map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (text, columns) in row.iter().zip(widths).filter(|(_, columns)| **columns > 0) {
        line.push_str(text);
        line.push_str(&" ".repeat(columns.saturating_sub(width(text)) + 2));
    }
    line.truncate(line.trim_end_matches(' ').len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_right_to_left_names_keep_the_columns() {
        let mut table = Table::new(&[("CODE", 11), ("NAME", 12), ("NOTHING", 9), ("BORN", 10)]);
        table.row(&["0000-0000-0", "王小明", "", "1980"]);
        table.row(&["1111-1111-1", "محمد", "", "1990"]);
        table.row(&["2222-2222-2", "Mar\u{202e}ia José", "", "2000-01"]);
        table.row(&["3333-3333-3", "A very long name", "", "2010"]);
        let text = table.to_text();
        let lines: Vec<&str> = text.lines().collect();
        let column = |line: &str, what: &str| width(line.split(what).next().unwrap());
        assert_eq!(column(lines[0], "BORN"), 27);
        for (line, born) in lines[1..].iter().zip(["1980", "1990", "2000-01", "2010"]) {
            assert_eq!(column(line, born), 27, "{line:?}");
        }
        assert!(!text.contains("NOTHING") && lines[3].contains("Mar\\u{202E}…") && lines[4].contains("A very long…"));
        assert!(lines.iter().all(|l| !l.ends_with(' ')));
    }
}
