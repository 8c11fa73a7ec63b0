//! The programs themselves: every solution passes, every exercise as shipped is not
//! written yet, and each exercise is its solution with the answer taken out.

mod shared;

use shared::{names, read, shipped};
use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use verdict::{Outcome, Report, channel};

/// A program of this package; cargo builds them all for its tests, into one folder.
fn program(name: &str) -> PathBuf {
    let one = Path::new(env!("CARGO_BIN_EXE_central_difference"));
    one.with_file_name(format!("{name}{EXE_SUFFIX}"))
}

fn solution(name: &str) -> PathBuf {
    program(&format!("solution-{name}"))
}

fn run(program: &Path) -> (bool, Report) {
    let mut command = Command::new(program);
    let name = Path::new(program).file_stem().unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    channel::ask(&mut command, &file);
    let status = command.status().unwrap();
    let report = channel::read(&file).unwrap().unwrap();
    fs::remove_file(file).unwrap();
    (status.success(), report)
}

#[test]
fn every_solution_passes() {
    for name in names() {
        let (success, report) = run(&solution(&name));
        assert!(success && report.passed(), "{report}");
        assert_eq!(report.exercise, name);
        assert!(!report.lines.is_empty() && report.lines.iter().all(|line| line.right));
    }
}

/// Most are not written yet; one with a bug to find is wrong.
#[test]
fn every_exercise_as_shipped_fails() {
    for name in names() {
        let stub = shipped(&name);
        assert!(stub.lines().count() < 32, "{stub}");
        let open = stub.contains("todo!()") || stub.contains("Undecided");
        let has_a_bug = name.ends_with("find_the_bug") || name.starts_with("review_");
        assert!(open || has_a_bug, "{stub}");
        let expected = if open {
            Outcome::Unwritten
        } else {
            Outcome::Wrong
        };
        if read(&format!("{name}.rs")) != stub {
            println!("{name} has been worked on; its program is not tested");
            continue;
        }
        let (success, report) = run(&program(&name));
        assert!(!success);
        assert_eq!(report.outcome, expected, "{report}");
    }
}

#[test]
fn without_the_variable_the_report_is_for_people() {
    let mut command = Command::new(solution("central_difference"));
    channel::ask_nothing(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("central_difference: it is the central difference"),
        "{text}"
    );
}
