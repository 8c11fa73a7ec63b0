//! `compare --draw` says what it has drawn, or that there was nothing to draw.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Draws the numbers in a folder of this name, where `comparison.json` holds this text.
fn draw(name: &str, text: &str) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("comparison.json"), text).expect("written");
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--draw", "--out"])
        .arg(&folder)
        .output()
        .expect("it is run")
}

#[test]
fn the_committed_plots_are_drawn_from_the_committed_numbers() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).expect("read");
    let drawn = draw("committed", &read(&committed, "comparison.json"));
    assert!(drawn.status.success(), "{drawn:?}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("committed");
    for name in ["comparison-threads-1.svg", "comparison-threads-2.svg"] {
        assert_eq!(read(&folder, name), read(&committed, name), "{name}");
    }
}

#[test]
fn numbers_of_which_nothing_can_be_drawn_are_told_in_a_line() {
    let without_torch = r#"{ "runs": [{ "threads": 1, "cases": [{ "case": "chain 1000",
        "sides": { "ours": { "median_ns": 1.0 } } }] }] }"#;
    for (name, text, reason) in [
        ("empty", "{}", "there is nothing to draw"),
        ("no-runs", r#"{ "runs": [] }"#, "there is nothing to draw"),
        ("no-torch", without_torch, "there is nothing to draw"),
        ("cut", r#"{ "runs": ["#, "EOF while parsing"),
    ] {
        let drawn = draw(name, text);
        assert!(!drawn.status.success(), "{name}: {drawn:?}");
        let said = String::from_utf8_lossy(&drawn.stderr);
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        let begins = said.starts_with("compare: ") && said.contains("comparison.json");
        assert!(begins && said.contains(reason), "{name}: {said}");
    }
}
