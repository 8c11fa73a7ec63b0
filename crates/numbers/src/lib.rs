//! The measurements behind the numbers in the book, one file each.
//!
//! A number, table or plot in a chapter is never typed: the chapter quotes a file in
//! `book/results`, and [`regenerate`] writes that file. Everything is seeded, and uses
//! correctly rounded arithmetic and the `libm` crate only, so that the files come out
//! the same, byte for byte, on every machine; a test holds the committed ones to it.

#![forbid(unsafe_code)]

#[cfg(test)]
mod claims;
mod kernel;
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

/// Measures anew, and hands each file to `visit`: its path in the folder of the book, and its
/// text. If none is named, all are measured, and the last file is `measurements.json`, their list.
fn measure(
    only: &[String],
    mut visit: impl FnMut(&Path, &str) -> io::Result<()>,
) -> io::Result<()> {
    let json = |name: &str, results: &Value| {
        let text = serde_json::to_string_pretty(results).expect("plain data serializes");
        let path = Path::new(RESULTS).join(format!("{name}.json"));
        (path, format!("{text}\n"))
    };
    let mut list = Vec::new();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    for measurement in MEASUREMENTS.iter().filter(|one| wanted(one.name)) {
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
    if !only.is_empty() {
        return Ok(());
    }
    let (path, text) = json("measurements", &json!(list));
    visit(&path, &text)
}

/// Measures anew, and writes into `book`, the folder of the book, what these measurements find;
/// all of them, and their list, if none is named. Each path is handed to `written`.
///
/// # Errors
/// When there is no such measurement, or a folder or file cannot be written.
pub fn regenerate(book: &Path, only: &[String], mut written: impl FnMut(&Path)) -> io::Result<()> {
    let known = |name: &&String| MEASUREMENTS.iter().any(|known| known.name == **name);
    if let Some(name) = only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = MEASUREMENTS.iter().map(|known| known.name).collect();
        let names = names.join(", ");
        let reason = format!("there is no measurement {name:?}; there are: {names}");
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    measure(only, |path, text| {
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
        measure(&[], compare).expect("nothing is written");
        assert!(
            stale.is_empty(),
            "these files of the book differ from what the code computes now: {stale:?}; \
             run `cargo run -- book numbers` and read the chapters again"
        );
    }

    #[test]
    fn those_that_are_named_are_measured_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut written = Vec::new();
        let note = |path: &Path| written.push(path.to_path_buf());
        regenerate(folder.path(), &["by_chance".to_owned()], note).expect("it is measured");
        assert_eq!(
            written,
            [folder.path().join(RESULTS).join("by_chance.json")]
        );
        let error = regenerate(folder.path(), &["by_chanse".to_owned()], |_| {})
            .expect_err("there is none")
            .to_string();
        assert!(error.starts_with("there is no measurement \"by_chanse\"; there are: u_curve"));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = MEASUREMENTS.iter().map(|m| m.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MEASUREMENTS.len());
    }
}
