//! The command line.

use crate::book::{self, Problems};
use crate::catalogue::{Catalogue, Exercise};
use crate::check;
use crate::compile::Compiler;
use crate::digest::fingerprint;
use crate::exit::{FAILED, NOT_PASSED};
use crate::files::{self, Lock};
use crate::follow::Bar;
use crate::live;
use crate::program;
use crate::progress::{Progress, State};
use crate::prose::Layout;
use crate::workspace::Workspace;
use crate::{stub, terminal};
use anstream::{eprintln, print, println};
use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use verdict::{COMMAND, command};

/// Serves the book and checks the exercises as they are saved.
#[derive(Debug, Parser)]
#[command(name = "course", bin_name = COMMAND, version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Serve on this port; an error when it is taken.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Open no browser.
    #[arg(long)]
    no_browser: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every exercise and how far it is.
    List,
    /// Check one exercise, or all of them; exit code 1 when one does not pass.
    Check {
        /// The exercise; all of them when left out.
        name: Option<String>,
    },
    /// Show the next hint of an exercise; all of them again after the last.
    Hint {
        /// The exercise; the first that has not passed when left out.
        name: Option<String>,
        /// Show this hint and the ones before it.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
        number: Option<u8>,
    },
    /// Print the solution of an exercise.
    Solution {
        /// The exercise.
        name: String,
    },
    /// Put an exercise back to how it was shipped; keeps a copy of what you wrote.
    Reset {
        /// The exercise.
        name: String,
    },
    /// Bring back what a reset put aside; keeps a copy of what is there now.
    Restore {
        /// The exercise.
        name: String,
        /// The number of the backup; the newest when left out.
        #[arg(long, value_name = "NUMBER")]
        number: Option<u32>,
    },
    /// Check each exercise as it is saved, without serving the book.
    Watch,
    /// Check the gradient of every operation and every layer; exit code 1 when one is wrong.
    Verify,
    /// Run an experiment of the book, draw it again, or list them; `lab --help` tells more.
    #[command(disable_help_flag = true)]
    Lab {
        /// The experiment and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write an input on which the mistakes of a normalization show; `probe --help` tells more.
    #[command(disable_help_flag = true)]
    Probe {
        /// The file and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Judge what another program computed from such an input; `diagnose --help` tells more.
    #[command(disable_help_flag = true)]
    Diagnose {
        /// The files and the options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Judge a gradient check of your own by the mistakes it catches; `examine --help` tells more.
    #[command(disable_help_flag = true)]
    Examine {
        /// What to do, and the options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Compare the speed of this machine with those of the book, in a minute; `speed --help` tells more.
    #[command(disable_help_flag = true)]
    Speed {
        /// The options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Build the book.
    Book {
        #[command(subcommand)]
        command: BookCommand,
    },
}

#[derive(Debug, Subcommand)]
enum BookCommand {
    /// Build the pages into book/build.
    Build,
    /// Name the anchors that no listing uses; exit code 1 when there are any.
    Anchors,
    /// Measure the numbers that the chapters quote anew, and write their files.
    Numbers {
        /// Those of these measurements only; of all when left out.
        names: Vec<OsString>,
    },
    /// Make the module and the stills of the live figures anew; needs rustup's target for the browser.
    Live {
        /// Compare what is there with what its sources give, and write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Write a folder that any host of static files serves; `publish --help` tells more.
    #[command(disable_help_flag = true)]
    Publish {
        /// The folder, and its address.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Print the book into a PDF; needs a Chromium.
    #[command(disable_help_flag = true)]
    Pdf {
        /// The file and the options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write the book as an EPUB.
    #[command(disable_help_flag = true)]
    Epub {
        /// The file.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Reads the command line, does what it says, and returns the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            // The problems of the book are a list; everything else is one line.
            match error.downcast_ref::<Problems>() {
                Some(problems) => eprintln!("{problems}"),
                None => eprintln!("error: {error:#}"),
            }
            ExitCode::from(FAILED)
        }
    }
}

/// What clap says of these is not what helps; of all else it is, with a word on where to look.
fn refuse(error: &clap::Error) -> ExitCode {
    let given: Vec<OsString> = env::args_os().skip(1).collect();
    let asked = |name: &&str| given.iter().any(|argument| argument == name);
    let kind = error.kind();
    let missing = kind == ErrorKind::MissingRequiredArgument;
    if missing && let Some(name) = ["reset", "solution"].into_iter().find(|name| asked(name)) {
        eprintln!(
            "error: `{name}` needs the name of an exercise, as in `{}`; `{}` shows them all",
            command(&format!("{name} bn_forward")),
            command("list")
        );
        return ExitCode::from(FAILED);
    }
    if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprintln!(
            "error: `book` needs one of build, publish, pdf, epub, anchors, numbers and live, as in `{}`",
            command("book build")
        );
        return ExitCode::from(FAILED);
    }
    verdict::cli::refuse(error, &format!(" (see `{}`)", command("--help")))
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let Some(command) = &arguments.command else {
        let options = live::Options {
            port: arguments.port,
            browser: !arguments.no_browser,
            serve: true,
        };
        live::run(&workspace, options)?;
        return Ok(ExitCode::SUCCESS);
    };
    match command {
        Command::List => {
            let catalogue = Catalogue::load(&workspace)?;
            let progress = Progress::load(&workspace)?;
            let file = |e: &Exercise| {
                let bytes = check::source(&workspace, &e.name)?;
                Ok(bytes.as_deref().map(fingerprint))
            };
            let labels = book::labels(&workspace).unwrap_or_default();
            let layout = Layout::new(&labels);
            println!("{}", terminal::list(&catalogue, &progress, file, &layout));
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { name } => check(&workspace, name.as_deref()),
        Command::Hint { name, number } => hint(&workspace, name.as_deref(), *number),
        Command::Solution { name } => {
            let catalogue = Catalogue::load(&workspace)?;
            let path = workspace.solution(&catalogue.get(name)?.name);
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", workspace.relative(&path)))?;
            print!("{}", stub::without_marks(&text));
            Ok(ExitCode::SUCCESS)
        }
        Command::Reset { name } => reset(&workspace, name),
        Command::Restore { name, number } => restore(&workspace, name, *number),
        Command::Watch => {
            let options = live::Options {
                port: None,
                browser: false,
                serve: false,
            };
            live::run(&workspace, options)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify => program::run(&workspace, "verify", &[]),
        Command::Lab { arguments } => {
            // `lab digits` runs the experiment, `lab draw digits` only draws it again.
            let draws = arguments.first().is_some_and(|first| first == "draw");
            let run = (!draws).then_some(OsStr::new("run"));
            let given = arguments.iter().map(OsString::as_os_str);
            let arguments: Vec<&OsStr> = run.into_iter().chain(given).collect();
            program::run(&workspace, "lab", &arguments)
        }
        Command::Probe { arguments } => passed_on(&workspace, "diagnose", "probe", arguments),
        Command::Diagnose { arguments } => passed_on(&workspace, "diagnose", "diagnose", arguments),
        Command::Examine { arguments } => {
            let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
            program::run(&workspace, "examine", &arguments)
        }
        Command::Speed { arguments } => passed_on(&workspace, "benches", "--mine", arguments),
        Command::Book {
            command: BookCommand::Numbers { names },
        } => {
            let names: Vec<&OsStr> = names.iter().map(OsString::as_os_str).collect();
            program::run(&workspace, "numbers", &names)
        }
        Command::Book {
            command: BookCommand::Live { check },
        } => {
            let arguments = check.then_some(OsStr::new("--check"));
            program::run(&workspace, "press", arguments.as_slice())
        }
        Command::Book {
            command: BookCommand::Publish { arguments },
        } => passed_on(&workspace, "bind", "publish", arguments),
        Command::Book {
            command: BookCommand::Pdf { arguments },
        } => passed_on(&workspace, "bind", "pdf", arguments),
        Command::Book {
            command: BookCommand::Epub { arguments },
        } => passed_on(&workspace, "bind", "epub", arguments),
        Command::Book { command } => {
            let built = book::build(&workspace, &workspace.build_dir())?;
            if matches!(command, BookCommand::Anchors) {
                for (file, anchor) in &built.unused_anchors {
                    let file = workspace.relative(file);
                    println!("{file}: no listing uses the anchor `{anchor}`");
                }
                return Ok(exit(built.unused_anchors.is_empty()));
            }
            println!("The book is in {}", workspace.build_dir().display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A command of another program, with its arguments as they were given.
fn passed_on(
    workspace: &Workspace,
    program: &str,
    command: &str,
    arguments: &[OsString],
) -> Result<ExitCode> {
    let given = arguments.iter().map(OsString::as_os_str);
    let arguments: Vec<&OsStr> = [OsStr::new(command)].into_iter().chain(given).collect();
    program::run(workspace, program, &arguments)
}

fn exit(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_PASSED)
    }
}

fn check(workspace: &Workspace, name: Option<&str>) -> Result<ExitCode> {
    let catalogue = Catalogue::load(workspace)?;
    let chosen = match name {
        Some(name) => vec![catalogue.get(name)?],
        None => catalogue.exercises.iter().collect(),
    };
    // A progress file that cannot be read is told before anything is compiled.
    Progress::load(workspace)?;
    let labels = book::labels(workspace).unwrap_or_default();
    let layout = Layout::new(&labels);
    let (mut passed, mut compiler) = (0, Compiler::default());
    for exercise in &chosen {
        let mut bar = Bar::new(&exercise.name);
        let mut follow = |step| {
            bar.show(&step);
            true
        };
        let checked = check::check(&mut compiler, workspace, exercise, &mut follow)?;
        bar.clear();
        let verdict = terminal::verdict(&exercise.name, &checked.verdict, &layout);
        println!("{verdict}{}", terminal::printed(&checked.printed));
        let progress = Progress::update(workspace, |progress| {
            checked.record(&exercise.name, progress);
        })?;
        if checked.verdict.passed() {
            passed += 1;
            if name.is_some() {
                let told = terminal::after_success(exercise, &catalogue, &progress, &layout);
                println!("{told}");
            }
        }
    }
    if chosen.len() > 1 {
        println!("{passed} of {} passed", chosen.len());
    }
    Ok(exit(passed == chosen.len()))
}

fn hint(workspace: &Workspace, name: Option<&str>, number: Option<u8>) -> Result<ExitCode> {
    let catalogue = Catalogue::load(workspace)?;
    let progress = Progress::load(workspace)?;
    let exercise = match name {
        Some(name) => catalogue.get(name)?,
        None => {
            let open = |e: &&Exercise| progress.get(&e.name).state != State::Passed;
            let Some(exercise) = catalogue.exercises.iter().find(open) else {
                println!("Every exercise has passed.");
                return Ok(ExitCode::SUCCESS);
            };
            println!(
                "`{}` is the first exercise that has not passed.\n",
                exercise.name
            );
            exercise
        }
    };
    let count = u8::try_from(exercise.hints.len()).unwrap_or(u8::MAX);
    // After the last one, all are shown again.
    let next = progress.get(&exercise.name).hints.saturating_add(1);
    let next = if next > count { 1..=count } else { next..=next };
    let numbers = number.map_or(next, |number| 1..=number);
    let upto = *numbers.end();
    if upto > count {
        bail!("{} has {count} hints, and no hint {upto}", exercise.name);
    }
    let labels = book::labels(workspace).unwrap_or_default();
    let layout = Layout::new(&labels);
    let numbers = usize::from(*numbers.start())..=usize::from(upto);
    println!("{}", terminal::hints(exercise, numbers, &layout));
    Progress::update(workspace, |progress| {
        progress.record_hint(&exercise.name, upto);
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The exercise `name` as it was shipped.
fn stub(workspace: &Workspace, name: &str) -> Result<String> {
    let solution = workspace.solution(name);
    let text = std::fs::read_to_string(&solution)
        .with_context(|| format!("cannot read {}", workspace.relative(&solution)))?;
    stub::from_solution(&text).with_context(|| format!("in {}", workspace.relative(&solution)))
}

fn reset(workspace: &Workspace, name: &str) -> Result<ExitCode> {
    let catalogue = Catalogue::load(workspace)?;
    let name = &catalogue.get(name)?.name;
    let stub = stub(workspace, name)?;
    let file = workspace.exercise(name);
    let _turn = Lock::wait(&workspace.lock("backups"))?;
    if check::source(workspace, name)?.is_some_and(|now| now == stub.as_bytes()) {
        println!("{} is as it was shipped.", workspace.relative(&file));
        return Ok(ExitCode::SUCCESS);
    }
    let kept = files::replace(&file, stub.as_bytes(), &workspace.backups())?;
    Progress::update(workspace, |progress| progress.begin_anew(name))?;
    let done = format!("{} is as it was shipped", workspace.relative(&file));
    println!("{done}{}", what_is_kept(workspace, &kept));
    Ok(ExitCode::SUCCESS)
}

fn what_is_kept(workspace: &Workspace, kept: &[PathBuf]) -> String {
    let each = kept.iter().map(|copy| workspace.relative(copy));
    each.map(|copy| format!("; what you wrote is in {copy}"))
        .collect()
}

fn restore(workspace: &Workspace, name: &str, number: Option<u32>) -> Result<ExitCode> {
    let catalogue = Catalogue::load(workspace)?;
    let name = &catalogue.get(name)?.name;
    let file = workspace.exercise(name);
    let _turn = Lock::wait(&workspace.lock("backups"))?;
    let backups = files::backups_of(&file, &workspace.backups())?;
    let numbers = |backups: &[(u32, PathBuf)]| {
        let numbers: Vec<String> = backups.iter().map(|(n, _)| n.to_string()).collect();
        numbers.join(", ")
    };
    let wanted = match number {
        Some(number) => backups.iter().find(|(n, _)| *n == number),
        None => backups.last(),
    };
    let Some((_, backup)) = wanted else {
        match number.filter(|_| !backups.is_empty()) {
            Some(number) => bail!(
                "`{name}` has no backup {number}; it has {}",
                numbers(&backups)
            ),
            None => bail!(
                "`{name}` has no backup; `{}` makes one",
                command(&format!("reset {name}"))
            ),
        }
    };
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", workspace.relative(path)))
    };
    let text = read(backup)?;
    let [file_name, backup_name] = [&file, backup].map(|path| workspace.relative(path));
    if check::source(workspace, name)?.as_ref() == Some(&text) {
        println!("{file_name} is what {backup_name} holds");
    } else {
        let mut kept = files::replace(&file, &text, &workspace.backups())?;
        // What is kept already, or made again by `reset`, needs no other copy.
        let mut known = vec![stub(workspace, name)?.into_bytes()];
        for (_, backup) in &backups {
            known.push(read(backup)?);
        }
        for at in (0..kept.len()).rev() {
            if known.contains(&read(&kept[at])?) {
                let copy = kept.remove(at);
                std::fs::remove_file(&copy)
                    .with_context(|| format!("cannot remove {}", workspace.relative(&copy)))?;
            }
        }
        // The copy is the newest backup from now on.
        let back = if kept.is_empty() {
            String::new()
        } else {
            let again = command(&format!("restore {name}"));
            format!(", and `{again}` brings that back")
        };
        println!(
            "{file_name} is again what {backup_name} holds{}{back}",
            what_is_kept(workspace, &kept),
        );
    }
    let left = files::backups_of(&file, &workspace.backups())?;
    if left.len() > 1 {
        println!(
            "Its backups are {}; `{}` brings back another than the newest.",
            numbers(&left),
            command(&format!("restore {name} --number N"))
        );
    }
    Ok(ExitCode::SUCCESS)
}
