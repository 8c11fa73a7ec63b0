//! `compare --draw` says what it has drawn, or that there was nothing to draw.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Draws the numbers in a folder of this name, which holds these files.
fn draw(name: &str, files: &[(&str, &str)]) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("written");
    }
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--draw", "--out"])
        .arg(&folder)
        .output()
        .expect("it is run")
}

#[test]
fn the_committed_tables_and_plots_are_made_from_the_committed_numbers() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let names = |folder: &Path, end: &str| -> Vec<String> {
        let files = fs::read_dir(folder).expect("a folder");
        let names = files.map(|file| {
            file.expect("a file")
                .file_name()
                .into_string()
                .expect("text")
        });
        let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
        names.sort();
        names
    };
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).expect("read");
    let numbers = names(&committed, ".json");
    let numbers: Vec<(&str, String)> = numbers
        .iter()
        .map(|n| (&n[..], read(&committed, n)))
        .collect();
    let numbers: Vec<(&str, &str)> = numbers
        .iter()
        .map(|(name, text)| (*name, &text[..]))
        .collect();
    let drawn = draw("committed", &numbers);
    assert!(drawn.status.success(), "{drawn:?}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("committed");
    for (end, one) in [(".svg", "amd-threads-1.svg"), (".md", "amd.md")] {
        let made = names(&committed, end);
        assert_eq!(names(&folder, end), made);
        assert!(made.contains(&one.to_owned()), "{made:?}");
        for name in &made {
            assert_eq!(read(&folder, name), read(&committed, name), "{name}");
        }
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
        ("cut", r#"{ "runs": ["#, "intel.json: EOF while parsing"),
    ] {
        let drawn = draw(name, &[("intel.json", text)]);
        assert!(!drawn.status.success(), "{name}: {drawn:?}");
        let said = String::from_utf8_lossy(&drawn.stderr);
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(
            said.starts_with("compare: ") && said.contains(name),
            "{name}: {said}"
        );
        assert!(said.contains(reason), "{name}: {said}");
    }
}
