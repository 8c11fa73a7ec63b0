//! What the file of a measurement works with: its entry in the list, what it produces, and
//! small helpers for tables.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use chart::Chart;

/// One measurement, the entry of its file in the list of all.
pub struct Measurement {
    /// The stem of its results.
    pub name: &'static str,
    /// The number of the chapter that quotes it, or [`APPENDIX`].
    pub chapter: u32,
    /// One line that says what is measured.
    pub about: &'static str,
    pub run: fn() -> Output,
}

/// Stands for the number of a chapter where an appendix quotes the results.
pub const APPENDIX: u32 = 0;

/// Where the numbers and texts are, in the folder of the book.
pub const RESULTS: &str = "results";

/// What a measurement produces: its numbers, and its plots and texts as files.
pub struct Output {
    pub results: Value,
    pub files: Vec<(PathBuf, String)>,
}

impl Output {
    pub fn new(results: Value) -> Self {
        let files = Vec::new();
        Self { results, files }
    }

    pub fn plot(mut self, stem: &str, chart: Chart) -> Self {
        let plots = chart.files(&Path::new("src/figures").join(stem));
        self.files.extend(plots);
        self
    }

    pub fn text(mut self, stem: &str, text: String) -> Self {
        let path = Path::new(RESULTS).join(format!("{stem}.txt"));
        self.files.push((path, text));
        self
    }
}

/// The number of this name in a result.
#[track_caller]
pub fn number(result: &Value, key: &str) -> f64 {
    let number = result[key].as_f64();
    number.unwrap_or_else(|| panic!("there is no number `{key}` in {result}"))
}

/// The rows of a table.
#[track_caller]
pub fn rows(table: &Value) -> &[Value] {
    table.as_array().expect("a list of rows")
}

/// The row of a table that has this text under `key`.
#[track_caller]
pub fn row_where<'a>(table: &'a Value, key: &str, text: &str) -> &'a Value {
    let found = rows(table).iter().find(|row| row[key] == text);
    found.unwrap_or_else(|| panic!("no row has the {key} `{text}`"))
}

/// A table with a row for each of some things.
pub fn each<T>(things: impl IntoIterator<Item = T>, row: impl FnMut(T) -> Value) -> Value {
    things.into_iter().map(row).collect()
}

/// One number of each row over another, as points of a chart.
pub fn curve<'a>(rows: impl IntoIterator<Item = &'a Value>, x: &str, y: &str) -> Vec<(f64, f64)> {
    let point = |row| (number(row, x), number(row, y));
    rows.into_iter().map(point).collect()
}

/// The share `(M − 2)/M` of a gradient without direction that a norm over `M` values of a
/// layer lets through.
pub fn survives(layer: &str, values: usize) -> Value {
    let survives = (values as f64 - 2.0) / values as f64;
    json!({ "layer": layer, "values": values, "survives": survives })
}
