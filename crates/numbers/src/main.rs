//! The command `numbers`, which `course book numbers` starts: measures every number that the
//! chapters quote, and writes their files.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book");
    let book = book.canonicalize().unwrap_or(book);
    let written = numbers::regenerate(&book, |file| println!("written: {}", file.display()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
