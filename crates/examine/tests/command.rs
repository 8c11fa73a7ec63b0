//! The command from outside: cases are written, answered, and scored.

use diagnose::{Facts, Report, Subject};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn examine(arguments: &[&str], here: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_examine"));
    command.args(arguments).env("COURSE_FOLDER", here);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn write(here: &Path, more: &[&str]) {
    let asked = ["write", "--norm", "layer", "--shape", "5,6", "cases"];
    let written = examine(&[&asked[..], more].concat(), here);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written));
}

/// What judges kernels is a sound check: it catches every mistake and accuses nobody, in every
/// type, whatever the format.
#[test]
fn the_diagnosis_passes_its_own_examination() {
    for (dtype, format) in [
        ("f64", "npz"),
        ("f32", "safetensors"),
        ("f16", "npz"),
        ("bf16", "safetensors"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        write(
            here,
            &["--dtype", dtype, "--format", format, "--eps", "1e-3"],
        );
        let mut answers = String::new();
        for file in fs::read_dir(here.join("cases")).unwrap() {
            let path = file.unwrap().path();
            if path.ends_with("examine.json") {
                continue;
            }
            let subject = Subject::read(std::slice::from_ref(&path), Facts::default()).unwrap();
            let right = Report::new(&subject).code() == 0;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            answers += &format!("{name} {}\n", if right { "right" } else { "wrong" });
        }
        fs::write(here.join("answers.txt"), answers).unwrap();
        let scored = examine(&["score", "cases", "answers.txt"], here);
        let told = text(&scored);
        assert!(
            told.contains(" wrong gradients caught, 0 of "),
            "{dtype}: {told}"
        );
        assert_eq!(scored.status.code(), Some(0), "{dtype}: {told}");
    }
}

#[test]
fn one_that_believes_everything_is_told_what_it_let_through() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, &["--cases", "9"]);
    let answers: Vec<String> = (1..=9).map(|n| format!("case-{n}: right")).collect();
    fs::write(here.join("answers.txt"), answers.join("\n")).unwrap();
    let scored = examine(&["score", "cases", "answers.txt"], here);
    assert_eq!(scored.status.code(), Some(1));
    let told = text(&scored);
    assert!(
        told.starts_with("0 of 6 wrong gradients caught, 0 of 3 right ones accused"),
        "{told}"
    );
    assert_eq!(told.matches("      see \"").count(), 6, "{told}");
    let json = examine(&["score", "cases", "answers.txt", "--json"], here);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["survived"].as_array().unwrap().len(), 6);
    fs::write(here.join("answers.txt"), answers[..4].join("\n")).unwrap();
    let scored = examine(&["score", "cases", "answers.txt"], here);
    assert_eq!(scored.status.code(), Some(2));
    assert_eq!(
        text(&scored),
        "error: answers.txt: 5 of 9 cases have no answer, case-5 is the first\n"
    );
}

/// Answers count for the cases that were written, and for no others.
#[test]
fn answers_to_other_cases_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(
        here,
        &["--cases", "9", "--format", "npz", "--dtype", "bf16"],
    );
    let answers: Vec<String> = (1..=9).map(|n| format!("case-{n}: right")).collect();
    fs::write(here.join("answers.txt"), answers.join("\n")).unwrap();
    let score = |code: i32, reason: &str| {
        let scored = examine(&["score", "cases", "answers.txt"], here);
        let told = text(&scored);
        assert_eq!(scored.status.code(), Some(code), "{told}");
        assert!(told.contains(reason), "{told}");
        assert!(code == 1 || told.lines().count() == 1, "{told}");
    };
    score(1, "0 of 6 wrong gradients caught");
    let settings = here.join("cases/examine.json");
    let written = fs::read_to_string(&settings).unwrap();
    for (from, to) in [
        ("\"seed\": 0", "\"seed\": 1"),
        ("\"digest\": \"", "\"digest\": \"0"),
    ] {
        let other = written.replace(from, to);
        assert_ne!(other, written);
        fs::write(&settings, other).unwrap();
        score(2, "written by another version");
    }
    let without: Vec<&str> = written.lines().filter(|l| !l.contains("digest")).collect();
    fs::write(&settings, without.join("\n").replace("\"npz\",", "\"npz\"")).unwrap();
    score(2, "missing field `digest`");
    fs::write(&settings, &written).unwrap();
    fs::copy(here.join("cases/case-2.npz"), here.join("cases/case-1.npz")).unwrap();
    score(2, "case-1.npz: this is not the case that was written");
    // What was answered may be put away.
    fs::remove_file(here.join("cases/case-1.npz")).unwrap();
    score(1, "0 of 6 wrong gradients caught");
}

#[cfg(unix)]
#[test]
fn a_command_answers_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, &["--cases", "9"]);
    fs::write(here.join("seen"), "").unwrap();
    // It runs where the reader is, and is handed a file that is there.
    let with = "test -f {} && echo {} >> seen; case {} in *case-1.*) exit 0;; *) exit 1;; esac";
    let run = examine(&["run", "cases", "--with", with], here);
    let told = text(&run);
    // The first case is called right, whatever it is.
    let told_of = |caught, accused| {
        let score =
            format!("{caught} of 6 wrong gradients caught, {accused} of 3 right ones accused");
        told.starts_with(&score)
    };
    assert!(told_of(6, 2) || told_of(5, 3), "{told}");
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(
        fs::read_to_string(here.join("seen"))
            .unwrap()
            .lines()
            .count(),
        9
    );
    for (with, reason) in [
        (
            "no-such-program {}",
            "case-1: the command ended with exit status: 127",
        ),
        ("true", "the command needs {}"),
        // As a script does that does not find what it imports.
        (
            "echo no module >&2; test {} = nothing",
            "exit code 1 for every case, right ones among them",
        ),
        (
            "echo no module >&2; test {} = nothing",
            "what it said last is: no module",
        ),
    ] {
        let run = examine(&["run", "cases", "--with", with], here);
        assert_eq!(run.status.code(), Some(2));
        let told = text(&run);
        assert!(
            told.starts_with("error: ") && told.contains(reason),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn what_cannot_be_done_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, &["--cases", "3"]);
    for (arguments, reason) in [
        (
            &["write", "--norm", "layer", "--shape", "5,6", "cases"][..],
            "is not empty",
        ),
        (&["write", "--norm", "layer", "new"], "--shape"),
        (
            &["write", "--norm", "layer", "--shape", "5,2", "new"],
            "whatever x is",
        ),
        (&["score", "none", "answers.txt"], "examine.json"),
        (&["score", "cases", "none.txt"], "none.txt"),
        (&["run", "cases"], "--with"),
    ] {
        let done = examine(arguments, here);
        let told = text(&done);
        assert_eq!(done.status.code(), Some(2), "{told}");
        assert!(
            told.starts_with("error: ") && told.contains(reason),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
