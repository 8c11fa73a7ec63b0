//! How every command meets its reader: help as it is, and one line for what cannot be done.

use std::process::ExitCode;

use anstream::{eprintln, print};
use clap::Parser;
use clap::error::ErrorKind;

/// The exit code when nothing could be done: a flag, a file, data that prove nothing.
pub const FAILED: u8 = 2;

/// Reads the arguments and does what they ask for. Help goes to the reader as it is; a wrong flag,
/// and whatever else goes wrong, gives one line and the exit code [`FAILED`].
pub fn answer<A: Parser>(run: impl FnOnce(A) -> Result<ExitCode, String>) -> ExitCode {
    answer_telling(|why| eprintln!("error: {why}"), run)
}

/// The same, where what is wrong is told in another way than in a line of its own: `tell` is given
/// it without the word "error".
pub fn answer_telling<A: Parser>(
    tell: impl FnOnce(&str),
    run: impl FnOnce(A) -> Result<ExitCode, String>,
) -> ExitCode {
    let why = match A::try_parse() {
        Ok(arguments) => match run(arguments) {
            Ok(code) => return code,
            Err(why) => why,
        },
        Err(error) if error.use_stderr() => {
            let line = one_line(&error);
            line.trim_start_matches("error: ").to_owned()
        }
        Err(help) => return refuse(&help, ""),
    };
    tell(&why);
    ExitCode::from(FAILED)
}

/// Help for whoever asked for it, or one line on what is wrong with the arguments, and `advice`
/// behind it.
pub fn refuse(error: &clap::Error, advice: &str) -> ExitCode {
    if !error.use_stderr() {
        print!("{}", error.render().ansi());
        return ExitCode::SUCCESS;
    }
    eprintln!("{}{advice}", one_line(error));
    ExitCode::from(FAILED)
}

fn one_line(error: &clap::Error) -> String {
    // Without a command clap gives the help, which is no line.
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "error: a command is missing; `--help` lists them".to_owned();
    }
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    // What is missing stands below the first line, and then comes the usage.
    let told =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let told: Vec<&str> = told.filter(|line| !line.is_empty()).collect();
    told.join(" ").replace(" tip: ", "; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Subcommand;

    #[derive(Debug, Parser)]
    #[command(name = "program")]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Debug, Subcommand)]
    enum Command {
        Draw {
            #[arg(long)]
            seeds: Option<u8>,
            name: String,
        },
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for (arguments, told) in [
            (&[][..], "error: a command is missing; `--help` lists them"),
            (
                &["draw"],
                "error: the following required arguments were not provided: <NAME>",
            ),
            (
                &["draw", "x", "--seds", "3"],
                "error: unexpected argument '--seds' found; a similar argument exists: '--seeds'",
            ),
            (
                &["draw", "x", "--seeds", "-"],
                "error: invalid value '-' for '--seeds <SEEDS>': invalid digit found in string",
            ),
        ] {
            let given = ["program"].iter().chain(arguments);
            let error = Arguments::try_parse_from(given).unwrap_err();
            assert_eq!(one_line(&error), told);
        }
    }
}
