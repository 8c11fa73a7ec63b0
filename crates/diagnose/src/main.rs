//! The commands `probe` and `diagnose`, which `course probe` and `course diagnose` start.
#![forbid(unsafe_code)]

use anstream::{eprintln, print, println};
use clap::{Parser, Subcommand};
use diagnose::{Dtype, Facts, Report, Subject, picture, probe, write_text};
use std::path::PathBuf;
use std::process::ExitCode;
use verdict::cli::answer_telling;
use verdict::{COMMAND, beside_the_reader};

/// Judge a normalization that another program computed.
#[derive(Debug, Parser)]
#[command(name = "diagnose", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write an input on which mistakes show: x, gamma, beta and dy.
    ///
    /// The file is .safetensors or .npz, or a folder for .npy files. numpy has no bf16: there
    /// the numbers are stored in f32.
    #[command(override_usage = format!("{COMMAND} probe --norm <NORM> --shape <SHAPE> [OPTIONS] <FILE>"))]
    Probe {
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
        #[arg(long, default_value = "f32")]
        dtype: Dtype,
        /// Another seed makes other numbers.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Where to write.
        file: PathBuf,
    },
    /// Judge y, dx, dgamma, dbeta, running_mean and running_var, as far as they are there.
    ///
    /// The arrays may be in one file or in several: .safetensors, .npz, .npy, or a folder of .npy
    /// files. Exit code 0 when all is right, 1 when something is wrong, 2 when something could
    /// not be judged.
    ///
    /// All of every array is compared with what is right. The name of a mistake is looked for in
    /// at most 4096 elements of y and dx, whole rows or channels or examples, of which one may
    /// hold 32768; and in all of dgamma and dbeta, where of more than eight million values of x
    /// only single mistakes in the formula are looked for.
    #[command(override_usage = format!("{COMMAND} diagnose [OPTIONS] <FILES>..."))]
    Diagnose {
        /// Files with x, gamma, beta and dy, and with what was computed from them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// batch, layer, rms or group, if no file says `norm`.
        #[arg(long)]
        norm: Option<String>,
        /// What was added to the variance, if no file says `eps`: in the metadata of .safetensors, or
        /// an array of one number.
        #[arg(long)]
        eps: Option<f64>,
        /// Over how many of the last axes Layer Norm and RMS Norm go; as many as gamma has, if
        /// left out.
        #[arg(long, value_name = "AXES")]
        normalized: Option<usize>,
        /// The groups of Group Norm.
        #[arg(long, value_name = "COUNT")]
        groups: Option<usize>,
        /// The weight of a new running statistic; Batch Norm alone has some.
        #[arg(long)]
        momentum: Option<f64>,
        /// What arrays of f32 stand for: bf16 from numpy, which has none.
        #[arg(long)]
        dtype: Option<Dtype>,
        /// Arrays that must be there, such as dx,dgamma,dbeta: without one nothing is judged.
        #[arg(long, value_delimiter = ',', value_name = "NAMES")]
        expect: Vec<String>,
        /// Print JSON, and nothing else: of an error, too.
        #[arg(long)]
        json: bool,
        /// Draw the errors into a file, which must end in .svg.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    // Looked for before anything is understood: a program that reads JSON is told of a flag that
    // nobody knows in the same way.
    let json = std::env::args_os().any(|argument| argument == "--json");
    let tell = |why: &str| match json {
        true => println!(
            "{:#}",
            serde_json::json!({ "outcome": "error", "error": why })
        ),
        false => eprintln!("error: {why}"),
    };
    answer_telling(tell, |arguments: Arguments| run(arguments.command))
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Probe {
            norm,
            shape,
            normalized,
            groups,
            eps,
            dtype,
            seed,
            file,
        } => {
            let facts = Facts {
                norm: Some(norm),
                normalized,
                groups,
                ..Facts::default()
            };
            let contents = probe(facts.norm(None)?, &shape, eps, dtype, seed)?;
            contents.write(&beside_the_reader(&file))?;
            let names: Vec<&str> = contents.entries.keys().map(String::as_str).collect();
            let file = file.display();
            println!("{file}: {} in {dtype}", names.join(", "));
            println!(
                "Save y, dx, dgamma, dbeta, any of them, in a file of their own, and \
                 `{COMMAND} diagnose {file} THAT_FILE`"
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Diagnose {
            files,
            norm,
            eps,
            normalized,
            groups,
            momentum,
            dtype,
            expect,
            json,
            picture: drawn,
        } => {
            if let Some(file) = &drawn
                && file.extension().is_none_or(|end| end != "svg")
            {
                let file = file.display();
                return Err(format!(
                    "--picture {file}: the picture is SVG; end it in .svg"
                ));
            }
            let facts = Facts {
                norm,
                eps,
                normalized,
                groups,
                dtype,
                momentum,
                expected: expect,
            };
            let files: Vec<PathBuf> = files.iter().map(|file| beside_the_reader(file)).collect();
            let subject = Subject::read(&files, facts)?;
            let mut report = Report::new(&subject);
            if let Some(file) = drawn {
                // The verdict stands, with the picture or without.
                let picture = picture(&subject, &report.judged);
                if let Err(why) = write_text(&beside_the_reader(&file), &picture) {
                    report.notes.push(format!("there is no picture: {why}"));
                }
            }
            if json {
                println!("{}", report.json());
            } else {
                print!("{report}");
            }
            Ok(ExitCode::from(report.code()))
        }
    }
}
