//! A golden file that is missing or damaged is reported in one line that says what to do.

use std::fs;
use std::path::Path;

use tests::golden;

fn message(folder: &Path, family: &str) -> String {
    golden::read(folder, family).err().expect("the file is bad")
}

fn assert_one_line_naming(message: &str, file: &str) {
    assert_eq!(message.lines().count(), 1, "more than one line: {message}");
    assert!(message.contains(file), "{message}");
    assert!(
        message.contains("python tests/golden/generate.py"),
        "{message}"
    );
}

#[test]
fn a_missing_file_names_itself_and_the_command_that_makes_it() {
    let message = message(&golden::folder(), "no_such_family");
    assert_one_line_naming(&message, "no_such_family.json");
    assert!(message.ends_with("generate.py no_such_family"), "{message}");
}

#[test]
fn damage_of_every_kind_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hard.json");
    let good = fs::read_to_string(golden::folder().join("hard.json")).unwrap();
    let damaged = [
        ("cut off", good[..good.len() / 2].to_owned()),
        ("empty", String::new()),
        ("not JSON", "<<<<<<< HEAD".to_owned()),
        (
            "no cases",
            r#"{ "family": "hard", "command": "", "cases": [] }"#.to_owned(),
        ),
        (
            "a value too many",
            good.replacen("\"data\": [", "\"data\": [0.5, ", 1),
        ),
    ];
    for (what, text) in damaged {
        fs::write(&path, text).unwrap();
        let message = message(folder.path(), "hard");
        assert_one_line_naming(&message, "hard.json");
        println!("{what}: {message}");
    }
}

#[test]
fn every_file_is_readable_and_names_its_own_command() {
    let mut families = 0;
    for entry in fs::read_dir(golden::folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let family = golden::load(name);
            assert_eq!(family.family, name);
            assert_eq!(
                family.command,
                format!("python tests/golden/generate.py {name}")
            );
            families += 1;
        }
    }
    assert_eq!(families, 9);
}

#[test]
#[should_panic(expected = "PyTorch has -1e0")]
fn a_value_that_is_off_in_the_thirteenth_digit_is_seen() {
    let family = golden::load("hard");
    let case = &family.cases[0];
    let mut y = case.tensor::<f64>("y");
    y.data_mut()[0] += 2e-13;
    case.assert_close("y", &y);
}

#[test]
#[should_panic(expected = "another shape")]
fn a_wrong_shape_is_seen() {
    let family = golden::load("hard");
    let case = &family.cases[0];
    let y = case.tensor::<f64>("y");
    let flat = y.reshape([1, y.len()]);
    case.assert_close("y", &flat);
}
