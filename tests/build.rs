//! Makes the chapters part of this package's documentation, so that the Rust in them is
//! compiled and run with its tests, as in any other crate.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let chapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/src");
    println!("cargo::rerun-if-changed={}", chapters.display());
    let mut files: Vec<_> = fs::read_dir(&chapters)
        .expect("the chapters can be read")
        .map(|entry| entry.expect("a chapter").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    files.sort();
    let mut code = String::new();
    for path in files {
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let name = stem.replace('-', "_").to_lowercase();
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(code, "#[doc = include_str!({path:?})]\npub mod {name} {{}}").expect("a string");
    }
    let out = env::var_os("OUT_DIR").expect("cargo names a folder");
    fs::write(Path::new(&out).join("chapters.rs"), code).expect("the folder can be written");
}
