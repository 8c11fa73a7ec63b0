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
    let mut lines = text.lines();
    for experiment in experiments() {
        let line = lines.next().unwrap();
        assert!(line.starts_with(experiment.name), "{line}");
        assert!(line.ends_with(experiment.about), "{line}");
        // How long it takes, of each: a number and its unit.
        let time = line.trim_end_matches(experiment.about).trim_end();
        assert!(time.ends_with(" s") || time.ends_with(" min"), "{line}");
        if let Some(claim) = experiment.claim {
            let line = lines.next().unwrap();
            assert!(
                line.contains(claim.id) && line.contains(claim.text),
                "{line}"
            );
        }
    }
    assert!(text.contains("`cargo run -- lab NAME`"), "{text}");
}

#[test]
fn help_is_of_the_command_that_a_reader_types() {
    for (arguments, usage) in [
        (["run", "--help"], "lab [OPTIONS] [NAME]"),
        (["draw", "--help"], "lab draw <NAME>"),
    ] {
        let output = lab(&arguments);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let usage = format!("Usage: cargo run -- {usage}\n");
        assert!(text.contains(&usage), "{text}");
    }
}

/// What a run in another folder leaves is where cargo has built the lab, and not in the
/// folder `target` of the checkout, which may not exist.
#[test]
fn quick_results_go_where_cargo_builds() {
    let built = tempfile::tempdir().unwrap();
    std::fs::write(built.path().join("CACHEDIR.TAG"), "").unwrap();
    let folder = built.path().join("release");
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("lab");
    std::fs::copy(env!("CARGO_BIN_EXE_lab"), &program).unwrap();
    let output = Command::new(&program)
        .args(["run", "choosing", "--quick"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let data = built.path().join("lab/choosing.json");
    assert!(data.is_file(), "{text}");
}

/// Ctrl-C says what is kept, a second lab is told that the first is at work, and the same
/// command goes on.
#[cfg(unix)]
#[test]
fn an_interrupted_run_says_what_is_kept_and_goes_on() {
    use std::io::Read;
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let arguments = ["run", "digits", "--quick", "--seeds", "4", "--threads", "1"];
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(arguments).args(["--out", out]);
        command
    };
    let mut running = command()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = || {
        let files = std::fs::read_dir(out)
            .unwrap()
            .map(|file| file.unwrap().path());
        let texts = files.map(|path| std::fs::read_to_string(path).unwrap_or_default());
        texts.collect::<String>()
    };
    while journal().lines().count() < 3 {
        assert!(running.try_wait().unwrap().is_none(), "it ended too soon");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let second = command().output().unwrap();
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{text}");
    assert!(text.contains("is running already"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");

    let interrupt = Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let mut text = String::new();
    let mut pipe = running.stderr.take().unwrap();
    pipe.read_to_string(&mut text).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{text}");
    let kept = journal().lines().count() - 1;
    let said = format!("{kept} of the 24 runs of digits are done and kept");
    assert!(text.contains(&said), "{text}");

    let output = command().output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains(&format!("going on after {kept} that")),
        "{text}"
    );
    assert!(folder.path().join("digits.json").is_file());
}

#[test]
fn what_makes_no_sense_is_one_line() {
    for arguments in [
        &["run", "digitz"][..],
        &["draw"],
        &["run", "digits", "--sedes", "2"],
        &["run", "digits", "--seeds", "many"],
        &["run", "digits", "--quick", "--seeds", "0"],
        &["run", "digits", "--quick", "--threads", "0"],
        &[
            "run",
            "digits",
            "--quick",
            "--seeds",
            "18446744073709551615",
        ],
        &["run", "--quick"],
        &["run", "--seeds", "2"],
        &["verify"],
    ] {
        let output = lab(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.starts_with("error: "), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let asks = text.contains("not provided: <NAME>");
        assert_eq!(asks, arguments == ["draw"], "{text}");
    }
}
