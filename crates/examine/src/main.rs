//! The command `examine`, which `course examine` starts.
#![forbid(unsafe_code)]

use anstream::{print, println};
use clap::{Parser, Subcommand};
use examine::{Exam, Score, answers, ask};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use verdict::cli::answer;
use verdict::{beside_the_reader, command};

/// Judge a gradient check of your own: which mistakes does it catch?
///
/// Exit code 0 when it catches all and accuses no right gradients, 1 when not, 2 when it could not
/// be judged.
#[derive(Debug, Parser)]
#[command(name = "examine", bin_name = command("examine"), version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write cases: x, gamma, beta and dy, and claimed dx, dgamma and dbeta, right or wrong.
    Write {
        /// batch, layer, rms or group.
        #[arg(long)]
        norm: String,
        /// The shape of x, such as 6,8.
        #[arg(long, value_delimiter = ',', required = true)]
        shape: Vec<usize>,
        /// Over how many of the last axes Layer Norm and RMS Norm go.
        #[arg(long, value_name = "AXES")]
        normalized: Option<usize>,
        /// The groups of Group Norm.
        #[arg(long, value_name = "COUNT")]
        groups: Option<usize>,
        /// What is added to the variance.
        #[arg(long, default_value_t = 1e-5)]
        eps: f64,
        /// f64, f32, f16 or bf16.
        #[arg(long, default_value = "f64")]
        dtype: String,
        /// Another seed makes other numbers, in another order.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How many cases; without it every mistake has one.
        #[arg(long, value_name = "COUNT")]
        cases: Option<usize>,
        /// safetensors or npz.
        #[arg(long, default_value = "safetensors")]
        format: String,
        /// A new folder.
        folder: PathBuf,
    },
    /// Score the answers of a check that has read all cases.
    ///
    /// A JSON object such as {"case-001": "right", "case-002": "wrong"}, or a line for each case
    /// with its name and `right` or `wrong`.
    Score {
        /// The folder of the cases.
        folder: PathBuf,
        /// The file with the answers.
        answers: PathBuf,
        /// Print JSON, and nothing else.
        #[arg(long)]
        json: bool,
    },
    /// Run a command for each case, and score its exit codes: 0 for right, 1 for wrong.
    Run {
        /// The folder of the cases.
        folder: PathBuf,
        /// The command, with {} where the file belongs: "python check.py {}".
        #[arg(long, value_name = "COMMAND")]
        with: String,
        /// Print JSON, and nothing else.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    answer(|arguments: Arguments| run(arguments.command))
}

fn run(asked: Command) -> Result<ExitCode, String> {
    match asked {
        Command::Write {
            norm,
            shape,
            normalized,
            groups,
            eps,
            dtype,
            seed,
            cases,
            format,
            folder,
        } => {
            let exam = Exam {
                norm,
                normalized,
                groups,
                shape,
                eps,
                dtype,
                seed,
                cases,
                format,
            };
            let written = exam.write(&beside_the_reader(&folder))?;
            let folder = folder.display();
            println!(
                "{folder}: {} cases, some right and most wrong",
                written.len()
            );
            let score = command(&format!("examine score {folder} ANSWERS"));
            let run = command(&format!("examine run {folder} --with \"COMMAND {{}}\""));
            println!("Say of each whether it is right, and `{score}`; or `{run}`");
            Ok(ExitCode::SUCCESS)
        }
        Command::Score {
            folder,
            answers: file,
            json,
        } => {
            let (_, cases) = Exam::read(&beside_the_reader(&folder))?;
            let path = beside_the_reader(&file);
            let about = |why: String| format!("{}: {why}", file.display());
            let text = std::fs::read_to_string(path).map_err(|why| about(why.to_string()))?;
            let answers = answers(&text).map_err(about)?;
            let score = Score::new(&cases, &answers).map_err(about)?;
            Ok(told(&score, json))
        }
        Command::Run { folder, with, json } => {
            let folder = beside_the_reader(&folder);
            let (exam, cases) = Exam::read(&folder)?;
            let here = beside_the_reader(Path::new("."));
            let answers = ask(&exam, &cases, &absolute(&folder)?, &with, &here)?;
            Ok(told(&Score::new(&cases, &answers)?, json))
        }
    }
}

/// The command runs where the reader is, and not where this program does.
fn absolute(folder: &Path) -> Result<PathBuf, String> {
    let told = |why: std::io::Error| format!("{}: {why}", folder.display());
    std::path::absolute(folder).map_err(told)
}

fn told(score: &Score, json: bool) -> ExitCode {
    if json {
        println!("{}", score.json());
    } else {
        print!("{score}");
    }
    ExitCode::from(u8::from(!score.is_sound()))
}
