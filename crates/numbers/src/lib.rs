//! The measurements behind the numbers in the book, one file each.
//!
//! A number, table or plot in a chapter is never typed: the chapter quotes a file in
//! `book/results`, and [`regenerate`] writes that file. Everything is seeded, and uses
//! correctly rounded arithmetic and the `libm` crate only, so that the files come out
//! the same, byte for byte, on every machine; a test holds the committed ones to it.

#![forbid(unsafe_code)]

#[cfg(test)]
mod claims;
mod kit;
mod measurements;
mod museum;
mod random;

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use chart::NARROW;
use kit::{APPENDIX, Output, RESULTS};
use measurements::MEASUREMENTS;

/// What stands in the column of chapters.
fn place(chapter: u32) -> String {
    match chapter {
        APPENDIX => "appendix".to_owned(),
        number => number.to_string(),
    }
}

/// Measures everything anew, and hands each file to `visit`: its path in the folder of the
/// book, and its text. The last is `measurements.json`, the list of all.
fn measure(mut visit: impl FnMut(&Path, &str) -> io::Result<()>) -> io::Result<()> {
    let json = |name: &str, results: &Value| {
        let text = serde_json::to_string_pretty(results).expect("plain data serializes");
        let path = Path::new(RESULTS).join(format!("{name}.json"));
        (path, format!("{text}\n"))
    };
    let mut list = Vec::new();
    for measurement in MEASUREMENTS {
        let Output { results, mut files } = (measurement.run)();
        files.insert(0, json(measurement.name, &results));
        let names = files
            .iter()
            .filter_map(|(path, _)| path.file_name()?.to_str());
        // A plot is one, in however many forms.
        let names: Vec<&str> = names.filter(|name| !name.ends_with(NARROW)).collect();
        list.push(json!({
            "name": measurement.name,
            "chapter": place(measurement.chapter),
            "about": measurement.about,
            // Numbers first.
            "files": names.join(", "),
        }));
        for (path, text) in files {
            visit(&path, &text)?;
        }
    }
    let (path, text) = json("measurements", &json!(list));
    visit(&path, &text)
}

/// Measures everything anew and writes it into `book`, the folder of the book. Each path is
/// handed to `written`.
///
/// # Errors
/// When a folder or file cannot be written.
pub fn regenerate(book: &Path, mut written: impl FnMut(&Path)) -> io::Result<()> {
    measure(|path, text| {
        let path = book.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text)?;
        written(&path);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The folder of the book, from this crate.
    fn book() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book")
    }

    #[test]
    fn committed_files_are_what_the_code_computes() {
        let mut stale = Vec::new();
        let compare = |path: &Path, text: &str| {
            let committed = fs::read_to_string(book().join(path)).unwrap_or_default();
            // A checkout on Windows may have turned line ends into CRLF.
            if committed.replace("\r\n", "\n") != text {
                stale.push(path.display().to_string());
            }
            Ok(())
        };
        measure(compare).expect("nothing is written");
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
