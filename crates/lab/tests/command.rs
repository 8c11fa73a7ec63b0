//! The command in a pipe: what it prints, and its exit code.

use std::process::{Command, Output};

use lab::experiments;

fn lab(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_lab");
    Command::new(program).args(arguments).output().unwrap()
}

#[test]
fn without_a_name_the_experiments_are_listed() {
    let output = lab(&["run"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for (line, experiment) in text.lines().zip(experiments()) {
        assert!(line.starts_with(experiment.name), "{line}");
        assert!(line.ends_with(experiment.about), "{line}");
    }
    assert_eq!(text.lines().count(), experiments().len());
}

#[test]
fn help_is_of_the_command_that_a_reader_types() {
    let output = lab(&["run", "--help"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("Usage: course lab [OPTIONS] [NAME]"),
        "{text}"
    );
}

#[test]
fn what_makes_no_sense_is_one_line() {
    for arguments in [
        &["run", "digitz"][..],
        &["run", "digits", "--sedes", "2"],
        &["run", "digits", "--seeds", "many"],
        &["run", "digits", "--quick", "--seeds", "0"],
        &["run", "digits", "--quick", "--threads", "0"],
        &["verify", "everything"],
    ] {
        let output = lab(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.starts_with("error: "), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
