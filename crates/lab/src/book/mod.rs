//! The measurements behind the numbers in the book, one file each.
//!
//! A number, table or plot in a chapter is never typed: the chapter quotes a file in
//! `book/results`, and [`regenerate`] writes that file. Everything is seeded, and uses
//! correctly rounded arithmetic and the `libm` crate only, so that the files come out
//! the same, byte for byte, on every machine; a test holds the committed ones to it.

mod attention;
mod by_chance;
mod cancellation;
#[cfg(test)]
mod claims;
mod convolution;
mod cost_counted;
mod family;
mod kernels;
mod ln_backward;
mod ln_batch;
mod ln_scale;
mod ln_worked;
mod matmul_loss;
mod mistakes;
mod on_tape;
mod one_reading;
mod paired;
mod projection;
mod pytorch;
mod random;
mod ridders;
mod running_stats;
mod scalar_tape;
mod sequences;
mod signatures;
mod speed;
mod tensors;
mod u_curve;
mod vacuous;
mod worked;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::chart::{Chart, NARROW};

/// One measurement: its name, the chapter that quotes it, and what computes it.
pub struct Measurement {
    /// The stem of its files.
    pub name: &'static str,
    /// The number of the chapter, or [`APPENDIX`].
    pub chapter: u32,
    /// One line that says what is measured.
    pub about: &'static str,
    run: fn() -> Output,
}

/// Stands for the number of a chapter where an appendix quotes the results.
pub const APPENDIX: u32 = 0;

/// What stands in the column of chapters.
fn place(chapter: u32) -> String {
    match chapter {
        APPENDIX => "appendix".to_owned(),
        number => number.to_string(),
    }
}

/// Every measurement, in the order of the chapters.
pub const MEASUREMENTS: &[Measurement] = &[
    u_curve::MEASUREMENT,
    ridders::MEASUREMENT,
    vacuous::MEASUREMENT,
    scalar_tape::MEASUREMENT,
    tensors::MEASUREMENT,
    on_tape::MEASUREMENT,
    matmul_loss::MEASUREMENT,
    worked::MEASUREMENT,
    cancellation::MEASUREMENT,
    running_stats::MEASUREMENT,
    projection::MEASUREMENT,
    signatures::MEASUREMENT,
    kernels::MEASUREMENT,
    one_reading::MEASUREMENT,
    speed::MEASUREMENT,
    convolution::MEASUREMENT,
    paired::MEASUREMENT,
    ln_worked::MEASUREMENT,
    ln_scale::MEASUREMENT,
    ln_batch::MEASUREMENT,
    ln_backward::MEASUREMENT,
    sequences::MEASUREMENT,
    attention::MEASUREMENT,
    by_chance::MEASUREMENT,
    cost_counted::MEASUREMENT,
    family::MEASUREMENT,
    mistakes::MEASUREMENT,
    pytorch::MEASUREMENT,
];

/// What a measurement produces: its numbers, and its plots and texts by file stem.
struct Output {
    json: String,
    plots: Vec<(&'static str, Chart)>,
    texts: Vec<(&'static str, String)>,
}

impl Output {
    fn new(results: &Value) -> Self {
        let mut json = serde_json::to_string_pretty(results).expect("plain data serializes");
        json.push('\n');
        Self {
            json,
            plots: Vec::new(),
            texts: Vec::new(),
        }
    }

    fn plot(mut self, stem: &'static str, chart: Chart) -> Self {
        self.plots.push((stem, chart));
        self
    }

    fn text(mut self, stem: &'static str, text: String) -> Self {
        self.texts.push((stem, text));
        self
    }
}

/// The number of this name in a result.
#[track_caller]
fn number(result: &Value, key: &str) -> f64 {
    let number = result[key].as_f64();
    number.unwrap_or_else(|| panic!("there is no number `{key}` in {result}"))
}

/// The numbers of a list.
#[track_caller]
fn numbers(list: &Value) -> Vec<f64> {
    let number = |value: &Value| value.as_f64().expect("a list of numbers");
    rows(list).iter().map(number).collect()
}

/// The rows of a table.
#[track_caller]
fn rows(table: &Value) -> &[Value] {
    table.as_array().expect("a list of rows")
}

/// The row of a table that has this text under `key`.
#[track_caller]
fn row_where<'a>(table: &'a Value, key: &str, text: &str) -> &'a Value {
    let found = rows(table).iter().find(|row| row[key] == text);
    found.unwrap_or_else(|| panic!("no row has the {key} `{text}`"))
}

