//! The programs themselves: every solution passes, every exercise as shipped is not
//! written yet, and each exercise is its solution with the answer taken out.

use exercises::{Outcome, REPORT_VARIABLE, Report};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Name, exercise, solution.
const PROGRAMS: [(&str, &str, &str); 4] = [
    (
        "central_difference",
        env!("CARGO_BIN_EXE_central_difference"),
        env!("CARGO_BIN_EXE_solution-central_difference"),
    ),
    (
        "bn_forward",
        env!("CARGO_BIN_EXE_bn_forward"),
        env!("CARGO_BIN_EXE_solution-bn_forward"),
    ),
    (
        "bn_backward_staged",
        env!("CARGO_BIN_EXE_bn_backward_staged"),
        env!("CARGO_BIN_EXE_solution-bn_backward_staged"),
    ),
    (
        "bn_backward_closed_form",
        env!("CARGO_BIN_EXE_bn_backward_closed_form"),
        env!("CARGO_BIN_EXE_solution-bn_backward_closed_form"),
    ),
];

fn run(program: &str) -> (bool, Report) {
    let output = Command::new(program)
        .env(REPORT_VARIABLE, "json")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    (output.status.success(), report)
}

/// The exercise as shipped, and whether the reader has left it so.
fn shipped(name: &str) -> (String, bool) {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let solution = fs::read_to_string(book.join(format!("solutions/{name}.rs"))).unwrap();
    let mut stub = String::new();
    let mut inside = false;
    for line in solution.lines() {
        let text = line.trim_start();
        if text.starts_with("// ANCHOR: solution") {
            inside = true;
            stub += &format!("{}todo!()\n", &line[..line.len() - text.len()]);
        } else if text.starts_with("// ANCHOR_END: solution") {
            inside = false;
        } else if !inside {
            stub += &format!("{line}\n");
        }
    }
    let file = fs::read_to_string(book.join(format!("exercises/{name}.rs"))).unwrap();
    (stub.clone(), file == stub)
}

#[test]
fn every_solution_passes() {
    for (name, _, solution) in PROGRAMS {
        let (success, report) = run(solution);
        assert!(success && report.passed(), "{report}");
        assert_eq!(report.exercise, name);
        assert!(!report.lines.is_empty() && report.lines.iter().all(|line| line.right));
    }
}

#[test]
fn every_exercise_as_shipped_is_not_written_yet() {
    for (name, exercise, _) in PROGRAMS {
        let (stub, untouched) = shipped(name);
        assert!(
            stub.contains("todo!()") && stub.lines().count() < 32,
            "{stub}"
        );
        if !untouched {
            println!("{name} has been worked on; its program is not tested");
            continue;
        }
        let (success, report) = run(exercise);
        assert!(!success);
        assert_eq!(report.outcome, Outcome::Unwritten, "{report}");
    }
}

#[test]
fn without_the_variable_the_report_is_for_people() {
    let output = Command::new(PROGRAMS[0].2)
        .env_remove(REPORT_VARIABLE)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("central_difference: it is the central difference"),
        "{text}"
    );
}
