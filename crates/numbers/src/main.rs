//! The command `numbers`, which `course book numbers` starts: measures the numbers that the
//! chapters quote, all of them or those that are named, and writes their files.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book");
    let book = book.canonicalize().unwrap_or(book);
    let only: Vec<String> = std::env::args().skip(1).collect();
    let written = numbers::regenerate(&book, &only, |file| println!("written: {}", file.display()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
