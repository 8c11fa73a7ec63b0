//! The programs themselves: every solution passes, every exercise as shipped is not
//! written yet, and each exercise is its solution with the answer taken out.

mod shared;

use shared::{names, read, shipped};
use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use verdict::{Moment, Outcome, Report, channel};

/// A program of this package; cargo builds them all for its tests, into one folder.
fn program(name: &str) -> PathBuf {
    let one = Path::new(env!("CARGO_BIN_EXE_central_difference"));
    one.with_file_name(format!("{name}{EXE_SUFFIX}"))
}

fn solution(name: &str) -> PathBuf {
    program(&format!("solution-{name}"))
}

fn run(program: &Path) -> (bool, Report) {
    let (success, report, _) = followed(program);
    (success, report)
}

/// The same, with the last of what it shows.
fn followed(program: &Path) -> (bool, Report, Option<Moment>) {
    let mut command = Command::new(program);
    let name = Path::new(program).file_stem().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("report");
    // Other tests run beside it.
    channel::ask(&mut command, &file, Duration::from_secs(600));
    let status = command.status().unwrap();
    let report = channel::read(&file).unwrap().unwrap();
    let moment = channel::seen(&file, None);
    fs::remove_dir_all(folder).unwrap();
    (status.success(), report, moment)
}

/// The one that trains.
const TRAINS: &str = "train_digits";

#[test]
fn every_solution_passes() {
    for name in names().into_iter().filter(|name| name != TRAINS) {
        let (success, report) = run(&solution(&name));
        assert!(success && report.passed(), "{report}");
        assert_eq!(report.exercise, name);
        assert!(!report.lines.is_empty() && report.lines.iter().all(|line| line.right));
    }
}

/// What the book shows where nothing runs is what the solution showed last, or nearly: the last
/// digits of a product depend on the machine, and so does all that follows from them. After a
/// change of the training or of its drawing, `UPDATE=1 cargo test -p exercises --test programs`
/// writes it anew.
#[test]
fn the_still_of_the_training_is_the_end_of_a_run_of_the_solution() {
    let (success, report, moment) = followed(&solution(TRAINS));
    assert!(success && report.passed(), "{report}");
    assert!(report.lines.iter().all(|line| line.right), "{report}");
    let moment = moment.unwrap();
    assert_eq!(moment.done, moment.of);
    let numbers = |text: &str| -> Vec<f64> {
        let parts = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    let [loss, train, test] = numbers(&moment.told)[..] else {
        panic!("{}", moment.told)
    };
    let json = format!(
        "{{\n  \"steps\": {},\n  \"loss\": {loss},\n  \"train\": {:.4},\n  \"test\": {:.4}\n}}\n",
        moment.of,
        train / 100.0,
        test / 100.0
    );
    let [page, phone] = &moment.drawing;
    let files = [
        ("own-tape.svg", page),
        ("own-tape-narrow.svg", phone),
        ("own-tape.json", &json),
    ];
    for (file, text) in files {
        let path = shared::path(&format!("../results/{file}"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap();
        // What is drawn, whatever the numbers are.
        let shape = |text: &str| {
            let word = |part: &str| part.chars().take_while(char::is_ascii_alphabetic).collect();
            text.split('<').map(word).collect::<Vec<String>>()
        };
        assert_eq!(shape(&committed), shape(text), "{file}");
        if file.ends_with("json") {
            for (old, new) in numbers(&committed).iter().zip(numbers(text)) {
                assert!(
                    (old - new).abs() < 0.02,
                    "{file} has {old}, and now it is {new}"
                );
            }
        }
    }
}

/// Most are not written yet; one with a bug to find is wrong.
#[test]
fn every_exercise_as_shipped_fails() {
    for name in names() {
        let stub = shipped(&name);
        let brings = |line: &&str| line.starts_with("mod ") || line.starts_with("use ");
        assert!(
            stub.lines().filter(|line| !brings(line)).count() < 32,
            "{stub}"
        );
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
