//! What is written from the catalogue: the targets that cargo builds, the list of checkers, and
//! the file of an exercise whose reader has none. An exercise is one entry there, its solution,
//! and its checker.
//!
//! After a change of the catalogue, `UPDATE=1 cargo test -p exercises --test catalogue` writes
//! them anew.

mod shared;

use shared::{names, path, read, shipped};
use std::env;
use std::fmt::Write;
use std::fs;

const MARK: &str = "# The rest is written by tests/catalogue.rs from catalogue.toml.\n";

fn updates() -> bool {
    env::var_os("UPDATE").is_some()
}

#[track_caller]
fn is_written(file: &str, text: &str) {
    if updates() {
        fs::write(path(file), text).unwrap();
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

use judge::Entry;

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

/// A new one is its solution with the answer taken out. What is there stays: it is the reader's.
#[test]
fn every_exercise_has_a_file() {
    for name in names() {
        let file = path(&format!("{name}.rs"));
        if updates() && !file.exists() {
            fs::write(&file, shipped(&name)).unwrap();
        }
        assert!(file.exists(), "{} is missing", file.display());
    }
}
