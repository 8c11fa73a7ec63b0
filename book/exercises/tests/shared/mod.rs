//! The catalogue, and what a solution says of the file that the reader edits.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of this package.
pub fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The text of a file of this package.
pub fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of all exercises, in the order of the book.
pub fn names() -> Vec<String> {
    let catalogue: toml::Table = read("catalogue.toml").parse().unwrap();
    let exercises = catalogue["exercise"].as_array().unwrap();
    let name = |exercise: &toml::Value| exercise["name"].as_str().unwrap().to_owned();
    exercises.iter().map(name).collect()
}

/// The exercise as it is shipped: its solution with the answer taken out.
pub fn shipped(name: &str) -> String {
    let mut stub = String::new();
    let mut given: Option<String> = None;
    for line in read(&format!("../solutions/{name}.rs")).lines() {
        let text = line.trim_start();
        let space = &line[..line.len() - text.len()];
        if text.starts_with("// ANCHOR: solution") {
            given = Some(String::new());
        } else if text.starts_with("// ANCHOR_END: solution") {
            let given = given.take().unwrap();
            let todo = format!("{space}todo!()\n");
            stub += if given.is_empty() { &todo } else { &given };
        } else if let Some(given) = &mut given {
            if let Some(code) = text.strip_prefix("// SHIPPED: ") {
                *given += &format!("{space}{code}\n");
            }
        } else {
            stub += &format!("{line}\n");
        }
    }
    stub
}
