//! The command `lab`, which `course lab` starts.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::{print, println};
use clap::{Args, Parser, Subcommand};
use verdict::cli::answer;
use verdict::{COMMAND, beside_the_reader};

/// The experiments behind the book.
#[derive(Debug, Parser)]
#[command(name = "lab", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an experiment of the book, or list them.
    #[command(override_usage = format!("{COMMAND} lab [OPTIONS] [NAME]"))]
    Run {
        /// The experiment, or "all"; they are listed when left out.
        name: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Draw the charts of an experiment again, or of "all", from its results; nothing is run.
    #[command(override_usage = format!("{COMMAND} lab draw <NAME>"))]
    Draw {
        /// The experiment, or "all".
        name: String,
        /// The folder with the results, if it is not that of the book.
        #[arg(long, value_name = "FOLDER")]
        from: Option<PathBuf>,
    },
}

/// How an experiment is run.
#[derive(Args, Debug, Default, PartialEq)]
struct How {
    /// A small form that takes seconds; it answers nothing and gives no verdict.
    #[arg(long)]
    quick: bool,
    /// Another number of seeds than the protocol's.
    #[arg(long, value_name = "COUNT")]
    seeds: Option<usize>,
    /// How many runs at a time; one for each core when left out.
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Start afresh, even if an interrupted run can be taken up.
    #[arg(long)]
    fresh: bool,
    /// Write the results here, and leave those of the book alone.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    answer(|arguments: Arguments| {
        // Without it, Ctrl-C ends the process all the same, and keeps as much; it only says less.
        let _ = ctrlc::set_handler(|| lab::interrupted());
        run(arguments.command).map_err(|error| error.to_string())?;
        Ok(ExitCode::SUCCESS)
    })
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Run { name: None, how } if how == How::default() => {
            print!("{}", lab::overview()?);
        }
        Command::Run { name: None, .. } => {
            return Err(format!(
                "these options are for an experiment: name one, as in `{COMMAND} lab digits --quick`, or `all`; `{COMMAND} lab` lists them"
            )
            .into());
        }
        Command::Run {
            name: Some(name),
            how,
        } => {
            let options = lab::Options {
                quick: how.quick,
                seeds: how.seeds,
                threads: how.threads,
                fresh: how.fresh,
                out: how.out.as_deref().map(beside_the_reader),
                ..lab::Options::default()
            };
            if name == "all" {
                lab::run_all(&options, |experiment, outcome| {
                    println!("# {}\n\n{outcome}", experiment.name);
                })?;
            } else {
                print!("{}", lab::run(&name, &options)?);
            }
        }
        Command::Draw { name, from } => {
            let folder = from.as_deref().map_or_else(lab::results, beside_the_reader);
            if name == "all" {
                for lab::Experiment { name, .. } in lab::experiments() {
                    println!("# {name}\n\n{}", lab::draw(name, &folder)?);
                }
            } else {
                print!("{}", lab::draw(&name, &folder)?);
            }
        }
    }
    Ok(())
}
