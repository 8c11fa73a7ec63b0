//! What is written from the catalogue: the targets that cargo builds, and the list of
//! checkers. An exercise is one entry there, the file that the reader edits, its solution,
//! and its checker.
//!
//! After a change of the catalogue, `UPDATE=1 cargo test -p exercises --test catalogue` writes
//! both anew.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const MARK: &str = "# The rest is written by tests/catalogue.rs from catalogue.toml.\n";

/// The names of all exercises, in the order of the book.
fn names() -> Vec<String> {
    let catalogue: toml::Table = read("catalogue.toml").parse().unwrap();
    let exercises = catalogue["exercise"].as_array().unwrap();
    let name = |exercise: &toml::Value| exercise["name"].as_str().unwrap().to_owned();
    exercises.iter().map(name).collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[track_caller]
fn is_written(file: &str, text: &str) {
    if env::var_os("UPDATE").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), text).unwrap();
    }
    assert!(
        read(file) == text,
        "{file} is not what follows from the catalogue: UPDATE=1 cargo test -p exercises --test catalogue writes it"
    );
}

#[test]
fn the_targets_are_those_of_the_catalogue() {
    let manifest = read("Cargo.toml");
    let (own, _) = manifest.split_once(MARK).unwrap();
    let mut text = format!("{own}{MARK}");
    for (prefix, folder) in [("", ""), ("solution-", "../solutions/")] {
        for name in names() {
            write!(
                text,
                "\n[[bin]]\nname = \"{prefix}{name}\"\npath = \"{folder}{name}.rs\"\ntest = false\ndoc = false\n"
            )
            .unwrap();
        }
    }
    is_written("Cargo.toml", &text);
}

#[test]
fn the_checkers_are_those_of_the_catalogue() {
    let mut text = "\
//! A checker for each exercise. Written by tests/catalogue.rs from catalogue.toml.

use crate::engine::Entry;

"
    .to_owned();
    let mut sorted = names();
    sorted.sort();
    for name in sorted {
        writeln!(text, "pub mod {name};").unwrap();
    }
    text += "
/// Name and checker of each exercise, in the order of the book.
#[rustfmt::skip]
pub(crate) const ALL: &[Entry] = &[
";
    for name in names() {
        writeln!(text, "    (\"{name}\", {name}::checker),").unwrap();
    }
    is_written("src/checkers/mod.rs", &(text + "];\n"));
}
