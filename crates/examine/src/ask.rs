//! A command that is run for each case, and answers by its exit code.

use crate::answers::Answers;
use crate::exam::{Case, Exam};
use std::path::Path;
use std::process::{Command, Stdio};

/// Stands in the command for the file of a case.
const FILE: &str = "{}";

/// Runs `command` for each case of a folder, in `here`, with the case's file in the place of
/// `{}`: exit code 0 calls the gradients right, 1 calls them wrong. What it prints goes nowhere.
///
/// # Errors
/// One line, when the command cannot be run, or ends with another code; and when it calls every
/// case wrong, for many a script ends with 1 when it breaks off.
pub fn ask(
    exam: &Exam,
    cases: &[Case],
    folder: &Path,
    command: &str,
    here: &Path,
) -> Result<Answers, String> {
    if !command.contains(FILE) {
        return Err(format!(
            "the command needs {FILE} where the file of a case belongs, as in `python check.py {FILE}`"
        ));
    }
    let mut answers = Answers::new();
    let mut complaint = String::new();
    for case in cases {
        let file = exam.file(folder, case);
        let told = |what: String| format!("{}: {what}", case.name);
        let output = shell(&command.replace(FILE, &quoted(&file)))
            .current_dir(here)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|why| told(why.to_string()))?;
        let (status, said) = (output.status, String::from_utf8_lossy(&output.stderr));
        if let Some(last) = said.lines().rfind(|line| !line.trim().is_empty()) {
            complaint = format!("; what it said last is: {}", last.trim());
        }
        let right = match status.code() {
            Some(0) => true,
            Some(1) => false,
            _ => {
                return Err(told(format!(
                    "the command ended with {status}, and must end with exit code 0 for right \
                     or 1 for wrong; run it by hand on {}",
                    file.display()
                )));
            }
        };
        answers.insert(case.name.clone(), right);
    }
    match cases.first() {
        Some(first) if answers.values().all(|right| !right) => Err(format!(
            "the command ended with exit code 1 for every case, right ones among them, as it does \
             where it breaks off; run it by hand on {}{complaint}",
            exam.file(folder, first).display()
        )),
        _ => Ok(answers),
    }
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}

#[cfg(unix)]
fn quoted(file: &Path) -> String {
    format!("'{}'", file.display().to_string().replace('\'', r"'\''"))
}

#[cfg(windows)]
fn shell(line: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut command = Command::new("cmd");
    command.raw_arg("/C").raw_arg(line);
    command
}

#[cfg(windows)]
fn quoted(file: &Path) -> String {
    format!("\"{}\"", file.display())
}
