//! How the commands of this crate, and those that judge likewise, meet their reader.

use std::process::ExitCode;

use anstream::{eprintln, print};
use clap::Parser;

/// The exit code when nothing could be judged: a flag, a file, data that prove nothing.
pub const FAILED: u8 = 2;

/// Reads the arguments and does what they ask for. Help goes to the reader as it is; a wrong flag,
/// and whatever else goes wrong, gives one line and the exit code [`FAILED`].
pub fn answer<A: Parser>(run: impl FnOnce(A) -> Result<ExitCode, String>) -> ExitCode {
    let arguments = match A::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    run(arguments).unwrap_or_else(|why| {
        eprintln!("error: {why}");
        ExitCode::from(FAILED)
    })
}

fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        print!("{}", error.render().ansi());
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    // What is missing stands below the first line, and then comes the usage.
    let told =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let told: Vec<&str> = told.filter(|line| !line.is_empty()).collect();
    eprintln!("{}", told.join(" "));
    ExitCode::from(FAILED)
}