/// A table with a row for each of some things.
fn each<T>(things: impl IntoIterator<Item = T>, row: impl FnMut(T) -> Value) -> Value {
    things.into_iter().map(row).collect()
}

/// One number of each row over another, as points of a chart.
fn curve<'a>(rows: impl IntoIterator<Item = &'a Value>, x: &str, y: &str) -> Vec<(f64, f64)> {
    let point = |row| (number(row, x), number(row, y));
    rows.into_iter().map(point).collect()
}

/// The share `(M − 2)/M` of a gradient without direction that a norm over `M` values of a
/// layer lets through.
fn survives(layer: &str, values: usize) -> Value {
    let survives = (values as f64 - 2.0) / values as f64;
    json!({ "layer": layer, "values": values, "survives": survives })
}

/// Runs one measurement and writes `results/<name>.json`, its texts beside it and its
/// plots under `src/figures` of `book`, the folder of the book. Returns the paths written.
///
/// # Errors
/// When a folder or file cannot be written.
pub fn regenerate(measurement: &Measurement, book: &Path) -> io::Result<Vec<PathBuf>> {
    files_of(measurement)
        .into_iter()
        .map(|(path, text)| write(&book.join(path), &text))
        .collect()
}

/// Writes `results/measurements.json` of `book`, the list of all measurements and their
/// files. Returns its path.
///
/// # Errors
/// When a folder or the file cannot be written.
pub fn regenerate_list(book: &Path) -> io::Result<PathBuf> {
    let (path, text) = list();
    write(&book.join(path), &text)
}

fn write(path: &Path, text: &str) -> io::Result<PathBuf> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    Ok(path.to_owned())
}

/// The path and the text of the list of all measurements.
fn list() -> (PathBuf, String) {
    let listed = |measurement: &Measurement| {
        let name = |(path, _): &(PathBuf, String)| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.unwrap_or_default().into_owned()
        };
        let files = files_of(measurement);
        let files = files.iter().map(name);
        // A plot is one, in however many forms.
        let files: Vec<String> = files.filter(|name| !name.ends_with(NARROW)).collect();
        json!({
            "name": measurement.name,
            "chapter": place(measurement.chapter),
            "about": measurement.about,
            // The names of its files, numbers first.
            "files": files.join(", "),
        })
    };
    let all: Vec<Value> = MEASUREMENTS.iter().map(listed).collect();
    let text = Output::new(&json!(all)).json;
    (Path::new("results").join("measurements.json"), text)
}

/// The files of a measurement, relative to the folder of the book, and their text.
fn files_of(measurement: &Measurement) -> Vec<(PathBuf, String)> {
    let output = (measurement.run)();
    let json = Path::new("results").join(format!("{}.json", measurement.name));
    let plots = output.plots.iter();
    let plots = plots.flat_map(|(stem, chart)| chart.files(&Path::new("src/figures").join(stem)));
    let texts = output.texts.into_iter().map(|(stem, text)| {
        let path = Path::new("results").join(format!("{stem}.txt"));
        (path, text)
    });
    std::iter::once((json, output.json))
        .chain(plots)
        .chain(texts)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of the book, from this crate.
    fn book() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book")
    }

    #[test]
    fn committed_files_are_what_the_code_computes() {
        let mut stale = Vec::new();
        let all = MEASUREMENTS.iter().flat_map(files_of);
        for (path, text) in all.chain([list()]) {
            let committed = fs::read_to_string(book().join(&path)).unwrap_or_default();
            // A checkout on Windows may have turned line ends into CRLF.
            if committed.replace("\r\n", "\n") != text {
                stale.push(path.display().to_string());
            }
        }
        assert!(
            stale.is_empty(),
            "these files of the book differ from what the code computes now: {stale:?}; \
             run `cargo run -- book numbers` and read the chapters again"
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = MEASUREMENTS.iter().map(|m| m.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MEASUREMENTS.len());
    }
}
